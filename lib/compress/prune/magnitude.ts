import { native } from '../../native';
import { empty, full, type Tensor, tidy } from '../../tensor';
import type { TrainableMatrix } from '../../weights';

/** How many elements to remove: a fraction of them, or all up to a magnitude. */
export type PruneTarget = { readonly sparsity: number } | { readonly threshold: number };

/**
 * Mask of magnitude pruning: 1 where |w| > τ, else 0; an element equal to τ goes (Han et al. 2015).
 *
 * @param w f32 [rows, columns]
 * @param target τ itself, or the fraction of elements that τ is to remove (ties at τ go too)
 * @returns f32 of w's shape
 * @throws ERR_TERSOR_NOT_FINITE when w holds NaN
 * @example
 * const w = tersor.tensor([[0.9, 0.1, 0.2], [0.4, 0.6, 0.8], [0.1, 0.9, 0.5]])
 * console.log(tersor.magnitudeMask(w, { threshold: 0.2 }).toArray()) // 1 0 0 1 1 1 0 1 1
 */
export function magnitudeMask(w: Tensor, target: PruneTarget): Tensor {
  if ('sparsity' in target && Math.round(target.sparsity * w.size) === 0) return full(w.shape, 1);
  return tidy(() => {
    const mask = empty(w.shape);
    native.magnitudeMask(
      w.handle,
      'threshold' in target ? target.threshold : thresholdFor(w, target.sparsity),
      mask.handle,
    );
    return mask;
  });
}

/** Magnitude up to which elements go so that the given fraction of them goes. */
function thresholdFor(w: Tensor, sparsity: number): number {
  const threshold = empty([1]);
  native.magnitudeThreshold(w.handle, Math.round(sparsity * w.size), threshold.handle);
  return threshold.item();
}

/** Prunes every matrix to the target, each by its own threshold. */
export function pruneByMagnitude(matrices: readonly TrainableMatrix[], target: PruneTarget): void {
  for (const matrix of matrices) matrix.prune(magnitudeMask(matrix.latent, target));
}
