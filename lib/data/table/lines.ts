/** Lines of a text file that need not fit memory. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { TersorError } from '../../errors';
import { decodeUtf8, describeFile, ioError } from '../../formats/io';

/** Longest line, and longest record of several lines: more is no table. */
export const RECORD_LIMIT = 2 ** 24;

const NEWLINE = 10;

/** How {@link readLines} reads. */
export interface LineOptions {
  /** Bytes that are no UTF-8 make a line bad; `'latin1'` takes every byte as ISO 8859-1, as older MovieLens files need. Default `'utf-8'`. */
  readonly encoding?: 'utf-8' | 'latin1';
  /** Bytes read at once, and about the text that one chunk of rows comes from. Default 1 MiB. */
  readonly chunkBytes?: number;
  /** Stops reading; the iteration then rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
  /** Told after every chunk how much of the file has been read. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly total: number }) => void;
}

/** Lines that follow each other in a file. */
export interface LineBlock {
  /** Without their line ends (LF or CRLF); undefined for a line that is not in the encoding. */
  readonly lines: readonly (string | undefined)[];
  /** No more lines follow. */
  readonly last: boolean;
}

/**
 * Reads a file block by block, and never holds more than a chunk and a line of it. A byte-order mark is left out, and a last line
 * needs no line end. The last block may be empty.
 *
 * @throws TersorError ERR_TERSOR_IO when the file cannot be read; ERR_TERSOR_DATA for a line beyond 16 MiB; ERR_TERSOR_OUT_OF_RANGE for
 *   `chunkBytes` below 1
 */
export async function* readLines(path: string, options: LineOptions = {}): AsyncGenerator<LineBlock, void, void> {
  const { encoding = 'utf-8', chunkBytes = 2 ** 20, signal, onProgress } = options;
  if (!Number.isInteger(chunkBytes) || chunkBytes < 1 || chunkBytes > 2 ** 30) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected an integer in 1..${2 ** 30}, got ${chunkBytes}, at chunkBytes`,
    );
  }
  signal?.throwIfAborted();
  try {
    // O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) {
        throw new TersorError(
          'ERR_TERSOR_IO',
          `expected a regular file to read, got ${describeFile(stat)}, at ${path}`,
        );
      }
      let bytes = 0;
      let lineNumber = 1;
      let buffer = Buffer.allocUnsafe(chunkBytes);
      let held = 0;
      for (;;) {
        if (held === buffer.length) buffer = longer(buffer, path, lineNumber);
        const { bytesRead } = await file.read(buffer, held, buffer.length - held, null);
        signal?.throwIfAborted();
        bytes += bytesRead;
        held += bytesRead;
        const last = bytesRead === 0;
        const end = last ? held : buffer.subarray(0, held).lastIndexOf(NEWLINE);
        if (end < 0) continue;
        const lines = last && held === 0 ? [] : linesOf(buffer.subarray(0, end), encoding, lineNumber === 1);
        lineNumber += lines.length;
        buffer.copyWithin(0, end + 1, held);
        held = Math.max(held - end - 1, 0);
        onProgress?.({ bytes, total: stat.size });
        yield { lines, last };
        if (last) return;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw ioError('read', path, error);
  }
}

/** Room for a line that is longer than the buffer. */
function longer(buffer: Buffer, path: string, line: number): Buffer<ArrayBuffer> {
  if (buffer.length > RECORD_LIMIT) {
    throw new TersorError(
      'ERR_TERSOR_DATA',
      `expected a line of at most ${RECORD_LIMIT} bytes, got a longer one, at ${path}:${line}`,
    );
  }
  const room = Buffer.allocUnsafe(2 * buffer.length);
  buffer.copy(room);
  return room;
}

function linesOf(bytes: Buffer, encoding: 'utf-8' | 'latin1', first: boolean): (string | undefined)[] {
  const marked = first && encoding === 'utf-8' && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const content = marked ? bytes.subarray(3) : bytes;
  const text = encoding === 'latin1' ? content.toString('latin1') : decodeUtf8(content);
  if (text !== undefined) return text.split('\n').map(withoutReturn);
  // Only some of the lines are wrong: no byte of a longer character equals a line end.
  const lines: (string | undefined)[] = [];
  for (let start = 0; start <= content.length; ) {
    const at = content.indexOf(NEWLINE, start);
    const end = at < 0 ? content.length : at;
    const line = decodeUtf8(content.subarray(start, end));
    lines.push(line === undefined ? undefined : withoutReturn(line));
    start = end + 1;
  }
  return lines;
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
