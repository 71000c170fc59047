import { mkdirSync, rmSync } from 'node:fs';
import { TersorError } from '../errors';
import { isSystemError } from '../formats/io';

/**
 * Creates a folder and those it lies in, unless they exist.
 *
 * @throws ERR_TERSOR_IO
 */
export function makeFolder(folder: string): void {
  attempt('create the folder', folder, () => mkdirSync(folder, { recursive: true }));
}

/**
 * Removes a file, or a folder with all that is in it, if it exists.
 *
 * @throws ERR_TERSOR_IO
 */
export function removePath(path: string): void {
  attempt('remove it', path, () => rmSync(path, { recursive: true, force: true }));
}

function attempt(action: string, path: string, act: () => void): void {
  try {
    act();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new TersorError('ERR_TERSOR_IO', `expected to ${action}, got ${cause.message}, at ${path}`, { cause });
  }
}
