import { TersorError } from '../../errors';
import { empty, runAsync, type Tensor, tensor } from '../../tensor';
import { Dense, LowRank } from '../../weights';

/**
 * How small the factors are to be: a rank; the share of Σσ² that must stay (above 0, up to 1: exact up to rounding); or the largest
 * relative error ‖w − ŵ‖ / ‖w‖ in the Frobenius norm (from 0 to below 1).
 */
export type RankTarget = { readonly rank: number } | { readonly energy: number } | { readonly error: number };

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

/** Singular value decompositions of a batch. Their memory is the caller's. */
export interface BatchedSvd {
  /** f32 [batch, rows, k], orthonormal columns, k = min(rows, columns); the largest |element| of each is positive. */
  readonly u: Tensor;
  /** f32 [batch, k], descending. */
  readonly s: Tensor;
  /** f32 [batch, k, columns], orthonormal rows. */
  readonly vt: Tensor;
}

/**
 * {@link svd} of many small matrices at once, such as the blocks or heads of a weight, by one-sided Jacobi rotations (Hestenes 1958;
 * Demmel and Veselić 1992): u s vᵀ, the matrices side by side on all threads.
 *
 * @param w f32 [batch, rows, columns], at most 64 rows and columns; stays the caller's
 * @throws ERR_TERSOR_SHAPE; ERR_TERSOR_NOT_FINITE naming the first NaN or infinity; `signal.reason` when aborted
 * @example
 * const w = tersor.tensor([3, 0, 0, 1, 0, 2, 2, 0]).reshape([2, 2, 2])
 * const { s } = await tersor.svdBatched(w)
 * console.log(s.toArray()) // 3, 1, 2, 2
 */
export async function svdBatched(
  w: Tensor,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<BatchedSvd> {
  if (w.shape.length !== 3) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected w of shape [batch, rows, columns], got [${w.shape.join(', ')}], at svdBatched`,
    );
  }
  const [batch, rows, columns] = w.shape as readonly [number, number, number];
  const rank = Math.min(rows, columns);
  const [u, s, vt] = [empty([batch, rows, rank]), empty([batch, rank]), empty([batch, rank, columns])];
  try {
    await runAsync('svdBatched', [w.handle, u.handle, s.handle, vt.handle], { signal });
    return { u, s, vt };
  } catch (error) {
    for (const part of [u, s, vt]) part.dispose();
    throw error;
  }
}

/** Options of {@link svdRandomized}. */
export interface RandomizedSvdOptions {
  /** Of the random basis. Default 0. */
  readonly seed?: number;
  /** Columns of the basis beyond the rank. Default 16. */
  readonly oversampling?: number;
  /** Applications of wᵀw to the basis: more bring the error nearer to the least. Default 3. */
  readonly power?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The largest singular values and their vectors, by a randomized subspace iteration (Halko, Martinsson and Tropp 2011): far less work than
 * {@link svd} for a small rank, with an error within some percent of the least.
 *
 * @param w f32 [rows, columns]; stays the caller's
 * @param rank how many, at most min(rows, columns)
 * @returns u [rows, rank] and vt [rank, columns], orthonormal whatever w is; the same bits for the same seed
 * @throws ERR_TERSOR_OUT_OF_RANGE for a rank, seed, oversampling or power outside its range; as {@link svd}
 * @example
 * const w = tersor.tensor([[1, 2, 3], [2, 4, 6], [3, 6, 9.1]])
 * const { s } = await tersor.svdRandomized(w, 1)
 * console.log(s[0].toFixed(2)) // 14.06
 */
export async function svdRandomized(w: Tensor, rank: number, options: RandomizedSvdOptions = {}): Promise<Svd> {
  const { seed = 0, oversampling = 16, power = 3, signal } = options;
  const [rows, columns] = matrixShape(w);
  const most = Math.min(rows, columns);
  for (const [what, value, least, largest] of [
    ['rank', rank, 1, most],
    ['seed', seed, 0, Number.MAX_SAFE_INTEGER],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= least && value <= largest) continue;
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected an integer from ${least} to ${largest} as ${what}, got ${value}, at svdRandomized`,
    );
  }
  const u = empty([rows, rank]);
  const s = empty([rank]);
  const vt = empty([rank, columns]);
  try {
    await runAsync('svdRandomized', [w.handle, BigInt(seed), oversampling, power, u.handle, s.handle, vt.handle], {
      signal,
    });
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
 * (Eckart and Young 1936). Of a large matrix a small rank (an eighth of its shorter side or less) is found by {@link svdRandomized}.
 *
 * @param w f32 [rows, columns]; stays the caller's
 * @param options.name of the weight, for messages
 * @param options.seed of the randomized decomposition. Default 0
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
  options: { signal?: AbortSignal | undefined; name?: string; seed?: number } = {},
): Promise<LowRank> {
  const [rows, columns] = matrixShape(w);
  const matrix = options.name === undefined ? 'a matrix' : `weight '${options.name}'`;
  const where = `${matrix} [${rows}, ${columns}]`;
  const limit = largestRank(rows, columns);
  if ('rank' in target) checkRank(target.rank, limit, where);
  else checkShare(target, limit, where);
  const { decomposition, rank } = await decompose(w, target, options);
  const { u, s, vt } = decomposition;
  try {
    checkRank(rank, limit, 'rank' in target ? where : `${describeShare(target)} of ${where}`);
    const roots = s.slice(0, rank).map(Math.sqrt);
    return new LowRank(new Dense(scaledColumns(u, roots)), new Dense(scaledRows(vt, roots)));
  } finally {
    u.dispose();
    vt.dispose();
  }
}

/** Shorter side from which on the randomized decomposition pays. */
const LARGE = 256;

/** Singular values and vectors, at least as many as the rank that the target takes. */
async function decompose(
  w: Tensor,
  target: RankTarget,
  options: Pick<RandomizedSvdOptions, 'signal' | 'seed'>,
): Promise<{ decomposition: Svd; rank: number }> {
  const [rows, columns] = w.shape as readonly [number, number];
  const shorter = Math.min(rows, columns);
  const few = shorter < LARGE ? 0 : Math.floor(shorter / 8);
  if ('rank' in target) {
    const { rank } = target;
    return { decomposition: rank <= few ? await svdRandomized(w, rank, options) : await svd(w, options), rank };
  }
  const energy = energyOf(target);
  if (few > 0) {
    const goal = energy * sumOfSquares(w.toArray() as Float32Array);
    for (let most = 16; most <= few; most *= 2) {
      const decomposition = await svdRandomized(w, most, options);
      const rank = rankFor(decomposition.s, goal);
      if (rank !== null) return { decomposition, rank };
      decomposition.u.dispose();
      decomposition.vt.dispose();
    }
  }
  const decomposition = await svd(w, options);
  const values = significant(decomposition.s, rows, columns);
  return { decomposition, rank: rankFor(values, energy * sumOfSquares(values)) ?? Math.max(values.length, 1) };
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

/** Smallest rank, 1 at least, whose squared singular values add up to the goal; null when all of them do not. */
function rankFor(s: Float32Array, goal: number): number | null {
  let kept = 0;
  for (let rank = 1; rank <= s.length; rank++) {
    kept += (s[rank - 1] as number) ** 2;
    if (kept >= goal) return rank;
  }
  return null;
}

function sumOfSquares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

type Share = Exclude<RankTarget, { readonly rank: number }>;

function energyOf(target: Share): number {
  return 'energy' in target ? target.energy : 1 - target.error ** 2;
}

function describeShare(target: Share): string {
  return 'energy' in target ? `energy ${target.energy}` : `error ${target.error}`;
}

function checkRank(rank: number, limit: number, where: string): void {
  if (Number.isInteger(rank) && rank >= 1 && rank <= limit) return;
  const ranks = limit === 0 ? 'a larger matrix' : `a rank from 1 to ${limit}`;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected ${ranks} (factors of a higher rank hold no fewer numbers than the matrix), got rank ${rank}, at ${where}`,
  );
}

function checkShare(target: Share, limit: number, where: string): void {
  const fits = 'energy' in target ? target.energy > 0 && target.energy <= 1 : target.error >= 0 && target.error < 1;
  if (!fits) {
    const expected = 'energy' in target ? 'an energy above 0 and up to 1' : 'an error from 0 to below 1';
    const got = 'energy' in target ? target.energy : target.error;
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected ${expected}, got ${got}, at ${where}`);
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
