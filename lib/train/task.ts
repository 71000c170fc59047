import type { Tensor } from '../tensor';

/** One optimizer step's examples. */
export interface TrainingBatch {
  /** What the model's forward takes. */
  readonly inputs: readonly Tensor[];
  /** What the loss compares its output with. */
  readonly targets: Tensor;
}

/** Data to train on and the loss to train by. */
export interface TrainingTask {
  /** Steps of one pass over the data. */
  stepsPerEpoch(batchSize: number): number;
  /**
   * The batch of a step, counted from 0 over all epochs. Depends on its arguments alone, so that a resumed run sees the same
   * batches. The tensors are the caller's.
   */
  batch(step: number, options: { readonly batchSize: number; readonly seed: number }): TrainingBatch;
  /** Loss of the model's output against the labels, one element. */
  loss(output: Tensor, targets: Tensor): Tensor;
}
