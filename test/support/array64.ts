/** Float64 arrays for reference computations. */
import type { RandomStream } from '../../lib/random';
import { type Tensor, tensor } from '../../lib/tensor';

/** Numbers in row-major order. */
export interface Array64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** An array whose element at a flat position is `value(i)`. */
export function array64(shape: readonly number[], value: (i: number) => number): Array64 {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return { shape, data: Float64Array.from({ length: size }, (_, i) => value(i)) };
}

/** A matrix whose element in a row and a column is `value(row, column)`. */
export function matrix64(rows: number, columns: number, value: (row: number, column: number) => number): Array64 {
  return array64([rows, columns], (i) => value(Math.floor(i / columns), i % columns));
}

/** Element of a matrix. */
export function at({ shape, data }: Array64, row: number, column: number): number {
  return data[row * (shape[1] as number) + column] as number;
}

/** Each element mapped. */
export function map64({ shape, data }: Array64, f: (value: number, i: number) => number): Array64 {
  return { shape, data: data.map(f) };
}

/** Uniform numbers in [−2, 2) that f32 holds exactly. */
export function random64(shape: readonly number[], random: RandomStream): Array64 {
  return array64(shape, () => Math.fround(4 * random.uniform() - 2));
}

/** The same numbers as an f32 tensor. */
export function toTensor({ shape, data }: Array64): Tensor {
  return tensor(Float32Array.from(data), shape);
}

/** The sum of terms(0) … terms(count − 1). */
export function total(count: number, terms: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += terms(i);
  return sum;
}
