import { native, Reduce } from '../native';
import { empty, full, type Tensor, tidy } from '../tensor';
import { sizeOf } from '../tensor/dtype';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/**
 * Sum of all elements.
 *
 * @param x f32
 * @returns one element; differentiable in x
 */
export function sum(x: Tensor): Tensor {
  const y = tidy(() => reduced(x.reshape([x.size]), -1, [1]));
  return record(y, [x], (dy) => [full(x.shape, dy.item())]);
}

/** Sum over all dimensions but the last, as a tensor of `shape` [columns]. Not recorded. */
export function columnSums(x: Tensor, shape: readonly number[]): Tensor {
  return tidy(() => reduced(x.reshape([sizeOf(x.shape.slice(0, -1)), sizeOf(shape)]), 0, shape));
}

function reduced(x: Tensor, axis: -1 | 0, shape: readonly number[]): Tensor {
  return filled(empty(shape), (y) => native.reduce(Reduce.sum, x.handle, axis, y.handle));
}
