import { TersorError } from '../../errors';
import { empty, runAsync, type Tensor, tensor } from '../../tensor';
import { Dense, LowRank } from '../../weights';

/** How small the factors are to be: a rank, or the share of Σσ² that must stay. */
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
 * @throws ERR_TERSOR_NOT_FINITE; `signal.reason` when aborted before it began
 */
export async function svd(w: Tensor, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Svd> {
  const [rows, columns] = w.shape as readonly [number, number];
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
 * @throws ERR_TERSOR_OUT_OF_RANGE when the rank is not below rows·columns / (rows + columns): the factors would not be smaller
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
  const [rows, columns] = w.shape as readonly [number, number];
  const where =
    options.name === undefined ? `a matrix [${rows}, ${columns}]` : `weight '${options.name}' [${rows}, ${columns}]`;
  if ('rank' in target) assertSmaller(target.rank, rows, columns, where);
  const { u, s, vt } = await svd(w, options);
  try {
    const rank = 'rank' in target ? target.rank : rankForEnergy(s, target.energy);
    assertSmaller(rank, rows, columns, where);
    const roots = s.slice(0, rank).map(Math.sqrt);
    return new LowRank(new Dense(scaledColumns(u, roots)), new Dense(scaledRows(vt, roots)));
  } finally {
    u.dispose();
    vt.dispose();
  }
}

/** Smallest rank whose singular values hold the given share of Σσ². */
function rankForEnergy(s: Float32Array, energy: number): number {
  const total = s.reduce((sum, value) => sum + value * value, 0);
  let kept = 0;
  let rank = 0;
  while (rank < s.length && kept < energy * total) kept += (s[rank++] as number) ** 2;
  return Math.max(rank, 1);
}

function assertSmaller(rank: number, rows: number, columns: number, where: string): void {
  const limit = (rows * columns) / (rows + columns);
  if (Number.isInteger(rank) && rank >= 1 && rank < limit) return;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected a rank from 1 to ${Math.ceil(limit) - 1} (a higher one holds no fewer numbers than the matrix), got ${rank}, at ${where}`,
  );
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
