import { TersorError } from '../errors';
import type { TrainableModel } from '../models';
import { loadCheckpoint, saveCheckpoint } from './checkpoint';
import { makeOptimizer } from './optimizer';
import { type CompleteSettings, completeSettings, type TrainingSettings } from './settings';
import { checkParameters, type Objective, type Training, trainStep } from './step';
import type { TrainingTask } from './task';

/** Options of {@link fit}. */
export interface FitOptions extends TrainingSettings {
  /** Default: the labels' loss alone. */
  readonly objective?: Objective | undefined;
  /**
   * Called after every update with the number of steps done, such as to choose masks anew. It must depend on its arguments and the
   * model alone, or a resumed run will not give the same numbers.
   */
  readonly afterStep?: ((step: number, steps: number) => void) | undefined;
  /** Where to continue from and to keep the run's state. */
  readonly checkpoint?: CheckpointOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called every few milliseconds and after the last step. */
  readonly onProgress?: ((progress: FitProgress) => void) | undefined;
}

/** Options of a run's checkpoint. */
export interface CheckpointOptions {
  /** File to continue from when it exists, and to write. */
  readonly path: string;
  /** Steps between two writes. Default: those of an epoch. */
  readonly everySteps?: number | undefined;
  /** Text that names what else decides the run's numbers (model, data, objective); a checkpoint with another one is refused. */
  readonly settings?: string | undefined;
}

/** How far a run is. */
export interface FitProgress {
  readonly step: number;
  readonly steps: number;
  /** Loss of the last step. */
  readonly loss: number;
}

/** What a run did. */
export interface FitResult {
  readonly steps: number;
  /** Mean loss of the last epoch's steps that this call ran; NaN when it had none left to run. */
  readonly loss: number;
}

/** Longest time that training keeps the event loop waiting, in milliseconds, unless one step takes longer. */
const YIELD_AFTER_MS = 15;

/**
 * Trains a model in place: seeded batches, gradients, optimizer steps; masks and fake quantization of its weights are kept.
 * The same options give the same bits, for any thread count, interrupted and resumed or not.
 *
 * @throws `signal.reason` when aborted; ERR_TERSOR_OUT_OF_RANGE and ERR_TERSOR_INVALID_ARGUMENT for options that cannot be used;
 *   ERR_TERSOR_INVALID_ARGUMENT for a checkpoint of another run, ERR_TERSOR_CORRUPT_FILE for a broken one; ERR_TERSOR_DATA without
 *   examples; ERR_TERSOR_NOT_FINITE when the loss or a weight becomes NaN or infinite, naming the step
 * @example
 * const data = { inputs: Float32Array.of(-1, 1), labels: Int32Array.of(0, 1), features: 1, classes: 2 }
 * const model = tersor.initialize(tersor.mlp([1, 2])).trainable()
 * const { loss } = await tersor.fit(model, tersor.classificationTask(data), { epochs: 200, learningRate: 0.1 })
 * console.log(loss < 0.01) // true
 */
export async function fit(model: TrainableModel, task: TrainingTask, options: FitOptions): Promise<FitResult> {
  const { objective = labelLossAlone, afterStep, checkpoint, signal, onProgress } = options;
  const settings = completeSettings(options);
  const perEpoch = stepsPerEpoch(task, settings);
  const steps = settings.epochs * perEpoch;
  if (settings.warmupSteps >= steps) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected fewer than the ${steps} steps of the run, got ${settings.warmupSteps}, at warmupSteps`,
    );
  }
  const everySteps = checkpointInterval(checkpoint, perEpoch);
  signal?.throwIfAborted();
  const optimizer = makeOptimizer(model.parameters(), settings);
  const training: Training = { model, task, objective, optimizer, settings, steps };
  const run = JSON.stringify({ ...settings, steps, other: checkpoint?.settings });
  // Asked for anew each time: a hook may have replaced tensors such as masks.
  const state = () => new Map([...model.state(), ...optimizer.state()]);
  let lossSum = 0;
  let lossCount = 0;
  try {
    model.observe(true);
    let lastYield = performance.now();
    const first = checkpoint === undefined ? 0 : loadCheckpoint(checkpoint.path, state(), { run, steps });
    for (let step = first; step < steps; step++) {
      signal?.throwIfAborted();
      const loss = trainStep(training, step);
      if (step >= steps - perEpoch) {
        lossSum += loss;
        lossCount++;
      }
      const done = step + 1;
      afterStep?.(done, steps);
      const saves = checkpoint !== undefined && done % everySteps === 0;
      if (saves || done === steps) checkParameters(model, done, steps);
      if (saves) saveCheckpoint(checkpoint.path, state(), { run, step: done });
      if (done === steps || performance.now() - lastYield > YIELD_AFTER_MS) {
        onProgress?.({ step: done, steps, loss });
        await new Promise(setImmediate);
        lastYield = performance.now();
      }
    }
    return { steps, loss: lossSum / lossCount };
  } finally {
    model.observe(false);
    optimizer.dispose();
  }
}

const labelLossAlone: Objective = (labelLoss) => labelLoss;

function stepsPerEpoch(task: TrainingTask, { batchSize }: CompleteSettings): number {
  const steps = task.stepsPerEpoch(batchSize);
  if (Number.isSafeInteger(steps) && steps >= 1) return steps;
  throw new TersorError('ERR_TERSOR_DATA', `expected at least 1 batch per epoch, got ${steps}, at the training task`);
}

function checkpointInterval(checkpoint: CheckpointOptions | undefined, perEpoch: number): number {
  const everySteps = checkpoint?.everySteps ?? perEpoch;
  if (Number.isSafeInteger(everySteps) && everySteps >= 1) return everySteps;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected a whole number of at least 1, got ${everySteps}, at checkpoint.everySteps`,
  );
}
