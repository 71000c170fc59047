export { type ActivationName, gelu, relu, sigmoid, silu, tanh } from './activations';
export { type AttentionOptions, attention } from './attention';
export { type BatchNormOptions, batchNorm2d, type RunningStatistics } from './batch-norm';
export { type ConvolutionOptions, conv2d, type Pair } from './convolution';
export { add, concatColumns, multiply, reshape, scale, subtract } from './elementwise';
export { gather } from './embedding';
export {
  type Bags,
  bagArguments,
  bagCount,
  embeddingBag,
  embeddingBagGradient,
  type RowGradient,
} from './embedding-bag';
export { fakeQuantize } from './fake-quantize';
export { learnedFakeQuantize } from './learned-fake-quantize';
export { epilogueArguments, type LinearOptions, linear, matmul } from './linear';
export { crossEntropy, distillation } from './losses';
export { layerNorm, type NormOptions, rmsNorm } from './normalize';
export { type AveragePoolOptions, averagePool2d, maxPool2d, type PoolOptions } from './pooling';
export { sum } from './reduce';
export { logSoftmax, softmax } from './softmax';
export { sparseLinear } from './sparse-linear';
