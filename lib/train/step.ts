import { valueAndGradients } from '../autograd/tape';
import { TersorError } from '../errors';
import type { TrainableModel } from '../models';
import { native } from '../native';
import { empty, type Tensor, tidy } from '../tensor';
import type { Optimizer } from './optimizer';
import { learningRateAt } from './schedule';
import type { CompleteSettings } from './settings';
import type { TrainingTask } from './task';

/** Turns the labels' loss of a batch into the loss to train by, such as one that adds a teacher's opinion. */
export type Objective = (labelLoss: Tensor, output: Tensor, inputs: readonly Tensor[]) => Tensor;

/** What every step of a run has in common. */
export interface Training {
  readonly model: TrainableModel;
  readonly task: TrainingTask;
  readonly objective: Objective;
  readonly optimizer: Optimizer;
  readonly settings: CompleteSettings;
  /** Steps of the whole run. */
  readonly steps: number;
}

/**
 * One update: batch, loss, gradients, optimizer, masks.
 *
 * @param step counted from 0
 * @returns the loss before the update
 * @throws ERR_TERSOR_NOT_FINITE naming the step, with the parameters as they were before it
 */
export function trainStep({ model, task, objective, optimizer, settings, steps }: Training, step: number): number {
  const { batchSize, seed, learningRate, lrSchedule, warmupSteps } = settings;
  return tidy(() =>
    namingStep(step + 1, steps, () => {
      const { inputs, targets } = task.batch(step, { batchSize, seed });
      const { value, gradients } = valueAndGradients(() => {
        const output = model.forward(...inputs);
        return objective(task.loss(output, targets), output, inputs);
      }, model.parameters());
      const loss = value.item();
      if (!Number.isFinite(loss)) {
        throw new TersorError('ERR_TERSOR_NOT_FINITE', `expected a finite loss, got ${loss}`);
      }
      const rate = learningRateAt(lrSchedule, learningRate, step, steps, warmupSteps);
      optimizer.update(gradients, rate, step + 1);
      for (const matrix of model.matrices()) matrix.applyMask();
      return loss;
    }),
  );
}

/**
 * Refuses a model that the last step has broken: its loss was finite, but its gradients or the updated weights were not.
 *
 * @param step steps done
 * @throws ERR_TERSOR_NOT_FINITE naming the step
 */
export function checkParameters(model: TrainableModel, step: number, steps: number): void {
  namingStep(step, steps, () =>
    tidy(() => {
      const range = [empty([1, 1]).handle, empty([1, 1]).handle] as const;
      for (const parameter of model.parameters()) {
        if (parameter.size === 0) continue;
        native.minMax(parameter.reshape([1, parameter.size]).handle, parameter.size, ...range);
      }
    }),
  );
}

/** Says at which step NaN or infinity came up, wherever it was found. */
function namingStep<R>(step: number, steps: number, run: () => R): R {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof TersorError) || cause.code !== 'ERR_TERSOR_NOT_FINITE') throw cause;
    throw new TersorError(
      cause.code,
      `${cause.message}, at step ${step} of ${steps}: lower the learning rate or look for bad inputs`,
      { cause },
    );
  }
}
