import type { TrainableModel } from '../../models';
import { tidy } from '../../tensor';
import type { TrainingTask } from '../../train/task';

/** Options of {@link calibrate}. */
export interface CalibrateOptions {
  /** Examples per batch. Default 128. */
  readonly batchSize?: number;
  /** Batches to look at. Default 16. */
  readonly batches?: number;
  /** Of the examples' order. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs training examples through a model so that its quantized inputs learn their ranges: static post-training quantization.
 *
 * @throws `signal.reason` when aborted
 */
export async function calibrate(
  model: TrainableModel,
  task: TrainingTask,
  options: CalibrateOptions = {},
): Promise<void> {
  const { batchSize = 128, batches = 16, seed = 0, signal } = options;
  model.observe(true);
  try {
    const steps = Math.min(batches, task.stepsPerEpoch(batchSize));
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      tidy(() => {
        model.forward(...task.batch(step, { batchSize, seed }).inputs);
      });
      await new Promise(setImmediate);
    }
  } finally {
    model.observe(false);
  }
}
