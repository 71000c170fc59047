import { TersorError } from '../errors';
import type { SafetensorsDType, TensorEntry } from '../formats/safetensors';
import type { DType } from '../native';
import { type Tensor, tensor } from '../tensor';

/** safetensors' names of the element types that a stored blob may have. */
const FILE_DTYPES: Partial<Record<DType, FileDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i8: 'I8',
  u8: 'U8',
  i32: 'I32',
  u32: 'U32',
  i64: 'I64',
};

/** The array of each of them. */
interface FileArrays {
  F32: Float32Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I8: Int8Array;
  U8: Uint8Array;
  I32: Int32Array;
  U32: Uint32Array;
  I64: BigInt64Array;
}
type FileDType = keyof FileArrays & SafetensorsDType;

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
 * A blob as an array.
 *
 * @param shape what it must be; null for one dimension of any length
 * @throws ERR_TERSOR_CORRUPT_FILE when its dtype or shape differs from what is expected; ERR_TERSOR_NOT_FINITE when floats hold NaN or infinity
 */
export function readArray<D extends FileDType>(
  reader: BlobReader,
  blob: string,
  dtype: D,
  shape: readonly number[] | null,
): FileArrays[D] {
  const entry = reader.read(blob);
  const fits = shape === null ? entry.shape.length === 1 : entry.shape.join() === shape.join();
  if (entry.dtype !== dtype || !fits) {
    throw corrupt(
      reader,
      blob,
      `${dtype} [${shape?.join(', ') ?? 'any'}]`,
      `${entry.dtype} [${entry.shape.join(', ')}]`,
    );
  }
  const values = arrayOf(dtype, entry.data);
  if (values instanceof Float32Array) assertFinite(values, reader.nameOf(blob));
  return values;
}

/** A blob as a native tensor; throws as {@link readArray}. */
export function readTensor(reader: BlobReader, blob: string, dtype: DType, shape: readonly number[]): Tensor {
  const fileDtype = FILE_DTYPES[dtype];
  if (fileDtype !== undefined) return tensor(readArray(reader, blob, fileDtype, shape), shape, { dtype });
  const [rows = 0, columns = 0] = shape;
  const rowBytes = rows === 0 ? 0 : Math.ceil((columns * Number(dtype.slice(1))) / 8);
  return tensor(readArray(reader, blob, 'U8', [rows, rowBytes]), shape, { dtype });
}

/** The scales of a weight: steps, so they must be positive. Throws as {@link readArray}. */
export function readScales(reader: BlobReader, shape: readonly [number, number]): Float32Array {
  const scales = readArray(reader, 'scales', 'F32', shape);
  const at = scales.findIndex((scale) => !(scale > 0));
  if (at >= 0) throw corrupt(reader, 'scales', 'scales above 0', `${scales[at]} as element ${at}`);
  return scales;
}

/** What a blob should hold and does not. */
export function corrupt(reader: BlobReader, blob: string, expected: string, got: string): TersorError {
  return new TersorError(
    'ERR_TERSOR_CORRUPT_FILE',
    `expected ${expected}, got ${got}, at tensor '${reader.nameOf(blob)}'`,
  );
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

/**
 * Writes a blob's numbers into an existing tensor, NaN included.
 *
 * @throws ERR_TERSOR_CORRUPT_FILE when it is missing, or its dtype or shape differs
 */
export function readInto(x: Tensor, entry: TensorEntry | undefined, where: string): void {
  const expected = FILE_DTYPES[x.dtype];
  if (expected === undefined || entry?.dtype !== expected || entry.shape.join() !== x.shape.join()) {
    const got = entry === undefined ? 'none' : `${entry.dtype} [${entry.shape.join(', ')}]`;
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected ${expected} [${x.shape.join(', ')}], got ${got}, at ${where}`,
    );
  }
  x.write(arrayOf(expected, entry.data));
}

const ARRAYS: { [D in FileDType]: new (buffer: ArrayBufferLike, offset: number, length: number) => FileArrays[D] } = {
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  I32: Int32Array,
  U32: Uint32Array,
  I64: BigInt64Array,
};

/** Bytes as the array of a dtype; copied when they lie across its alignment. */
function arrayOf<D extends FileDType>(dtype: D, data: Uint8Array): FileArrays[D] {
  const ArrayOfDtype = ARRAYS[dtype];
  const width = new ArrayOfDtype(new ArrayBuffer(0), 0, 0).BYTES_PER_ELEMENT;
  const { buffer, byteOffset, byteLength } = data.byteOffset % width === 0 ? data : Uint8Array.from(data);
  return new ArrayOfDtype(buffer, byteOffset, byteLength / width);
}
