import { valueAndGradients } from '../autograd/tape';
import { TersorError } from '../errors';
import type { TrainableModel } from '../models';
import { type Tensor, tidy } from '../tensor';
import { loadCheckpoint, saveCheckpoint } from './checkpoint';
import { adam, type Optimizer, sgd } from './optimizer';
import { type LearningRateSchedule, learningRateAt } from './schedule';
import type { TrainingTask } from './task';

/** Turns the labels' loss of a batch into the loss to train by, such as one that adds a teacher's opinion. */
export type Objective = (labelLoss: Tensor, output: Tensor, inputs: readonly Tensor[]) => Tensor;

/** Options of {@link fit}. */
export interface FitOptions {
  /** Passes over the data. */
  readonly epochs: number;
  /** Examples per step. Default 32. */
  readonly batchSize?: number | undefined;
  /** Default 'adam'. */
  readonly optimizer?: 'adam' | 'sgd';
  /** Default 1e-3. */
  readonly learningRate?: number | undefined;
  /** Default 'cosine'. */
  readonly lrSchedule?: LearningRateSchedule;
  /** SGD only. Default 0. */
  readonly momentum?: number | undefined;
  /** L2 penalty. Default 0. */
  readonly weightDecay?: number | undefined;
  /** Of the batches' order and the augmentation. Default 0. */
  readonly seed?: number | undefined;
  /** Default: the labels' loss alone. */
  readonly objective?: Objective | undefined;
  /** Called after every update with the number of steps done, such as to choose masks anew. */
  readonly afterStep?: ((step: number, steps: number) => void) | undefined;
  /**
   * File to continue from when it exists, and to write every `everySteps` steps (default: once per epoch). `settings` names what
   * else decides the run's numbers (model, data, objective); a checkpoint with others is refused.
   */
  readonly checkpoint?: { readonly path: string; readonly everySteps?: number; readonly settings?: string } | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: FitProgress) => void) | undefined;
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

/** Longest time that training keeps the event loop waiting, in milliseconds. */
const YIELD_AFTER_MS = 15;

/**
 * Trains a model in place: seeded batches, gradients, optimizer steps; masks and fake quantization of its weights are kept.
 * The same options give the same bits, for any thread count, interrupted and resumed or not.
 *
 * @throws `signal.reason` when aborted; ERR_TERSOR_NOT_FINITE when the loss becomes NaN or infinite, naming the step
 * @example
 * const student = model.trainable()
 * await tersor.fit(student, tersor.classificationTask(data), { epochs: 3 })
 */
export async function fit(model: TrainableModel, task: TrainingTask, options: FitOptions): Promise<FitResult> {
  const { batchSize = 32, learningRate = 1e-3, lrSchedule = 'cosine', seed = 0 } = options;
  const { objective, afterStep, checkpoint, signal, onProgress } = options;
  const perEpoch = task.stepsPerEpoch(batchSize);
  const steps = options.epochs * perEpoch;
  const parameters = model.parameters();
  const optimizer = makeOptimizer(parameters, options);
  const state = new Map([...model.state(), ...optimizer.state()]);
  const settings = describeSettings(options);
  const everySteps = checkpoint?.everySteps ?? perEpoch;
  let lossSum = 0;
  let lossCount = 0;

  const runStep = (step: number): number =>
    tidy(() => {
      const batch = task.batch(step, { batchSize, seed });
      const { value, gradients } = valueAndGradients(() => {
        const output = model.forward(...batch.inputs);
        const labelLoss = task.loss(output, batch.targets);
        return objective === undefined ? labelLoss : objective(labelLoss, output, batch.inputs);
      }, parameters);
      const loss = value.item();
      if (!Number.isFinite(loss)) {
        throw new TersorError(
          'ERR_TERSOR_NOT_FINITE',
          `expected a finite loss, got ${loss}, at step ${step + 1} of ${steps}: lower the learning rate or look for bad inputs`,
        );
      }
      optimizer.update(gradients, learningRateAt(lrSchedule, learningRate, step, steps), step + 1);
      for (const matrix of model.matrices()) matrix.applyMask();
      return loss;
    });

  try {
    model.observe(true);
    let lastYield = performance.now();
    const first = checkpoint === undefined ? 0 : loadCheckpoint(checkpoint.path, state, settings);
    for (let step = first; step < steps; step++) {
      signal?.throwIfAborted();
      const loss = runStep(step);
      if (step >= steps - perEpoch) {
        lossSum += loss;
        lossCount++;
      }
      afterStep?.(step + 1, steps);
      if (checkpoint !== undefined && (step + 1) % everySteps === 0) {
        saveCheckpoint(checkpoint.path, state, { step: step + 1, settings });
      }
      if (performance.now() - lastYield > YIELD_AFTER_MS) {
        onProgress?.({ step: step + 1, steps, loss });
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

function makeOptimizer(parameters: ReturnType<TrainableModel['parameters']>, options: FitOptions): Optimizer {
  const { optimizer = 'adam', momentum = 0, weightDecay = 0 } = options;
  return optimizer === 'adam' ? adam(parameters, { weightDecay }) : sgd(parameters, { momentum, weightDecay });
}

/** What decides the run's numbers. */
function describeSettings(options: FitOptions): string {
  const { epochs, batchSize, optimizer, learningRate, lrSchedule, momentum, weightDecay, seed, checkpoint } = options;
  return JSON.stringify({
    epochs,
    batchSize,
    optimizer,
    learningRate,
    lrSchedule,
    momentum,
    weightDecay,
    seed,
    other: checkpoint?.settings,
  });
}
