export { type DistillOptions, softLabels } from './distill/soft-labels';
export { type RankTarget, type Svd, svd, truncatedSvd } from './factorize/svd';
export { cubicSparsity, type GradualPruningOptions, gradualPruning } from './prune/gradual';
export { magnitudeMask, type PruneTarget, pruneByMagnitude } from './prune/magnitude';
export { type CalibrateOptions, calibrate } from './quantize/calibrate';
export { type GptqOptions, gptq } from './quantize/gptq';
export { inputMoments } from './quantize/moments';
