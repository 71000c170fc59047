export { add, concatColumns, multiply, reshape, scale, subtract, sum } from './elementwise';
export { gather } from './embedding';
export { fakeQuantize } from './fake-quantize';
export { type LinearOptions, linear, matmul, relu } from './linear';
export { crossEntropy, distillation, softmax } from './losses';
