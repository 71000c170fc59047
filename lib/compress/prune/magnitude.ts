import { TersorError } from '../../errors';
import { native } from '../../native';
import { empty, type Tensor, tidy } from '../../tensor';
import type { BlockPattern, SparsityPattern, TrainableMatrix } from '../../weights';
import { parseBlock, parsePattern } from '../../weights/pattern';

/**
 * How many elements to remove: a fraction of them (0..1), all up to a magnitude (>= 0), or of every group of a row all but the
 * largest, as in '2:4'. With `blocks` the fraction is of blocks, of which those with the smallest norms go.
 */
export type PruneTarget =
  | { readonly sparsity: number; readonly blocks?: BlockPattern }
  | { readonly threshold: number }
  | { readonly pattern: SparsityPattern };

/**
 * Mask of magnitude pruning: 1 where |w| > τ, else 0; an element equal to τ goes (Han et al. 2015).
 *
 * @param w f32 [rows, columns]
 * @param target τ itself, or the fraction of elements that τ is to remove. Ties at τ go too, so more may go than asked for;
 *   elements that are 0 always go. With a pattern 'N:M' there is no τ: the N largest of every M columns stay, of equal ones those further
 *   left (Mishra et al. 2021).
 * @returns f32 of w's shape
 * @throws ERR_TERSOR_OUT_OF_RANGE for a target outside its range; ERR_TERSOR_INVALID_ARGUMENT for a text that is no pattern; ERR_TERSOR_NOT_FINITE when w holds NaN or infinity
 * @example
 * const w = tersor.tensor([[0.9, 0.1, 0.2], [0.4, 0.6, 0.8], [0.1, 0.9, 0.5]])
 * console.log(tersor.magnitudeMask(w, { threshold: 0.2 }).toArray()) // 1 0 0 1 1 1 0 1 1
 * console.log(tersor.magnitudeMask(tersor.tensor([[5, -7, 1, 6]]), { pattern: '2:4' }).toArray()) // 0 1 0 1
 */
export function magnitudeMask(w: Tensor, target: PruneTarget): Tensor {
  checkPruneTarget(target);
  return tidy(() => {
    assertFinite(w);
    const mask = empty(w.shape);
    if ('pattern' in target) {
      const { keep, group } = parsePattern(target.pattern);
      native.nmMask(w.handle, keep, group, mask.handle);
      return mask;
    }
    if ('blocks' in target && target.blocks !== undefined) {
      const { rows, columns } = parseBlock(target.blocks);
      const [height = 0, width = 0] = w.shape;
      const count = Math.ceil(height / rows) * Math.ceil(width / columns);
      native.blockMask(w.handle, rows, columns, count - Math.round(target.sparsity * count), mask.handle);
      return mask;
    }
    const threshold = 'threshold' in target ? target.threshold : thresholdFor(w, target.sparsity);
    native.magnitudeMask(w.handle, threshold, mask.handle);
    return mask;
  });
}

/** Magnitude up to which elements go so that the given fraction of them goes. */
function thresholdFor(w: Tensor, sparsity: number): number {
  const count = Math.round(sparsity * w.size);
  if (count === 0) return 0;
  const threshold = empty([1]);
  native.magnitudeThreshold(w.handle, count, threshold.handle);
  return threshold.item();
}

/** Prunes every matrix to the target, each by its own threshold; what was pruned before stays so. */
export function pruneByMagnitude(matrices: readonly TrainableMatrix[], target: PruneTarget): void {
  const pattern = 'pattern' in target ? target.pattern : 'blocks' in target ? (target.blocks ?? null) : null;
  for (const matrix of matrices) matrix.prune(magnitudeMask(matrix.latent, target), pattern);
}

/** @throws ERR_TERSOR_OUT_OF_RANGE for a sparsity outside 0..1 or a threshold below 0, NaN included; ERR_TERSOR_INVALID_ARGUMENT */
export function checkPruneTarget(target: PruneTarget): void {
  if ('pattern' in target) {
    parsePattern(target.pattern);
    return;
  }
  if ('blocks' in target && target.blocks !== undefined) parseBlock(target.blocks);
  const [what, value, largest] =
    'threshold' in target
      ? ['a finite threshold of 0 or more', target.threshold, Number.MAX_VALUE]
      : ['a sparsity from 0 to 1', target.sparsity, 1];
  if (value >= 0 && value <= largest) return;
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected ${what}, got ${value}, at the target of pruning`);
}

/** The observer refuses NaN and infinity, which have no place in an order of magnitudes. */
function assertFinite(w: Tensor): void {
  if (w.size > 0) native.minMax(w.handle, w.shape.at(-1) ?? 1, empty([1, 1]).handle, empty([1, 1]).handle);
}
