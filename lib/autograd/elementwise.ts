import { TersorError } from '../errors';
import { Binary, native, Reduce } from '../native';
import { empty, full, type Tensor } from '../tensor';
import { record } from './tape';

/**
 * a + b, where b has a's shape or is one row [columns] that is added to every row.
 *
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 */
export function add(a: Tensor, b: Tensor): Tensor {
  return record(binary(Binary.add, a, b), [a, b], (dy, wanted) => [dy, wanted[1] ? reduceTo(b, dy) : null]);
}

/** a − b, with the same broadcasting as {@link add}. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  return record(binary(Binary.subtract, a, b), [a, b], (dy, wanted) => [
    dy,
    wanted[1] ? reduceTo(b, multiplyBy(dy, -1)) : null,
  ]);
}

/** Element-wise product a ∘ b, with the same broadcasting as {@link add}. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return record(binary(Binary.multiply, a, b), [a, b], (dy, wanted) => [
    wanted[0] ? binary(Binary.multiply, dy, b) : null,
    wanted[1] ? reduceTo(b, binary(Binary.multiply, dy, a)) : null,
  ]);
}

/** factor · x for a number. */
export function scale(x: Tensor, factor: number): Tensor {
  return record(multiplyBy(x, factor), [x], (dy) => [multiplyBy(dy, factor)]);
}

/** Sum of all elements, one element. */
export function sum(x: Tensor): Tensor {
  const y = empty([1]);
  native.reduce(Reduce.sum, x.handle, -1, y.handle);
  return record(y, [x], (dy) => [full(x.shape, dy.item())]);
}

/**
 * [a, b] side by side: the columns of b after those of a.
 *
 * @param a f32 [n, p]
 * @param b f32 [n, q]
 * @returns f32 [n, p + q]
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
  const y = empty([rows as number, p + q]);
  native.copyColumns(a.handle, 0, y.handle, 0, p);
  native.copyColumns(b.handle, 0, y.handle, p, q);
  return record(y, [a, b], (dy) => [columns(dy, 0, p), columns(dy, p, q)]);
}

/** The same elements under another shape; shares memory. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  return record(x.reshape(shape), [x], (dy) => [dy.reshape(x.shape)]);
}

function columns(x: Tensor, begin: number, count: number): Tensor {
  const y = empty([x.shape[0] as number, count]);
  native.copyColumns(x.handle, begin, y.handle, 0, count);
  return y;
}

function binary(op: Binary, a: Tensor, b: Tensor): Tensor {
  const y = empty(a.shape);
  native.binary(op, a.handle, b.handle, y.handle);
  return y;
}

function multiplyBy(x: Tensor, factor: number): Tensor {
  const y = empty(x.shape);
  native.scale(x.handle, factor, y.handle);
  return y;
}

/** Undoes the broadcasting of a row vector: the gradient of one row is the sum over rows. */
function reduceTo(b: Tensor, gradient: Tensor): Tensor {
  if (b.shape.length === gradient.shape.length) return gradient;
  const sums = empty(b.shape);
  native.reduce(Reduce.sum, gradient.handle, 0, sums.handle);
  return sums;
}
