/** The JSON header of a safetensors file: what it may say, and how it is written. Rules follow the reference implementation. */
import { TersorError } from '../errors';
import { decodeUtf8 } from './io';
import { duplicateKey } from './json-keys';

/** Bytes of one element. The order is the reference implementation's rank; tensors lie in a file from the last rank to the first. */
const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** Element type as safetensors spells it. */
export type SafetensorsDType = keyof typeof DTYPE_BYTES;

/** Where one tensor lies. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** First byte, and one past the last, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

/** What a header says. */
export interface Header {
  readonly metadata: Record<string, string>;
  /** In the order of their bytes. */
  readonly tensors: readonly TensorInfo[];
}

/** The reference implementation's bound on the length of a header, in bytes. */
export const HEADER_LIMIT = 100_000_000;
const METADATA = '__metadata__';
const DTYPES = Object.keys(DTYPE_BYTES) as SafetensorsDType[];

/** Number of bytes a tensor takes, or undefined when the shape is not a list of counts or the product is no exact integer. */
export function byteLength(dtype: SafetensorsDType, shape: readonly unknown[]): number | undefined {
  let bytes: number = DTYPE_BYTES[dtype];
  for (const dimension of shape) {
    if (!isCount(dimension)) return undefined;
    bytes *= dimension;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

/** True for a dtype that safetensors knows. */
export function isSafetensorsDType(value: unknown): value is SafetensorsDType {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
}

/** A name in an error message: escaped, and cut when a hostile file makes it long. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

/**
 * Parses a header and checks all it says.
 *
 * @param dataBytes - Bytes of the file after the header; the tensors must cover them without hole or overlap.
 * @throws TersorError ERR_TERSOR_CORRUPT_FILE
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number, path: string): Header {
  const text = decodeUtf8(bytes);
  if (text === undefined) throw corrupt('a header in UTF-8', 'other bytes', path);
  if (!text.startsWith('{')) throw corrupt("a header that starts with '{'", quote(text.slice(0, 8)), path);
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw corrupt('a header in JSON', cause instanceof Error ? quote(cause.message) : 'none', path);
  }
  const repeated = duplicateKey(text);
  if (repeated !== undefined) throw corrupt('each name once in the header', `${quote(repeated)} twice`, path);

  const { [METADATA]: metadata, ...infos } = json;
  const tensors = Object.entries(infos).map(([name, info]) => parseInfo(name, info, path));
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(tensors, dataBytes, path);
  return { metadata: parseMetadata(metadata, path), tensors };
}

/**
 * Lays tensors out and writes the start of a file: header length, header, padding to 8 bytes.
 *
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for what a header cannot say.
 */
export function renderHeader(
  tensors: readonly Pick<TensorInfo, 'name' | 'dtype' | 'shape'>[],
  metadata: Record<string, string>,
  path: string,
): { start: Uint8Array; tensors: readonly TensorInfo[] } {
  const ordered = tensors.map((tensor) => ({ ...tensor, bytes: checkedByteLength(tensor, path) }));
  ordered.sort(
    (a, b) =>
      DTYPES.indexOf(b.dtype) - DTYPES.indexOf(a.dtype) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  const names = new Set<string>();
  const infos: TensorInfo[] = [];
  // The members are joined as text: in an object, names that look like integers would move to the front.
  const members = renderMetadata(metadata, path);
  let begin = 0;
  for (const { name, dtype, shape, bytes } of ordered) {
    if (names.has(name)) throw invalid('each tensor name once', `${quote(name)} twice`, path);
    names.add(name);
    const end = begin + bytes;
    infos.push({ name, dtype, shape, begin, end });
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const text = Buffer.from(`{${members.join(',')}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  if (headerBytes > HEADER_LIMIT) throw invalid(`a header of at most ${HEADER_LIMIT} bytes`, `${headerBytes}`, path);
  const start = Buffer.alloc(8 + headerBytes, ' ');
  start.writeBigUInt64LE(BigInt(headerBytes));
  text.copy(start, 8);
  return { start, tensors: infos };
}

function parseInfo(name: string, value: unknown, path: string): TensorInfo {
  const at = `tensor ${quote(name)} in ${path}`;
  if (!isObject(value)) throw corrupt('an object with dtype, shape and data_offsets', shown(value), at);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDType(dtype)) throw corrupt(`a dtype of ${DTYPES.join(', ')}`, shown(dtype), at);
  if (!Array.isArray(shape)) throw corrupt('a shape (a list of counts)', shown(shape), at);
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined) throw corrupt('a shape of counts whose product is an exact integer', shown(shape), at);
  if (!Array.isArray(offsets) || offsets.length !== 2) throw corrupt('data_offsets [begin, end]', shown(offsets), at);
  const [begin, end]: unknown[] = offsets;
  if (!isCount(begin) || !isCount(end) || end < begin)
    throw corrupt('data_offsets 0 <= begin <= end', shown(offsets), at);
  if (end - begin !== bytes)
    throw corrupt(
      `${bytes} bytes for ${dtype} [${shape}]`,
      `data_offsets ${shown(offsets)} (${end - begin} bytes)`,
      at,
    );
  return { name, dtype, shape, begin, end };
}

function checkCoverage(tensors: readonly TensorInfo[], dataBytes: number, path: string): void {
  let end = 0;
  for (const tensor of tensors) {
    const at = `tensor ${quote(tensor.name)} in ${path}`;
    if (tensor.begin !== end)
      throw corrupt(`data_offsets that begin at ${end} (no hole, no overlap)`, `${tensor.begin}`, at);
    end = tensor.end;
    if (end > dataBytes) throw corrupt(`at least ${end} bytes after the header`, `${dataBytes} (truncated)`, at);
  }
  if (end !== dataBytes) throw corrupt(`${end} bytes after the header`, `${dataBytes}`, path);
}

function parseMetadata(value: unknown, path: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value)) throw corrupt(`an object of strings as ${METADATA}`, shown(value), path);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw corrupt('a string', shown(text), `${METADATA} ${quote(key)} in ${path}`);
  }
  return value as Record<string, string>;
}

/** The header's first member, or none. */
function renderMetadata(metadata: Record<string, string>, path: string): string[] {
  const keys = Object.keys(metadata).sort();
  if (keys.length === 0) return [];
  const members = keys.map((key) => {
    const value: unknown = metadata[key];
    if (typeof value !== 'string' || !isWellFormed(key) || !isWellFormed(value))
      throw invalid('well-formed text as metadata', shown(value), `${quote(key)} for ${path}`);
    return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  });
  return [`${JSON.stringify(METADATA)}:{${members.join(',')}}`];
}

function checkedByteLength(tensor: Pick<TensorInfo, 'name' | 'dtype' | 'shape'>, path: string): number {
  const { name, dtype, shape } = tensor;
  const at = `tensor ${quote(name)} for ${path}`;
  if (name === METADATA || !isWellFormed(name))
    throw invalid(`a name other than ${METADATA}, in well-formed text`, quote(name), at);
  if (!isSafetensorsDType(dtype)) throw invalid(`a dtype of ${DTYPES.join(', ')}`, shown(dtype), at);
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined) throw invalid('a shape of counts whose product is an exact integer', shown(shape), at);
  return bytes;
}

/** A lone surrogate has no UTF-8 form: other readers would refuse the file. */
function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function corrupt(expected: string, got: string, at: string): TersorError {
  return new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected ${expected}, got ${got}, at ${at}`);
}

function invalid(expected: string, got: string, at: string): TersorError {
  return new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected ${expected}, got ${got}, at ${at}`);
}
