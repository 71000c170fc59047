export { type ClassificationTaskOptions, classificationTask } from './classification';
export { type FitOptions, type FitProgress, type FitResult, fit, type Objective } from './fit';
export { type AdamOptions, adam, type Optimizer, type SgdOptions, sgd } from './optimizer';
export { type LearningRateSchedule, learningRateAt } from './schedule';
export type { TrainingBatch, TrainingTask } from './task';
