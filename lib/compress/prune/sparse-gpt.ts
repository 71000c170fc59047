import { TersorError } from '../../errors';
import { affineArguments, empty, runAsync, type Tensor } from '../../tensor';
import { type QuantizationScheme, Sparse } from '../../weights';
import { affineFor, assertIntegerScheme, assertScheme } from '../../weights/scheme';
import { checkPruneTarget } from './magnitude';

/** What {@link sparseGpt} leaves: all but a fraction (0..1) of every 128 columns, or `keep` of every `of` neighbours in a row. */
export type SparseGptTarget = { readonly sparsity: number } | { readonly keep: number; readonly of: number };

/** Options of {@link sparseGpt}. */
export interface SparseGptOptions {
  /** Share of the mean of the moments' diagonal that is added to it; it grows until they are positive definite. Default 0.01. */
  readonly damping?: number;
  /** Round what stays to codes in the same pass; symmetric, at least 2 bits, one scale per tensor, channel or row. */
  readonly scheme?: QuantizationScheme;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Prunes a matrix so that the layer's outputs change least: columns are pruned one by one, and those to come make up for the error
 * (SparseGPT, Frantar and Alistarh 2023).
 *
 * @param w f32 [rows, columns], at least one column; stays the caller's
 * @param moments f32 [columns, columns], XᵀX of the layer's inputs times any positive number: see `inputMoments`; stays the caller's
 * @throws ERR_TERSOR_OUT_OF_RANGE for a target outside its range; ERR_TERSOR_UNSUPPORTED for another scheme; ERR_TERSOR_NOT_FINITE;
 *   ERR_TERSOR_SHAPE; ERR_TERSOR_INVALID_ARGUMENT for moments that are none; `signal.reason` when aborted
 * @example
 * const w = tersor.tensor([[1, 3]]), moments = tersor.tensor([[2, 1], [1, 2]])
 * const pruned = await tersor.sparseGpt(w, moments, { keep: 1, of: 2 }, { damping: 0 })
 * console.log(pruned.dense().toArray()) // 0, 3.5: the second input does some of what the first one did
 */
export async function sparseGpt(
  w: Tensor,
  moments: Tensor,
  target: SparseGptTarget,
  { damping = 0.01, scheme, signal }: SparseGptOptions = {},
): Promise<Sparse> {
  const pattern = patternOf(target);
  if (scheme !== undefined) {
    assertScheme(scheme, w.shape);
    assertIntegerScheme(scheme, 'a sparse weight');
  }
  const affine = scheme === undefined ? null : affineFor(w, scheme, 'mse');
  const y = empty(w.shape);
  try {
    const [what, how] = [[w.handle, moments.handle, damping, ...pattern] as const, { signal }];
    if (affine === null) await runAsync('sparseGpt', [...what, y.handle], how);
    else await runAsync('sparseGptQuantized', [...what, ...affineArguments(affine), y.handle], how);
    return Sparse.from(y, scheme ?? null, null, affine ?? undefined);
  } finally {
    for (const part of [y, affine?.zeroPoints, affine?.scales]) part?.dispose();
  }
}

/** Sparsity, keep and of, in argument order. */
function patternOf(target: SparseGptTarget): readonly [sparsity: number, keep: number, of: number] {
  if ('sparsity' in target) {
    checkPruneTarget(target);
    return [target.sparsity, 0, 0];
  }
  const { keep, of } = target;
  if (Number.isSafeInteger(keep) && Number.isSafeInteger(of) && keep >= 1 && keep <= of) return [0, keep, of];
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected integers 1 <= keep <= of, got ${keep} and ${of}, at the target of pruning`,
  );
}
