import { type ErrorCode, TersorError } from '../errors';
import { OPTIMIZERS, type OptimizerName } from './optimizer';
import { type LearningRateSchedule, SCHEDULES } from './schedule';

/** What decides the numbers of a training run, beside model, data and objective. */
export interface TrainingSettings {
  /** Passes over the data, at least 1. */
  readonly epochs: number;
  /** Examples per step. Default 32. */
  readonly batchSize?: number | undefined;
  /** Default 'adam'. */
  readonly optimizer?: OptimizerName | undefined;
  /** Learning rate that the schedule starts from, above 0. Default 1e-3. */
  readonly learningRate?: number | undefined;
  /** How the learning rate goes on from there. Default 'cosine'. */
  readonly lrSchedule?: LearningRateSchedule | undefined;
  /** Steps in which the learning rate first rises along a line, less than there are. Default 0. */
  readonly warmupSteps?: number | undefined;
  /** Share of the last update that is added to the next, 0 ≤ momentum < 1; only with 'sgd'. Default 0. */
  readonly momentum?: number | undefined;
  /** L2 penalty added to the gradient, of 'adamw' and 'lamb' taken from the weight; at least 0. Default 0. */
  readonly weightDecay?: number | undefined;
  /** Of the batches' order and the augmentation. Default 0. */
  readonly seed?: number | undefined;
}

/** Settings with nothing left open. */
export type CompleteSettings = { readonly [K in keyof TrainingSettings]-?: Exclude<TrainingSettings[K], undefined> };

/**
 * Fills in the defaults.
 *
 * @throws ERR_TERSOR_OUT_OF_RANGE, ERR_TERSOR_INVALID_ARGUMENT naming the option that cannot be used
 */
export function completeSettings(given: TrainingSettings): CompleteSettings {
  const {
    epochs,
    batchSize = 32,
    optimizer = 'adam',
    learningRate = 1e-3,
    lrSchedule = 'cosine',
    warmupSteps = 0,
    momentum = 0,
    weightDecay = 0,
    seed = 0,
  } = given;
  checkRange(isCount(epochs), 'a whole number of at least 1', epochs, 'epochs');
  checkRange(isCount(batchSize), 'a whole number of at least 1', batchSize, 'batchSize');
  checkRange(
    learningRate > 0 && Number.isFinite(learningRate),
    'a finite number above 0',
    learningRate,
    'learningRate',
  );
  checkRange(momentum >= 0 && momentum < 1, 'a number in [0, 1)', momentum, 'momentum');
  checkRange(weightDecay >= 0 && Number.isFinite(weightDecay), 'a finite number >= 0', weightDecay, 'weightDecay');
  checkRange(Number.isSafeInteger(seed) && seed >= 0, 'a whole number of at least 0', seed, 'seed');
  check(OPTIMIZERS.includes(optimizer), OPTIMIZERS.join(', '), optimizer, 'optimizer');
  checkSchedule(lrSchedule);
  checkRange(
    Number.isSafeInteger(warmupSteps) && warmupSteps >= 0,
    'a whole number of at least 0',
    warmupSteps,
    'warmupSteps',
  );
  check(momentum === 0 || optimizer === 'sgd', `0 with optimizer '${optimizer}'`, momentum, 'momentum');
  return { epochs, batchSize, optimizer, learningRate, lrSchedule, warmupSteps, momentum, weightDecay, seed };
}

function checkSchedule(schedule: LearningRateSchedule): void {
  if (typeof schedule !== 'object' || schedule === null) {
    check(SCHEDULES.includes(schedule), `${SCHEDULES.join(', ')} or { step }`, schedule, 'lrSchedule');
    return;
  }
  const { every, factor } = schedule.step ?? {};
  checkRange(isCount(every), 'a whole number of at least 1', every, 'lrSchedule.step.every');
  checkRange(factor > 0 && factor <= 1, 'a number in (0, 1]', factor, 'lrSchedule.step.factor');
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

function checkRange(holds: boolean, expected: string, got: unknown, option: string): void {
  check(holds, expected, got, option, 'ERR_TERSOR_OUT_OF_RANGE');
}

function check(
  holds: boolean,
  expected: string,
  got: unknown,
  option: string,
  code: ErrorCode = 'ERR_TERSOR_INVALID_ARGUMENT',
): void {
  if (!holds) throw new TersorError(code, `expected ${expected}, got ${String(got)}, at ${option}`);
}
