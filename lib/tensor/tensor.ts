import './symbol-dispose';
import { inspect } from 'node:util';
import { TersorError } from '../errors';
import { type DType, type NativeTensor, native } from '../native';
import { resolveDevice } from './device';
import {
  arrayFor,
  bitsOf,
  bytesOf,
  codeOf,
  formatShape,
  isBitPacked,
  matches,
  sizeOf,
  type TensorArray,
  type TypedArray,
} from './dtype';
import { track } from './scope';

/** TERSOR_MAX_RANK. */
const MAX_RANK = 4;

/**
 * A tensor whose elements are not set: for outputs of native operations.
 *
 * @param shape at most 4 dimensions, each an integer >= 0; [] is a scalar
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_OUT_OF_MEMORY, ERR_TERSOR_DEVICE
 */
export function empty(shape: readonly number[], dtype: DType = 'f32', device?: string): Tensor {
  const on = resolveDevice(device);
  return new Tensor(native.create(codeOf(dtype), on, ...dimensionsOf(shape)), shape, dtype, on);
}

/** The shape as the addon takes it: it checks the numbers, not that there is a list of them. */
function dimensionsOf(shape: readonly number[]): readonly number[] {
  if (!Array.isArray(shape)) {
    throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected a shape, got ${inspect(shape)}`);
  }
  if (shape.length <= MAX_RANK) return shape;
  throw new TersorError('ERR_TERSOR_SHAPE', `expected at most ${MAX_RANK} dimensions, got ${shape.length}`);
}

/** Fills `y`, or disposes of it when that fails. */
export function filled(y: Tensor, fill: (y: Tensor) => void): Tensor {
  try {
    fill(y);
  } catch (error) {
    y.dispose();
    throw error;
  }
  return y;
}

/**
 * Numbers in native memory: row-major, contiguous, of one dtype, on one device.
 *
 * Memory is freed by {@link dispose}, by `using`, or at the end of the `tidy` it was made in; the garbage collector is
 * the backstop, not the plan. Every method throws ERR_TERSOR_DISPOSED afterwards.
 */
export class Tensor implements Disposable {
  /** The addon's view of this tensor, for native operations. */
  readonly handle: NativeTensor;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly device: string;
  #disposed = false;

  /** Wraps a handle that has this shape and dtype; the tensor owns it. Use {@link tensor}, {@link empty} or {@link zeros}. */
  constructor(handle: NativeTensor, shape: readonly number[], dtype: DType, device: string) {
    this.handle = handle;
    this.shape = Object.freeze(shape.slice());
    this.dtype = dtype;
    this.device = device;
    track(this);
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Bytes of the elements; rows of u1..u4 take whole bytes. */
  get bytes(): number {
    return bytesOf(this.dtype, this.shape);
  }

  /** True once {@link dispose} was called. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Frees this tensor's share of the memory now. Calling it again does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    native.release(this.handle);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * The elements, copied into memory of JavaScript's own: raw bits for f16 and bf16, packed rows for u1..u4.
   *
   * @example
   * console.log(tersor.tensor([[1, 2], [3, 4]]).toArray()) // Float32Array(4) [ 1, 2, 3, 4 ]
   */
  toArray(): TensorArray {
    const array = arrayFor(this.dtype, this.bytes);
    native.read(this.handle, array);
    return array;
  }

  /**
   * The only element as a number.
   *
   * @throws ERR_TERSOR_SHAPE when there are more or none; ERR_TERSOR_OUT_OF_RANGE for an i64 that a number cannot hold
   */
  item(): number {
    if (this.size !== 1) {
      throw new TersorError('ERR_TERSOR_SHAPE', `expected one element, got shape ${formatShape(this.shape)}, at item`);
    }
    if (this.dtype === 'f16' || this.dtype === 'bf16') {
      const wide = this.cast('f32');
      try {
        return wide.item();
      } finally {
        wide.dispose();
      }
    }
    const value = this.toArray()[0] as number | bigint;
    const result = isBitPacked(this.dtype) ? Number(value) & ((1 << bitsOf(this.dtype)) - 1) : Number(value);
    if (!Number.isSafeInteger(result) && typeof value === 'bigint') {
      throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an integer below 2^53 in size, got ${value}, at item`);
    }
    return result;
  }

  /**
   * The same memory under another shape of as many elements. Both tensors are to be disposed of.
   *
   * @throws ERR_TERSOR_SHAPE when the sizes differ; rows of u1..u4 keep their length
   */
  reshape(shape: readonly number[]): Tensor {
    return new Tensor(native.reshape(this.handle, ...dimensionsOf(shape)), shape, this.dtype, this.device);
  }

  /** A copy with memory of its own. */
  clone(): Tensor {
    return filled(empty(this.shape, this.dtype, this.device), (copy) => copy.copyFrom(this));
  }

  /**
   * Overwrites the elements with those of a tensor of the same shape and dtype.
   *
   * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE; ERR_TERSOR_INVALID_ARGUMENT when both share memory
   */
  copyFrom(other: Tensor): this {
    native.copy(other.handle, this.handle);
    return this;
  }

  /**
   * Overwrites the elements with those of an array of the same layout (see {@link toArray}), or with raw little-endian
   * bytes given as a Uint8Array.
   *
   * @throws ERR_TERSOR_DTYPE for another kind of array, ERR_TERSOR_SHAPE when its length differs
   */
  write(source: TypedArray): this {
    if (!(source instanceof Uint8Array) && !matches(this.dtype, source)) {
      const wanted = arrayFor(this.dtype, 0).constructor.name;
      const given = ArrayBuffer.isView(source) ? Object.prototype.toString.call(source).slice(8, -1) : inspect(source);
      throw new TersorError('ERR_TERSOR_DTYPE', `expected a ${wanted} for dtype ${this.dtype}, got ${given}, at write`);
    }
    native.write(this.handle, source);
    return this;
  }

  /**
   * A copy with another dtype: f32 to and from f16, bf16, i8, u8 and i32, and between those through f32. Rounds half to
   * even; integers saturate.
   *
   * @throws ERR_TERSOR_DTYPE for u32, i64 and the bit-packed types
   */
  cast(dtype: DType): Tensor {
    if (dtype === this.dtype) return this.clone();
    if (this.dtype !== 'f32' && dtype !== 'f32') {
      const wide = this.cast('f32');
      try {
        return wide.cast(dtype);
      } finally {
        wide.dispose();
      }
    }
    return filled(empty(this.shape, dtype, this.device), (result) => native.cast(this.handle, result.handle));
  }

  [inspect.custom](): string {
    const state = this.#disposed ? ', disposed' : '';
    return `Tensor(${this.dtype} ${formatShape(this.shape)} on ${this.device}${state})`;
  }
}
