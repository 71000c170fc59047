import { TersorError } from '../errors';
import { native, SearchFormat } from '../native';
import { affineArguments, empty, type Tensor, tensor } from '../tensor';

/** Largest code of int8 vectors and of queries: −128 would have no counterpart. */
const LARGEST_CODE = 127;
/** Half the steps between the outermost codes of 4 bits. */
const HALF_INT4_RANGE = 7.5;
/** The code of 4 bits that stands for 0. */
const INT4_ZERO = 8;
/** For distances to int4 vectors, queries are in sixteenths of a step: coarser ones would cost more than the vectors' codes do. */
export const INT4_QUERY_UNITS = 16;

/** Codes, and what one step of them is. */
export interface Coded {
  readonly codes: Tensor;
  /** One for each row, or one for all. */
  readonly scales: Float32Array;
}

/** Vectors f32 [rows, columns] as the codes of an index; symmetric around 0, one scale for all. */
export function codeVectors(vectors: Tensor, format: SearchFormat.int8 | SearchFormat.int4): Coded {
  const { largest } = magnitudes(vectors, vectors.size);
  const int8 = format === SearchFormat.int8;
  const scales = Float32Array.of(positive((largest[0] as number) / (int8 ? LARGEST_CODE : HALF_INT4_RANGE)));
  return { codes: int8 ? toInt8(vectors, scales) : toInt4(vectors, scales), scales };
}

/** Queries f32 [n, columns] as i8, each with a scale of its own, or all with a given one, where larger numbers are cut off. */
export function codeQueries(queries: Tensor, scale: number | null): Coded {
  const { largest } = magnitudes(queries, queries.shape[1] as number);
  const scales = scale === null ? largest.map((value) => positive(value / LARGEST_CODE)) : Float32Array.of(scale);
  return { codes: toInt8(queries, scales), scales };
}

/** Signs of f32 [rows, columns] as u1: a bit is 1 where the number is above 0. */
export function signBits(x: Tensor): Tensor {
  const [rows, columns] = x.shape as readonly [number, number];
  magnitudes(x, x.size);
  const values = x.toArray() as Float32Array;
  const stride = Math.ceil(columns / 8);
  const bytes = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if ((values[row * columns + column] as number) <= 0) continue;
      const at = row * stride + (column >> 3);
      bytes[at] = (bytes[at] as number) | (1 << (column & 7));
    }
  }
  return empty(x.shape, 'u1').write(bytes);
}

/** Rows divided by their length; a row of zeros stays. */
export function normalized(x: Tensor): Tensor {
  const [rows, columns] = x.shape as readonly [number, number];
  magnitudes(x, x.size);
  const values = x.toArray() as Float32Array;
  for (let row = 0; row < rows; row++) {
    const vector = values.subarray(row * columns, (row + 1) * columns);
    const length = Math.hypot(...chunks(vector));
    if (length > 0) for (let i = 0; i < columns; i++) vector[i] = (vector[i] as number) / length;
  }
  return tensor(values, x.shape);
}

/** Lengths of parts of a vector: a call takes only so many arguments. */
function chunks(vector: Float32Array): number[] {
  const lengths: number[] = [];
  for (let i = 0; i < vector.length; i += 1024) lengths.push(Math.hypot(...vector.subarray(i, i + 1024)));
  return lengths;
}

/** @throws ERR_TERSOR_SHAPE unless x is [rows, columns], neither of them 0; ERR_TERSOR_DTYPE for another dtype than f32 */
export function assertVectors(x: Tensor, what: string): asserts x is Tensor & { shape: readonly [number, number] } {
  if (x.dtype !== 'f32') throw new TersorError('ERR_TERSOR_DTYPE', `expected ${what} of f32, got ${x.dtype}`);
  if (x.shape.length === 2 && x.size > 0) return;
  throw new TersorError('ERR_TERSOR_SHAPE', `expected ${what} [rows, columns], got [${x.shape.join(', ')}]`);
}

/**
 * Largest |x| in each run of `size` elements.
 *
 * @throws ERR_TERSOR_NOT_FINITE for NaN or infinity
 */
function magnitudes(x: Tensor, size: number): { largest: Float32Array } {
  const shape = [x.size / size, 1];
  const [low, high] = [empty(shape), empty(shape)];
  native.minMax(x.reshape([x.size / size, size]).handle, size, low.handle, high.handle);
  const minimum = low.toArray() as Float32Array;
  return { largest: (high.toArray() as Float32Array).map((value, i) => Math.max(value, -(minimum[i] as number))) };
}

/** A scale for numbers that are all 0. */
function positive(scale: number): number {
  return Math.fround(scale) > 0 ? scale : 1;
}

function toInt8(x: Tensor, scales: Float32Array): Tensor {
  return quantized(x, scales, { dtype: 'i8', zeroPoint: null, codeMin: -LARGEST_CODE, codeMax: LARGEST_CODE });
}

function toInt4(x: Tensor, scales: Float32Array): Tensor {
  return quantized(x, scales, { dtype: 'u4', zeroPoint: INT4_ZERO, codeMin: 0, codeMax: 15 });
}

interface Codes {
  readonly dtype: 'i8' | 'u4';
  readonly zeroPoint: number | null;
  readonly codeMin: number;
  readonly codeMax: number;
}

function quantized(x: Tensor, scales: Float32Array, { dtype, zeroPoint, codeMin, codeMax }: Codes): Tensor {
  const codes = empty(x.shape, dtype);
  const shape = [scales.length, 1];
  const affine = {
    scales: tensor(scales, shape),
    zeroPoints: zeroPoint === null ? null : tensor(new Int32Array(scales.length).fill(zeroPoint), shape),
    biases: null,
    codeMin,
    codeMax,
    groupSize: x.shape[1] as number,
  };
  native.quantize(x.handle, ...affineArguments(affine), codes.handle);
  return codes;
}
