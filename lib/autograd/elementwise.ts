import { TersorError } from '../errors';
import { Binary, native } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { columnSums } from './reduce';
import { record } from './tape';

/**
 * a + b.
 *
 * @param a f32
 * @param b of a's shape, or one row [columns] that is added to every row
 * @returns of a's shape; differentiable in both
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 */
export function add(a: Tensor, b: Tensor): Tensor {
  return record(binary(Binary.add, a, b), [a, b], (dy, wanted) => [
    dy,
    wanted[1] ? sumOverRows(wanted[0] ? dy.clone() : dy, b) : null,
  ]);
}

/** a − b, with the same broadcasting as {@link add}. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  return record(binary(Binary.subtract, a, b), [a, b], (dy, wanted) => [
    dy,
    wanted[1] ? sumOverRows(scale(dy, -1), b) : null,
  ]);
}

/** Element-wise product a ∘ b, with the same broadcasting as {@link add}. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return record(binary(Binary.multiply, a, b), [a, b], (dy, wanted) => [
    wanted[0] ? multiply(dy, b) : null,
    wanted[1] ? sumOverRows(multiply(dy, a), b) : null,
  ]);
}

/** factor · x for a number. */
export function scale(x: Tensor, factor: number): Tensor {
  const y = filled(empty(x.shape), (y) => native.scale(x.handle, factor, y.handle));
  return record(y, [x], (dy) => [scale(dy, factor)]);
}

/**
 * [a, b] side by side: the columns of b after those of a.
 *
 * @param a f32 [n, p]
 * @param b f32 [n, q]
 * @returns f32 [n, p + q]; differentiable in both
 * @throws ERR_TERSOR_SHAPE when the row counts differ
 */
export function concatColumns(a: Tensor, b: Tensor): Tensor {
  const [rows, p] = a.shape;
  const [rowsOfB, q] = b.shape;
  if (p === undefined || q === undefined || a.shape.length !== 2 || b.shape.length !== 2 || rows !== rowsOfB) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected two matrices with equal rows, got [${a.shape.join(', ')}] and [${b.shape.join(', ')}], at concatColumns`,
    );
  }
  const y = filled(empty([rows as number, p + q]), (y) => {
    native.copyColumns(a.handle, 0, y.handle, 0, p);
    native.copyColumns(b.handle, 0, y.handle, p, q);
  });
  return record(y, [a, b], (dy, wanted) => [
    wanted[0] ? columns(dy, 0, p) : null,
    wanted[1] ? columns(dy, p, q) : null,
  ]);
}

/** The same elements under another shape; shares memory. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  return record(x.reshape(shape), [x], (dy) => [dy.reshape(x.shape)]);
}

function columns(x: Tensor, begin: number, count: number): Tensor {
  return filled(empty([x.shape[0] as number, count]), (y) => native.copyColumns(x.handle, begin, y.handle, 0, count));
}

function binary(op: Binary, a: Tensor, b: Tensor): Tensor {
  return filled(empty(a.shape), (y) => native.binary(op, a.handle, b.handle, y.handle));
}

/** Undoes the broadcasting of a row vector `b`: the gradient of one row is the sum over rows. Otherwise `gradient` itself. */
function sumOverRows(gradient: Tensor, b: Tensor): Tensor {
  return b.shape.length === gradient.shape.length ? gradient : columnSums(gradient, b.shape);
}
