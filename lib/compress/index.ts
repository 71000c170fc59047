export { type DistillOptions, softLabels } from './distill/soft-labels';
export { lowRankCorrection } from './factorize/correction';
export {
  type BatchedSvd,
  type RandomizedSvdOptions,
  type RankTarget,
  type Svd,
  svd,
  svdBatched,
  svdRandomized,
  truncatedSvd,
} from './factorize/svd';
export { cubicSparsity, type GradualPruningOptions, gradualPruning } from './prune/gradual';
export { magnitudeMask, type PruneTarget, pruneByMagnitude } from './prune/magnitude';
export { type SparseGptOptions, type SparseGptTarget, sparseGpt } from './prune/sparse-gpt';
export { type CalibrateOptions, calibrate } from './quantize/calibrate';
export { type GptqOptions, gptq } from './quantize/gptq';
export { inputMoments } from './quantize/moments';
export { type Clusters, type KmeansOptions, kmeans, type ProductCodebooks, productCodebooks } from './share/kmeans';
export { type ProductCentroidsOptions, productCentroids } from './share/product';
