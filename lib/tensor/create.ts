import { inspect } from 'node:util';
import { TersorError } from '../errors';
import { type DType, native } from '../native';
import { arrayFor, bytesOf, dtypeOf, formatShape, isBitPacked, matches, type TypedArray } from './dtype';
import { empty, filled, type Tensor } from './tensor';

/** Numbers, or rows of numbers, or rows of rows. */
export type NestedNumbers = readonly number[] | readonly NestedNumbers[];

/** Options of {@link tensor}. */
export interface TensorOptions {
  /** Default: the typed array's own; f32 for plain numbers. */
  dtype?: DType;
  /** 'cpu', or 'auto' for the best that is available. Default: TERSOR_DEVICE, else 'cpu'. */
  device?: string;
}

const RANGES: Partial<Record<DType, readonly [low: number, high: number]>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/**
 * A tensor with the given elements, copied.
 *
 * @param data a typed array (a Uint16Array needs a dtype: raw f16 or bf16 bits; u1..u4 take a Uint8Array of packed
 *   rows), or numbers, nested as the rows are
 * @param shape default: the nesting, or one dimension
 * @throws ERR_TERSOR_SHAPE when rows differ in length or the count does not fit the shape; ERR_TERSOR_DTYPE when the data
 *   cannot be of the dtype; ERR_TERSOR_OUT_OF_RANGE for integers that the dtype cannot hold
 * @example
 * const x = tersor.tensor([[1, 2, 3], [4, 5, 6]])
 * console.log(x.shape, x.dtype) // [ 2, 3 ] f32
 */
export function tensor(
  data: TypedArray | NestedNumbers,
  shape?: readonly number[],
  options: TensorOptions = {},
): Tensor {
  if (ArrayBuffer.isView(data) && !(data instanceof DataView))
    return fromTypedArray(data, shape ?? [data.length], options);
  if (!Array.isArray(data)) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected an array of numbers, got ${inspect(data)}, at tensor`,
    );
  }
  const inferred = nestingOf(data);
  const flat: number[] = [];
  flatten(data, inferred, 0, flat);
  return fromNumbers(flat, shape ?? inferred, options.dtype ?? 'f32', options.device);
}

/** A tensor of zeros. */
export function zeros(shape: readonly number[], dtype: DType = 'f32', device?: string): Tensor {
  // Bit-packed rows cannot be filled by value; all their bytes are 0.
  if (isBitPacked(dtype)) {
    return filled(empty(shape, dtype, device), (y) => y.write(arrayFor(dtype, bytesOf(dtype, shape))));
  }
  return full(shape, 0, dtype, device);
}

/**
 * A tensor with one value everywhere; integers are rounded half to even and saturate.
 *
 * @throws ERR_TERSOR_NOT_FINITE for NaN in an integer tensor; ERR_TERSOR_DTYPE for u1..u4
 */
export function full(shape: readonly number[], value: number, dtype: DType = 'f32', device?: string): Tensor {
  return filled(empty(shape, dtype, device), (y) => native.fill(y.handle, value));
}

function fromTypedArray(data: TypedArray, shape: readonly number[], { dtype, device }: TensorOptions): Tensor {
  const target = dtype ?? dtypeOf(data);
  if (target === null) {
    throw new TersorError(
      'ERR_TERSOR_DTYPE',
      `expected a dtype ('f16' or 'bf16') beside a ${inspect(data.constructor.name)}, got none, at tensor`,
    );
  }
  if (matches(target, data)) {
    const y = empty(shape, target, device);
    return filled(y, () => {
      expectCount(data.byteLength, y.bytes, shape, isBitPacked(target) ? 'packed bytes' : 'bytes');
      y.write(data);
    });
  }
  if (isBitPacked(target) || data instanceof BigInt64Array) {
    throw new TersorError(
      'ERR_TERSOR_DTYPE',
      `expected data of dtype ${target}, got ${data.constructor.name}, at tensor`,
    );
  }
  return fromNumbers(data, shape, target, device);
}

function fromNumbers(
  data: ArrayLike<number>,
  shape: readonly number[],
  dtype: DType,
  device: string | undefined,
): Tensor {
  if (dtype === 'f16' || dtype === 'bf16') {
    const wide = fromNumbers(data, shape, 'f32', device);
    try {
      return wide.cast(dtype);
    } finally {
      wide.dispose();
    }
  }
  const y = empty(shape, dtype, device);
  return filled(y, () => {
    if (isBitPacked(dtype)) {
      throw new TersorError(
        'ERR_TERSOR_DTYPE',
        `expected a Uint8Array of packed rows for dtype ${dtype}, got numbers, at tensor`,
      );
    }
    expectCount(data.length, y.size, shape, 'elements');
    const range = RANGES[dtype];
    const array = arrayFor(dtype, y.bytes);
    for (let i = 0; i < data.length; i++) {
      const value = data[i] as number;
      expectNumber(value, range, dtype, i);
      array[i] = array instanceof BigInt64Array ? BigInt(value) : value;
    }
    y.write(array);
  });
}

function expectNumber(value: unknown, range: readonly [number, number] | undefined, dtype: DType, index: number): void {
  if (typeof value !== 'number') {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected a number, got ${inspect(value)}, at element ${index}`,
    );
  }
  if (range === undefined || (Number.isInteger(value) && value >= range[0] && value <= range[1])) return;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected an integer in [${range[0]}, ${range[1]}] for dtype ${dtype}, got ${value}, at element ${index}`,
  );
}

function expectCount(got: number, expected: number, shape: readonly number[], unit: string): void {
  if (got === expected) return;
  throw new TersorError(
    'ERR_TERSOR_SHAPE',
    `expected ${expected} ${unit} for shape ${formatShape(shape)}, got ${got}, at tensor`,
  );
}

/** The shape that the first elements suggest; {@link flatten} checks the rest. */
function nestingOf(data: NestedNumbers): number[] {
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  return shape;
}

function flatten(data: NestedNumbers, shape: readonly number[], depth: number, into: number[]): void {
  if (data.length !== shape[depth]) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected rows of ${shape[depth]} at depth ${depth}, got one of ${data.length}, at tensor`,
    );
  }
  const last = depth === shape.length - 1;
  for (const element of data) {
    if (last === Array.isArray(element)) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected nesting of depth ${shape.length} throughout, got another, at tensor`,
      );
    }
    if (last) into.push(element as number);
    else flatten(element as NestedNumbers, shape, depth + 1, into);
  }
}
