/** Reading files with bounds, and one way to report what the operating system refused. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { TersorError } from '../errors';

/** One read call takes at most 2^31 - 1 bytes. */
const READ_LIMIT = 2 ** 30;

/** A file opened by {@link withFile}. */
export interface OpenFile {
  readonly path: string;
  /** Length in bytes when it was opened. */
  readonly size: number;
  /** Changes when the file is replaced or written to. */
  readonly identity: string;
  /**
   * Reads `length` bytes from `position` into memory of its own (byteOffset 0, so that wider typed arrays fit over it).
   *
   * @throws TersorError ERR_TERSOR_CORRUPT_FILE when the file ends earlier.
   */
  read(position: number, length: number): Uint8Array<ArrayBuffer>;
}

/** True for errors made by a failed system call (`code` such as 'ENOSPC'). */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string';
}

/**
 * Turns an error of the operating system into ERR_TERSOR_IO; other errors pass through unchanged.
 *
 * @param action - What was tried, as it follows "expected to": 'write', 'read'.
 */
export function ioError(action: string, path: string, cause: unknown): unknown {
  if (!isSystemError(cause)) return cause;
  return new TersorError('ERR_TERSOR_IO', `expected to ${action} the file, got ${cause.message}, at ${path}`, {
    cause,
  });
}

/** Names what is at a path in an error message. */
export function describeFile(stat: Stats): string {
  if (stat.isDirectory()) return 'a folder';
  return stat.isFile() ? 'a regular file' : 'a device, pipe or socket';
}

/**
 * Opens a regular file for reading, hands it to `use`, and closes it whatever happens.
 *
 * @throws TersorError ERR_TERSOR_IO when the operating system refuses, or when `path` is not a regular file.
 */
export function withFile<T>(path: string, use: (file: OpenFile) => T): T {
  try {
    // O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(descriptor);
      if (!stat.isFile())
        throw new TersorError(
          'ERR_TERSOR_IO',
          `expected a regular file to read, got ${describeFile(stat)}, at ${path}`,
        );
      return use({
        path,
        size: stat.size,
        identity: `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}`,
        read: (position, length) => readFully(descriptor, path, position, length),
      });
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw ioError('read', path, error);
  }
}

/**
 * Reads a text file.
 *
 * @param limit - The most bytes a sensible file of its kind has.
 * @throws TersorError ERR_TERSOR_IO, or ERR_TERSOR_CORRUPT_FILE when it is longer than `limit` or not UTF-8.
 */
export function readText(path: string, limit: number): string {
  return withFile(path, (file) => {
    if (file.size > limit)
      throw new TersorError(
        'ERR_TERSOR_CORRUPT_FILE',
        `expected at most ${limit} bytes of text, got ${file.size}, at ${path}`,
      );
    const text = decodeUtf8(file.read(0, file.size));
    if (text === undefined)
      throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected text in UTF-8, got other bytes, at ${path}`);
    return text.startsWith('\uFEFF') ? text.slice(1) : text;
  });
}

/** Strict decoding: undefined where a lenient decoder would put replacement characters. A byte-order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function readFully(descriptor: number, path: string, position: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = allocate(length, path);
  for (let at = 0; at < length; ) {
    const got = readSync(descriptor, bytes, at, Math.min(length - at, READ_LIMIT), position + at);
    if (got === 0)
      throw new TersorError(
        'ERR_TERSOR_CORRUPT_FILE',
        `expected ${length} bytes from byte ${position}, got ${at} (truncated), at ${path}`,
      );
    at += got;
  }
  return bytes;
}

function allocate(length: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_MEMORY',
      `expected to hold ${length} bytes in memory, got ${String(cause)}, at ${path}`,
      { cause },
    );
  }
}
