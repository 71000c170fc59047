import { native } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/**
 * Probabilities over the last dimension. To train a classifier give its logits to `crossEntropy`, which is exact where a
 * probability rounds to 0.
 *
 * @param x f32
 * @returns of x's shape; differentiable in x
 */
export function softmax(x: Tensor): Tensor {
  const y = filled(empty(x.shape), (y) => native.softmax(x.handle, y.handle));
  return record(y, [x], (dy) => {
    native.softmaxGradient(y.handle, dy.handle, dy.handle);
    return [dy];
  });
}

/**
 * Logarithms of {@link softmax}, x − log Σ exp(x): exact where a probability rounds to 0.
 *
 * @param x f32
 * @returns of x's shape; differentiable in x
 * @example
 * const y = tersor.ops.logSoftmax(tersor.tensor([[0, 1000]]))
 * console.log(y.toArray()) // -1000, 0
 */
export function logSoftmax(x: Tensor): Tensor {
  const y = filled(empty(x.shape), (y) => native.logSoftmax(x.handle, y.handle));
  return record(y, [x], (dy) => {
    native.logSoftmaxGradient(y.handle, dy.handle, dy.handle);
    return [dy];
  });
}
