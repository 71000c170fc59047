import { mkdirSync, rmSync } from 'node:fs';
import { TersorError } from '../errors';
import { isSystemError } from '../formats/io';

/**
 * Creates a folder and those it lies in, unless they exist.
 *
 * @throws ERR_TERSOR_IO
 */
export function makeFolder(folder: string): void {
  attempt('create', folder, () => mkdirSync(folder, { recursive: true }));
}

/**
 * Removes a folder with all that is in it, if it exists.
 *
 * @throws ERR_TERSOR_IO
 */
export function removeFolder(folder: string): void {
  attempt('remove', folder, () => rmSync(folder, { recursive: true, force: true }));
}

function attempt(action: string, folder: string, act: () => void): void {
  try {
    act();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new TersorError('ERR_TERSOR_IO', `expected to ${action} the folder, got ${cause.message}, at ${folder}`, {
      cause,
    });
  }
}
