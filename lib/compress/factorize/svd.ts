import { TersorError } from '../../errors';
import { empty, runAsync, type Tensor, tensor } from '../../tensor';
import { Dense, LowRank } from '../../weights';

/** How small the factors are to be: a rank, or the share of Σσ² that must stay (above 0, up to 1: exact up to rounding). */
export type RankTarget = { readonly rank: number } | { readonly energy: number };

/** A singular value decomposition w = u · diag(s) · vt, k = min(rows, columns). */
export interface Svd {
  /** f32 [rows, k], orthonormal columns. */
  readonly u: Tensor;
  /** Singular values, descending. */
  readonly s: Float32Array;
  /** f32 [k, columns], orthonormal rows. */
  readonly vt: Tensor;
}

/**
 * Thin singular value decomposition, computed on Tersor's own threads.
 *
 * @param w f32 [rows, columns]; stays the caller's
 * @throws ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE when w is no matrix; `signal.reason` when aborted
 */
export async function svd(w: Tensor, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Svd> {
  const [rows, columns] = matrixShape(w);
  const k = Math.min(rows, columns);
  const u = empty([rows, k]);
  const s = empty([k]);
  const vt = empty([k, columns]);
  try {
    await runAsync('svd', [w.handle, u.handle, s.handle, vt.handle], { signal });
    return { u, s: s.toArray() as Float32Array, vt };
  } catch (error) {
    u.dispose();
    vt.dispose();
    throw error;
  } finally {
    s.dispose();
  }
}

/**
 * Truncated SVD: w ≈ (u√σ)(√σ vᵀ), the best approximation of its rank in the Frobenius norm, with error √(Σ_{i>r} σᵢ²)
 * (Eckart and Young 1936).
 *
 * @param w f32 [rows, columns]; stays the caller's
 * @param options.name of the weight, for messages
 * @throws ERR_TERSOR_OUT_OF_RANGE when the rank, or the one that the energy takes, is not below rows·columns / (rows + columns),
 *   so that the factors would not be smaller; as {@link svd}
 * @example
 * const w = tersor.tensor([[1, 2, 3], [2, 4, 6], [3, 6, 9]])
 * const factors = await tersor.truncatedSvd(w, { rank: 1 })
 * console.log(factors.parameters()) // 6
 */
export async function truncatedSvd(
  w: Tensor,
  target: RankTarget,
  options: { signal?: AbortSignal | undefined; name?: string } = {},
): Promise<LowRank> {
  const [rows, columns] = matrixShape(w);
  const matrix = options.name === undefined ? 'a matrix' : `weight '${options.name}'`;
  const where = `${matrix} [${rows}, ${columns}]`;
  const limit = largestRank(rows, columns);
  if ('rank' in target) checkRank(target.rank, limit, where);
  else checkEnergy(target.energy, limit, where);
  const { u, s, vt } = await svd(w, options);
  try {
    const rank = 'rank' in target ? target.rank : rankForEnergy(significant(s, rows, columns), target.energy);
    checkRank(rank, limit, 'rank' in target ? where : `energy ${target.energy} of ${where}`);
    const roots = s.slice(0, rank).map(Math.sqrt);
    return new LowRank(new Dense(scaledColumns(u, roots)), new Dense(scaledRows(vt, roots)));
  } finally {
    u.dispose();
    vt.dispose();
  }
}

/** Largest rank at which two factors hold fewer numbers than the matrix; 0 when there is none. */
export function largestRank(rows: number, columns: number): number {
  return rows * columns === 0 ? 0 : Math.ceil((rows * columns) / (rows + columns)) - 1;
}

/** Singular values that are not mere rounding: those above σ₁ · max(rows, columns) · ε, the usual bound of a numerical rank. */
function significant(s: Float32Array, rows: number, columns: number): Float32Array {
  const noise = (s[0] ?? 0) * Math.max(rows, columns) * 2 ** -23;
  return s.filter((value) => value > noise);
}

/** Smallest rank whose singular values hold the given share of Σσ². */
function rankForEnergy(s: Float32Array, energy: number): number {
  const total = s.reduce((sum, value) => sum + value * value, 0);
  let kept = 0;
  let rank = 0;
  while (rank < s.length && kept < energy * total) kept += (s[rank++] as number) ** 2;
  return Math.max(rank, 1);
}

function checkRank(rank: number, limit: number, where: string): void {
  if (Number.isInteger(rank) && rank >= 1 && rank <= limit) return;
  const ranks = limit === 0 ? 'a larger matrix' : `a rank from 1 to ${limit}`;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected ${ranks} (factors of a higher rank hold no fewer numbers than the matrix), got rank ${rank}, at ${where}`,
  );
}

function checkEnergy(energy: number, limit: number, where: string): void {
  if (!(energy > 0 && energy <= 1)) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected an energy above 0 and up to 1, got ${energy}, at ${where}`,
    );
  }
  checkRank(1, limit, where);
}

function matrixShape({ shape }: Tensor): readonly [rows: number, columns: number] {
  if (shape.length === 2) return shape as readonly [number, number];
  throw new TersorError('ERR_TERSOR_SHAPE', `expected a matrix, got shape [${shape.join(', ')}], at svd`);
}

/** The first roots.length columns, each times its root. */
function scaledColumns(u: Tensor, roots: Float32Array): Tensor {
  const [rows, k] = u.shape as readonly [number, number];
  const values = u.toArray() as Float32Array;
  const kept = new Float32Array(rows * roots.length);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < roots.length; j++)
      kept[row * roots.length + j] = (values[row * k + j] as number) * (roots[j] as number);
  }
  return tensor(kept, [rows, roots.length]);
}

/** The first roots.length rows, each times its root. */
function scaledRows(vt: Tensor, roots: Float32Array): Tensor {
  const columns = vt.shape[1] as number;
  const kept = (vt.toArray() as Float32Array).slice(0, roots.length * columns);
  return tensor(
    kept.map((value, i) => value * (roots[Math.floor(i / columns)] as number)),
    [roots.length, columns],
  );
}
