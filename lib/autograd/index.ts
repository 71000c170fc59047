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
export { epilogueArguments, type LinearOptions, linear, matmul, relu } from './linear';
export { crossEntropy, distillation } from './losses';
export { sum } from './reduce';
export { softmax } from './softmax';
