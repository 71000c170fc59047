/** Temporary folders, error capture and child processes for the tests of files. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TersorError } from '../../lib/errors';

export const root = path.join(__dirname, '..', '..');

/** A folder that is removed after the describe block's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tersor-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The TersorError that `act` throws. */
export function errorOf(act: () => unknown): TersorError {
  try {
    act();
  } catch (error) {
    if (error instanceof TersorError) return error;
    throw error;
  }
  throw new Error('expected a TersorError, got none');
}

/** Arguments that make node run `code` (CommonJS, with TypeScript modules relative to the repository root). */
export function nodeArguments(code: string): string[] {
  return ['--require', 'tsx/cjs', '--eval', code];
}

/** Runs `code` in a child process until it prints a line that contains `text`; the caller kills the child. */
export async function childUntil(code: string, text: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, nodeArguments(code), { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(text)) resolve();
    });
    child.on('exit', (code) => reject(new Error(`child ended with ${code} before it printed ${text}`)));
  });
  return child;
}

/** Kills with SIGKILL and waits until the process is gone. */
export async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** Shell prefix that gives a command a private file system of 64 KiB at `folder`, or undefined where mounting is not allowed. */
export function tinyDisk(folder: string): string[] | undefined {
  const mount = 'mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"';
  for (const unshare of [
    ['unshare', '--mount'],
    ['unshare', '--user', '--map-root-user', '--mount'],
  ]) {
    const prefix = [...unshare, 'bash', '-c', mount, 'bash', folder];
    if (spawnSync(prefix[0] as string, [...prefix.slice(1), 'true']).status === 0) return prefix;
  }
  return undefined;
}
