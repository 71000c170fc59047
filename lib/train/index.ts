export { type ClassificationTaskOptions, classificationTask } from './classification';
export { type CheckpointOptions, type FitOptions, type FitProgress, type FitResult, fit } from './fit';
export {
  type AdagradOptions,
  type AdamOptions,
  adagrad,
  adam,
  type LambOptions,
  lamb,
  type Optimizer,
  type RmspropOptions,
  rmsprop,
  type SgdOptions,
  sgd,
} from './optimizer';
export { type RowOptimizer, type RowOptimizerOptions, rowOptimizer } from './row-optimizer';
export { type LearningRateSchedule, learningRateAt } from './schedule';
export type { TrainingSettings } from './settings';
export type { Objective } from './step';
export type { TrainingBatch, TrainingTask } from './task';
