/** Runs the command line from source, as a child process. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';

const root = path.join(__dirname, '..', '..');

/** What a finished command left. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link tersor}. */
export interface RunOptions {
  readonly env?: Record<string, string>;
  /** Called with the child once it runs. */
  readonly onStart?: (child: ChildProcess) => void;
  /** Where standard output goes instead of into the outcome: a file descriptor. */
  readonly stdout?: number;
}

/** Runs `tersor` with these arguments. */
export function tersor(args: readonly string[], { env, onStart, stdout = -1 }: RunOptions = {}): Promise<Outcome> {
  const command = ['--require', 'tsx/cjs', path.join(root, 'lib', 'cli', 'main.ts'), ...args];
  const child = spawn(process.execPath, command, {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', stdout < 0 ? 'pipe' : stdout, 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString();
  });
  onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...output }));
  });
}
