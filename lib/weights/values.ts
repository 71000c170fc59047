import type { TensorEntry } from '../formats/safetensors';
import { type IntegerBits, native } from '../native';
import { type Affine, affineArguments, empty, type Tensor, tensor } from '../tensor';
import { packBits, unpackBits } from './bit-stream';
import { type BlobReader, bytesBlob, readArray, toBlob } from './blob';
import type { BlockSparseDescriptor, SemiStructuredDescriptor, SparseDescriptor } from './descriptor';
import { describeInput, type InputQuantization } from './input';
import { integersOf } from './integer';
import {
  affineFor,
  assertIntegerProduct,
  assertIntegerScheme,
  assertScheme,
  codeRange,
  describeScheme,
  type QuantizationScheme,
} from './scheme';
import type { StoredWeight } from './weight';

/** How the values of a sparse weight of any pattern are rounded, and the inputs of its product. */
export interface ValueQuantization {
  readonly scheme: QuantizationScheme;
  /** f32 [rows or 1, 1]. */
  readonly scales: Tensor;
  readonly input: InputQuantization | null;
}

/** Integers, or real numbers beside no scheme. */
export type Values = Float32Array | Int8Array;

/** @throws ERR_TERSOR_UNSUPPORTED for what no sparse weight has: see `Sparse.from` */
export function assertSupported(
  shape: readonly number[],
  scheme: QuantizationScheme | null,
  input: InputQuantization | null,
): void {
  if (scheme !== null) assertIntegerScheme(scheme, 'a sparse weight');
  if (input !== null) assertIntegerProduct(scheme, shape);
}

/**
 * A matrix rounded to integers, and their scales f32 [rows or 1, 1]; to be called inside `tidy`.
 *
 * @param affine stays the caller's. Default: what covers w
 */
export function roundValues(
  w: Tensor,
  scheme: QuantizationScheme,
  affine?: Affine,
): { integers: Int8Array; scales: Tensor } {
  assertScheme(scheme, w.shape);
  const parameters = affine ?? affineFor(w, scheme);
  const codes = empty(w.shape, codeRange(scheme).dtype);
  native.quantize(w.handle, ...affineArguments(parameters), codes.handle);
  const scales = affine === undefined ? parameters.scales : parameters.scales.clone();
  return { integers: integersOf(codes, scheme), scales };
}

/** The bits that the kernels read a scheme's integers in. */
export function integerBits({ bits }: QuantizationScheme): IntegerBits {
  return bits === 8 ? 8 : 4;
}

/** The real numbers that a matrix of integers stands for. */
export function scaleRows(integers: ArrayLike<number>, columns: number, scales: Tensor): Float32Array {
  const factors = scales.toArray() as Float32Array;
  return Float32Array.from(integers, (value, i) => {
    const row = factors.length === 1 ? 0 : Math.floor(i / columns);
    return value * (factors[row] as number);
  });
}

/** What a weight of such values calls itself: "int8 per channel, <sparsity>, int8 inputs". */
export function describeValues(quantization: ValueQuantization | null, sparsity: string): string {
  const values = quantization === null ? 'f32' : describeScheme(quantization.scheme);
  return `${values}, ${sparsity}${describeInput(quantization?.input)}`;
}

/** Adds the values of a sparse weight, and how they are rounded, to what it stores of its pattern. */
export function storeValues(
  tensors: Map<string, TensorEntry>,
  descriptor: SparseDescriptor | BlockSparseDescriptor | SemiStructuredDescriptor,
  values: Values,
  quantization: ValueQuantization | null,
): StoredWeight {
  if (quantization === null) {
    tensors.set('values', { dtype: 'F32', shape: [values.length], data: new Uint8Array(values.buffer) });
    return { tensors, descriptor };
  }
  const { scheme, scales, input } = quantization;
  tensors.set('values', packIntegers(values as Int8Array, scheme));
  tensors.set('scales', toBlob(scales));
  descriptor.scheme = scheme;
  if (input !== null) descriptor.input = input;
  return { tensors, descriptor };
}

/** A byte each with 8 bits, else bit-packed codes. */
function packIntegers(integers: Int8Array, scheme: QuantizationScheme): TensorEntry {
  if (scheme.bits === 8) return { dtype: 'I8', shape: [integers.length], data: new Uint8Array(integers.buffer) };
  const { zeroPoint } = codeRange(scheme);
  return bytesBlob(packShifted(integers, scheme.bits, zeroPoint ?? 0));
}

/** Integers plus a number that leaves none below 0, bit-packed. */
function packShifted(integers: Int8Array, bits: number, zeroPoint: number): Uint8Array {
  return packBits(
    Uint8Array.from(integers, (value) => value + zeroPoint),
    bits,
  );
}

/** What {@link valuesTensor} adds to integers of four bits. */
const SHORT_ZERO = 8;

/** The values of a sparse weight in a tensor that takes {@link integerBits} for each integer: f32, i8, or u4 that are 8 more. */
export function valuesTensor(values: Values, quantization: ValueQuantization | null): Tensor {
  if (quantization === null || integerBits(quantization.scheme) === 8) return tensor(values);
  return tensor(packShifted(values as Int8Array, 4, SHORT_ZERO), [values.length], { dtype: 'u4' });
}

/** Undoes {@link valuesTensor}. */
export function valuesOf(stored: Tensor): Values {
  const values = stored.toArray();
  if (stored.dtype !== 'u4') return values as Values;
  return Int8Array.from(unpackBits(values as Uint8Array, 4, stored.size), (code) => code - SHORT_ZERO);
}

/** Integers out of what {@link storeValues} made of them. */
export function readIntegers(reader: BlobReader, scheme: QuantizationScheme, count: number): Int8Array {
  if (scheme.bits === 8) return readArray(reader, 'values', 'I8', [count]);
  const { zeroPoint } = codeRange(scheme);
  const packed = readArray(reader, 'values', 'U8', [Math.ceil((count * scheme.bits) / 8)]);
  return Int8Array.from(unpackBits(packed, scheme.bits, count), (code) => code - (zeroPoint ?? 0));
}
