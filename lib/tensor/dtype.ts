import { DTYPES, type DType } from '../native';

/** Arrays that tensors are copied from and to. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Int16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array;

/** What {@link Tensor.toArray} returns: raw bits for f16 and bf16, packed rows for u1..u4. */
export type TensorArray =
  | Float32Array
  | Int8Array
  | Uint8Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array;

interface Layout {
  /** Bits of one element. */
  readonly bits: number;
  /** The array whose memory equals the tensor's. */
  readonly array: new (
    length: number,
  ) => TensorArray;
}

const LAYOUTS: Readonly<Record<DType, Layout>> = {
  f32: { bits: 32, array: Float32Array },
  f16: { bits: 16, array: Uint16Array },
  bf16: { bits: 16, array: Uint16Array },
  i8: { bits: 8, array: Int8Array },
  u8: { bits: 8, array: Uint8Array },
  i32: { bits: 32, array: Int32Array },
  u32: { bits: 32, array: Uint32Array },
  i64: { bits: 64, array: BigInt64Array },
  u1: { bits: 1, array: Uint8Array },
  u2: { bits: 2, array: Uint8Array },
  u3: { bits: 3, array: Uint8Array },
  u4: { bits: 4, array: Uint8Array },
};

const CODES = new Map<string, number>(DTYPES.map((dtype, code) => [dtype, code]));

/** The number of a dtype in the addon; -1, which the addon refuses, for anything else. */
export function codeOf(dtype: DType): number {
  return CODES.get(dtype) ?? -1;
}

/** Bits of one element. */
export function bitsOf(dtype: DType): number {
  return LAYOUTS[dtype].bits;
}

/** True for u1..u4, whose rows are streams of bits padded to whole bytes. */
export function isBitPacked(dtype: DType): boolean {
  return LAYOUTS[dtype].bits < 8;
}

/** A zeroed array with the memory layout of a tensor of this dtype and size. */
export function arrayFor(dtype: DType, bytes: number): TensorArray {
  const { bits, array } = LAYOUTS[dtype];
  return new array(bits < 8 ? bytes : (bytes * 8) / bits);
}

/** True when the array's elements are this dtype's, bit by bit. */
export function matches(dtype: DType, data: TypedArray): boolean {
  return data instanceof LAYOUTS[dtype].array;
}

/** The dtype that a typed array holds; null for those without one (16-bit integers may be raw f16 or bf16 bits). */
export function dtypeOf(data: TypedArray): DType | null {
  if (data instanceof Float32Array || data instanceof Float64Array) return 'f32';
  if (data instanceof Int8Array) return 'i8';
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return 'u8';
  if (data instanceof Int32Array || data instanceof Int16Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof BigInt64Array) return 'i64';
  return null;
}

/** Elements of a shape; 1 for []. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const dimension of shape) size *= dimension;
  return size;
}

/** Bytes of a tensor: elements times their width, or rows of whole bytes for the bit-packed types. */
export function bytesOf(dtype: DType, shape: readonly number[]): number {
  const columns = shape.at(-1) ?? 1;
  const size = sizeOf(shape);
  return size === 0 ? 0 : (size / columns) * Math.ceil((columns * bitsOf(dtype)) / 8);
}

/** "[2, 3]", for messages. */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
