import type { BlockPattern, TrainableMatrix } from '../../weights';
import { checkPruneTarget, pruneByMagnitude } from './magnitude';

/** Options of {@link gradualPruning}. */
export interface GradualPruningOptions {
  /** Fraction of each matrix to remove in the end. */
  readonly sparsity: number;
  /** Remove whole blocks; left out means elements. */
  readonly blocks?: BlockPattern | undefined;
  /** Fraction of the training at which the target is reached, above 0. Default 0.6. */
  readonly end?: number;
  /** Steps between two choices of masks. Default 20. */
  readonly every?: number;
}

/**
 * Sparsity after a fraction of the training: target · (1 − (1 − progress/end)³) up to `end`, then the target
 * (Zhu and Gupta 2017).
 */
export function cubicSparsity(target: number, progress: number, end: number): number {
  return progress >= end ? target : target * (1 - (1 - progress / end) ** 3);
}

/**
 * Gradual magnitude pruning: prunes more and more while the model trains, so that what stays can make up for what goes.
 * Call it before `fit`: from then on the matrices have masks, which a checkpoint holds.
 *
 * @returns a hook for `fit`'s `afterStep`
 * @throws ERR_TERSOR_OUT_OF_RANGE for a sparsity outside 0..1
 * @example
 * const student = model.trainable()
 * const afterStep = tersor.gradualPruning(student.matrices('layers.0.weight'), { sparsity: 0.8 })
 * await tersor.fit(student, task, { epochs: 10, afterStep })
 */
export function gradualPruning(
  matrices: readonly TrainableMatrix[],
  { sparsity, blocks, end = 0.6, every = 20 }: GradualPruningOptions,
): (step: number, steps: number) => void {
  const shape = blocks === undefined ? {} : { blocks };
  checkPruneTarget({ sparsity, ...shape });
  pruneByMagnitude(matrices, { sparsity: 0, ...shape });
  return (step, steps) => {
    // The last step always chooses, so that short runs reach the target as well.
    if (step % every !== 0 && step !== steps) return;
    pruneByMagnitude(matrices, { sparsity: cubicSparsity(sparsity, step / steps, end), ...shape });
  };
}
