export { add, concatColumns, multiply, scale, subtract, sum } from './elementwise';
export { gather } from './embedding';
export { fakeQuantize } from './fake-quantize';
export { type LinearOptions, linear, relu } from './linear';
export { crossEntropy, distillation, softmax } from './losses';
