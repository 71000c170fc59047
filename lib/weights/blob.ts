import { TersorError } from '../errors';
import type { SafetensorsDType, TensorEntry } from '../formats/safetensors';
import type { DType } from '../native';
import { type Tensor, tensor } from '../tensor';

/** safetensors' names of the element types that a stored blob may have. */
const FILE_DTYPES: Partial<Record<DType, SafetensorsDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i8: 'I8',
  u8: 'U8',
  i32: 'I32',
  u32: 'U32',
  i64: 'I64',
};

/** A tensor as a blob; rows of bit-packed codes become rows of bytes. */
export function toBlob(x: Tensor): TensorEntry {
  const values = x.toArray();
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const dtype = FILE_DTYPES[x.dtype];
  if (dtype !== undefined) return { dtype, shape: [...x.shape], data };
  const rows = x.shape[0] as number;
  return { dtype: 'U8', shape: [rows, rows === 0 ? 0 : data.byteLength / rows], data };
}

/** A blob whose bytes are already as they should be in the file. */
export function bytesBlob(data: Uint8Array): TensorEntry {
  return { dtype: 'U8', shape: [data.byteLength], data };
}

/** Reads the blobs of one weight, checking each against what its descriptor promises. */
export interface BlobReader {
  /** The blob's own name in the file, for messages. */
  nameOf(blob: string): string;
  read(blob: string): TensorEntry;
}

/**
 * A blob as a native tensor.
 *
 * @throws ERR_TERSOR_CORRUPT_FILE when its dtype or shape differs from what is expected; ERR_TERSOR_NOT_FINITE when floats hold NaN or infinity
 */
export function fromBlob(reader: BlobReader, blob: string, dtype: DType, shape: readonly number[]): Tensor {
  const entry = reader.read(blob);
  const packed = FILE_DTYPES[dtype] === undefined;
  const fileDtype = FILE_DTYPES[dtype] ?? 'U8';
  const rowBytes = packed ? Math.ceil(((shape[1] ?? 0) * Number(dtype.slice(1))) / 8) : 0;
  const fileShape = packed ? [shape[0] as number, shape[0] === 0 ? 0 : rowBytes] : shape;
  if (entry.dtype !== fileDtype || entry.shape.join() !== fileShape.join()) {
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected ${fileDtype} [${fileShape.join(', ')}], got ${entry.dtype} [${entry.shape.join(', ')}], at tensor '${reader.nameOf(blob)}'`,
    );
  }
  const values = typedArray(entry);
  if (values instanceof Float32Array) assertFinite(values, reader.nameOf(blob));
  return tensor(values, shape, { dtype });
}

/** @throws ERR_TERSOR_NOT_FINITE naming the first element that is NaN or infinite */
export function assertFinite(values: Float32Array, name: string): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) {
    throw new TersorError(
      'ERR_TERSOR_NOT_FINITE',
      `expected finite numbers, got ${values[at]}, at element ${at} of tensor '${name}'`,
    );
  }
}

/** An entry's bytes as the typed array of its dtype. */
function typedArray({ dtype, data }: TensorEntry) {
  const { buffer, byteLength } = data;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, 0, byteLength / 4);
    case 'F16':
    case 'BF16':
      return new Uint16Array(buffer, 0, byteLength / 2);
    case 'I8':
      return new Int8Array(buffer, 0, byteLength);
    case 'I32':
      return new Int32Array(buffer, 0, byteLength / 4);
    case 'U32':
      return new Uint32Array(buffer, 0, byteLength / 4);
    case 'I64':
      return new BigInt64Array(buffer, 0, byteLength / 8);
    default:
      return data;
  }
}

/**
 * Writes a blob's numbers into an existing tensor, NaN included.
 *
 * @throws ERR_TERSOR_CORRUPT_FILE when it is missing, or its dtype or shape differs
 */
export function readInto(x: Tensor, entry: TensorEntry | undefined, where: string): void {
  const expected = FILE_DTYPES[x.dtype];
  if (entry === undefined || entry.dtype !== expected || entry.shape.join() !== x.shape.join()) {
    const got = entry === undefined ? 'none' : `${entry.dtype} [${entry.shape.join(', ')}]`;
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected ${expected} [${x.shape.join(', ')}], got ${got}, at ${where}`,
    );
  }
  x.write(typedArray(entry));
}
