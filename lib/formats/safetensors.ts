/**
 * The safetensors container: 8 bytes of header length (u64, little endian), a JSON header that names each tensor's dtype, shape and
 * byte range, then the bytes (huggingface/safetensors).
 */
import { TersorError } from '../errors';
import { writeFileAtomic } from './atomic';
import { type OpenFile, withFile } from './io';
import {
  HEADER_LIMIT,
  parseHeader,
  quote,
  renderHeader,
  type SafetensorsDType,
  type TensorInfo,
} from './safetensors-header';

export type { SafetensorsDType } from './safetensors-header';

/** One tensor of a file. */
export interface TensorEntry {
  readonly dtype: SafetensorsDType;
  /** Dimensions, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /**
   * The elements: row-major, little endian. An entry that {@link readSafetensors} made fetches them from the disk at every access, into
   * new memory (`byteOffset` 0), so that opening a large file costs only its header: keep the result when it is used twice.
   */
  readonly data: Uint8Array;
}

/** What a file holds. */
export interface Safetensors {
  /** Free text beside the tensors (the header's `__metadata__`). */
  readonly metadata: Record<string, string>;
  /** By name, in the order of their bytes in the file. */
  readonly tensors: Map<string, TensorEntry>;
  /** Length of the whole file in bytes. */
  readonly fileBytes: number;
}

/**
 * Opens a safetensors file. The header is checked completely: UTF-8 JSON without repeated names, known dtypes, byte ranges that agree
 * with dtype and shape and cover the rest of the file without hole or overlap. A tensor's bytes are read when its `data` is accessed.
 *
 * @throws TersorError ERR_TERSOR_CORRUPT_FILE when the bytes contradict the format, ERR_TERSOR_IO when the file cannot be read. Access to
 *   `data` also throws ERR_TERSOR_IO when the file is no longer the one that was opened, ERR_TERSOR_OUT_OF_MEMORY when there is no room.
 *
 * @example
 * const { tensors } = readSafetensors('model.safetensors');
 * for (const [name, { dtype, shape }] of tensors) console.log(name, dtype, shape);
 */
export function readSafetensors(path: string): Safetensors {
  return withFile(path, (file) => {
    const start = 8 + headerLength(file);
    const { metadata, tensors } = parseHeader(file.read(8, start - 8), file.size - start, path);
    return {
      metadata,
      tensors: new Map(tensors.map((info) => [info.name, lazyEntry(info, start, file)])),
      fileBytes: file.size,
    };
  });
}

/**
 * Writes a safetensors file; the same tensors and metadata always give the same bytes. Tensors are ordered by dtype (widest first, so
 * that all are aligned), then by name, like the reference implementation's. The write is atomic (see {@link writeFileAtomic}).
 *
 * @param tensors - Name and content of each tensor. `data` is accessed once, one tensor at a time.
 * @param metadata - Free text, written sorted by key; left out of the file when empty.
 * @returns Length of the file in bytes.
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for a repeated or reserved name, an unknown dtype, a shape or metadata that cannot be
 *   written, or data of another length than dtype and shape say; ERR_TERSOR_IO when it cannot be written.
 *
 * @example
 * const bias = new Float32Array([0.5, -0.5]);
 * writeSafetensors('bias.safetensors', new Map([['bias', { dtype: 'F32', shape: [2], data: new Uint8Array(bias.buffer) }]]));
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, TensorEntry]>,
  metadata: Record<string, string> = {},
): number {
  const named = [...tensors].map(([name, entry]) => ({ name, dtype: entry.dtype, shape: entry.shape, entry }));
  const entries = new Map(named.map(({ name, entry }) => [name, entry]));
  const header = renderHeader(named, metadata, path);
  function* chunks(): Generator<Uint8Array> {
    yield header.start;
    for (const { name, dtype, shape, begin, end } of header.tensors) {
      const data = entries.get(name)?.data;
      if (data?.byteLength !== end - begin) {
        const got = data === undefined ? 'none' : `${data.byteLength}`;
        throw new TersorError(
          'ERR_TERSOR_INVALID_ARGUMENT',
          `expected ${end - begin} bytes for ${dtype} [${shape}], got ${got}, at tensor ${quote(name)} for ${path}`,
        );
      }
      yield data;
    }
  }
  return writeFileAtomic(path, chunks());
}

function headerLength(file: OpenFile): number {
  if (file.size < 8)
    throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected at least 8 bytes, got ${file.size}, at ${file.path}`);
  const prefix = file.read(0, 8);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  const limit = Math.min(HEADER_LIMIT, file.size - 8);
  if (length > BigInt(limit))
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected a header of at most ${limit} bytes, got ${length}, at ${file.path}`,
    );
  return Number(length);
}

function lazyEntry({ name, dtype, shape, begin, end }: TensorInfo, start: number, opened: OpenFile): TensorEntry {
  const { path, identity } = opened;
  return {
    dtype,
    shape,
    get data(): Uint8Array {
      return withFile(path, (file) => {
        if (file.identity !== identity)
          throw new TersorError(
            'ERR_TERSOR_IO',
            `expected the file that was opened, got a newer one, at tensor ${quote(name)} in ${path}`,
          );
        return file.read(start + begin, end - begin);
      });
    },
  };
}
