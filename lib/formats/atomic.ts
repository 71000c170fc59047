/**
 * Files that appear whole or not at all: the bytes go to a temporary name in the same folder, are flushed to the disk, and only
 * then take the file's name. A process killed at any moment leaves the old file, the new file, or no file; never half of one.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { TersorError } from '../errors';
import { describeFile, ioError, isSystemError } from './io';

/** One write call takes at most 2^31 - 1 bytes. */
const WRITE_LIMIT = 2 ** 30;
/** File systems without a notion of flushing a folder answer with one of these; the file itself is flushed by then. */
const FOLDER_SYNC_REFUSED = new Set(['EINVAL', 'ENOTSUP', 'EPERM', 'EACCES', 'EISDIR', 'ENOSYS']);
const HOST =
  hostname()
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(0, 48) || 'host';
const TEMPORARY = /^\.tersor-([A-Za-z0-9]+)-(\d+)-[0-9a-f]{12}\.tmp$/;

/**
 * Writes a file so that `path` holds either its old content or all of the new, whatever happens in between: a full disk, a
 * missing permission, an error thrown by `chunks`, SIGKILL, a power cut. An existing file keeps its permissions; a symbolic link
 * stays and its target is replaced. A killed process can leave a file `.tersor-<host>-<pid>-<random>.tmp`; the next write into
 * that folder removes those whose process is gone.
 *
 * @param path - The file to create or replace; its folder must exist.
 * @param chunks - The content: bytes, text (written as UTF-8), or pieces that are written as they are produced.
 * @returns The number of bytes written.
 * @throws TersorError ERR_TERSOR_IO with `cause` when the operating system refuses, or when `path` is not a regular file.
 *
 * @example
 * writeFileAtomic('report.json', JSON.stringify({ schemaVersion: 1 }));
 */
export function writeFileAtomic(path: string, chunks: Uint8Array | string | Iterable<Uint8Array | string>): number {
  const pieces = typeof chunks === 'string' || chunks instanceof Uint8Array ? [chunks] : chunks;
  try {
    const { target, mode } = resolveTarget(path);
    const folder = dirname(target);
    removeStale(folder);
    const temporary = join(folder, `.tersor-${HOST}-${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
    const descriptor = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666);
    let bytes: number;
    try {
      try {
        if (mode !== undefined) fchmodSync(descriptor, mode);
        bytes = writePieces(descriptor, pieces);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, target);
    } catch (error) {
      removeQuietly(temporary);
      throw error;
    }
    syncFolder(folder);
    return bytes;
  } catch (error) {
    throw ioError('write', path, error);
  }
}

/** Follows links, so that the link survives, and refuses what a rename would destroy: folders, devices, pipes. */
function resolveTarget(path: string): { target: string; mode?: number } {
  let target: string;
  try {
    target = realpathSync(path);
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ENOENT') throw error;
    return { target: join(realpathSync(dirname(path)), basename(path)) };
  }
  const stat = statSync(target);
  if (!stat.isFile())
    throw new TersorError(
      'ERR_TERSOR_IO',
      `expected a regular file or a new name to write to, got ${describeFile(stat)}, at ${path}`,
    );
  return { target, mode: stat.mode & 0o777 };
}

function writePieces(descriptor: number, pieces: Iterable<Uint8Array | string>): number {
  let total = 0;
  for (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    for (let at = 0; at < bytes.byteLength; )
      at += writeSync(descriptor, bytes, at, Math.min(bytes.byteLength - at, WRITE_LIMIT));
    total += bytes.byteLength;
  }
  return total;
}

/** Without this a power cut can forget the rename. */
function syncFolder(folder: string): void {
  try {
    const descriptor = openSync(folder, constants.O_RDONLY);
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (!isSystemError(error) || !FOLDER_SYNC_REFUSED.has(error.code)) throw error;
  }
}

/** Removes what killed processes of this machine left in `folder`. A folder that cannot be listed is no reason to fail a write. */
function removeStale(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return;
  }
  for (const name of names) {
    const match = TEMPORARY.exec(name);
    if (match?.[1] === HOST && isStale(join(folder, name), Number(match[2]))) removeQuietly(join(folder, name));
  }
}

/** A file under this process's id is another thread's work in progress, unless it is older than the process. */
function isStale(path: string, pid: number): boolean {
  try {
    if (pid === process.pid) return statSync(path).mtimeMs < Date.now() - process.uptime() * 1000;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return isSystemError(error) && error.code === 'ESRCH';
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Nothing more can be done for it, and the first error is the one to report.
  }
}
