import { native } from '../native';
import { empty, full, type Tensor } from '../tensor';
import { sizeOf } from '../tensor/dtype';
import { filled } from '../tensor/tensor';
import { multiply, subtract } from './elementwise';
import { matmul } from './linear';
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
  return record(y, [x], (dy) => [softmaxGradient(y, dy)]);
}

/** dx = y ∘ dy − y · ⟨y, dy⟩, row by row. */
function softmaxGradient(y: Tensor, dy: Tensor): Tensor {
  const columns = y.shape.at(-1) ?? 1;
  const matrix = [sizeOf(y.shape.slice(0, -1)), columns];
  const p = y.reshape(matrix);
  const product = multiply(p, dy.reshape(matrix));
  const rowSums = matmul(matmul(product, full([columns, 1], 1)), full([1, columns], 1));
  return subtract(product, multiply(p, rowSums)).reshape(y.shape);
}
