import { existsSync } from 'node:fs';
import path from 'node:path';

const FOLDER = path.join(__dirname, '..', '..', '..', 'shared');

/** As {@link withShared}, for a check that takes a while. */
export async function withSharedAsync(name: readonly string[], check: (file: string) => Promise<void>): Promise<void> {
  const file = sharedFile(name);
  if (file !== undefined) await check(file);
}

/**
 * Runs `check` on a file of `../shared`, which holds reference data that is not part of the repository. Without it says so and
 * checks nothing; in continuous integration a file missing from a folder that is there is a failure.
 */
export function withShared(name: readonly string[], check: (file: string) => void): void {
  const file = sharedFile(name);
  if (file !== undefined) check(file);
}

function sharedFile(name: readonly string[]): string | undefined {
  const file = path.join(FOLDER, ...name);
  if (existsSync(file)) return file;
  const missing = `../${['shared', ...name].join('/')} is absent`;
  if (process.env.CI === 'true' && existsSync(FOLDER)) throw new Error(missing);
  console.log(`      (not compared: ${missing})`);
  return undefined;
}
