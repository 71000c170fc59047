export type { Architecture, WeightRole, WeightSpec } from './architecture';
export { loadModel, MODEL_KINDS, type ModelKind, modelFileBytes, saveModel } from './file';
export { mlp } from './mlp';
export { initialize, Model, TrainableModel } from './model';
export { gmf, type NcfSizes, ncfMlp } from './ncf';
