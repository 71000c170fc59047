/** What the scripts share: running a command quietly, saying what is being done and for how long, comparing file times. */
import { spawn } from 'node:child_process';
import { readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root folder of the repository. */
export const root = path.resolve(fileURLToPath(new URL('..', import.meta.url)));

/** A failure whose cause is known: `message` says what happened and what to do, `output` is what the command printed. */
export class StepError extends Error {
  /**
   * @param {string} message
   * @param {string} [output]
   */
  constructor(message, output = '') {
    super(message);
    this.output = output;
  }
}

/**
 * Runs a command and collects what it prints (both streams, in order).
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string>, cwd?: string, show?: boolean }} [options] `env` is added to ours; `show`
 *   passes the output on while it is collected.
 * @returns {Promise<string>} what it printed; rejects with {@link StepError} when it does not exit with 0
 */
export function run(command, args, { env = {}, cwd = root, show = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        if (show) process.stdout.write(text);
      });
    }
    const line = [path.relative(root, command).startsWith('..') ? command : path.relative(root, command), ...args].join(
      ' ',
    );
    child.on('error', (cause) => reject(new StepError(`could not run '${line}': ${cause.message}`, output)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new StepError(`'${line}' ended with ${signal ?? `exit code ${code}`}`, output));
    });
  });
}

/**
 * Runs one step of a script and prints its name, result and time on one line.
 *
 * @param {string} name
 * @param {() => string | void | Promise<string | void>} work may return a remark for the line, such as 'up to date'
 */
export async function step(name, work) {
  const start = performance.now();
  const terminal = process.stdout.isTTY;
  const show = () => process.stdout.write(`${terminal ? '\r\x1b[K' : ''}… ${name}  ${elapsed(start)}`);
  if (terminal) show();
  const ticks = terminal ? setInterval(show, 1000) : undefined;
  const settle = (/** @type {string} */ text) => {
    clearInterval(ticks);
    process.stdout.write(`${terminal ? '\r\x1b[K' : ''}${text}\n`);
  };
  try {
    const remark = await work();
    settle(`✓ ${name}  ${remark ? `${remark}, ` : ''}${elapsed(start)}`);
  } catch (error) {
    settle(`✗ ${name}  ${elapsed(start)}`);
    throw error;
  }
}

/**
 * Prints an error the way a reader needs it: first what the command printed, last what to do.
 *
 * @param {unknown} error
 */
export function printError(error) {
  if (!(error instanceof StepError)) {
    console.error(error);
    return;
  }
  if (error.output) console.error(error.output.trimEnd());
  console.error(`\n${error.message}`);
}

/** @param {number} start `performance.now()` at the beginning */
export function elapsed(start) {
  const seconds = (performance.now() - start) / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/**
 * Every file under the given files and folders.
 *
 * @param {...string} places relative to the root; those that do not exist count as empty
 * @returns {string[]} absolute paths
 */
export function filesUnder(...places) {
  return places.flatMap((place) => {
    const full = path.resolve(root, place);
    const stat = statSync(full, { throwIfNoEntry: false });
    if (!stat) return [];
    if (stat.isFile()) return [full];
    return readdirSync(full, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
  });
}

/**
 * True when `target` exists and no source is newer than it.
 *
 * @param {string} target relative to the root
 * @param {readonly string[]} sources absolute paths
 */
export function isUpToDate(target, sources) {
  const built = statSync(path.resolve(root, target), { throwIfNoEntry: false });
  return built !== undefined && sources.every((file) => statSync(file).mtimeMs <= built.mtimeMs);
}

/**
 * True in the script that was started, false in the modules it imports.
 *
 * @param {string} moduleUrl `import.meta.url`
 */
export function isMain(moduleUrl) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(moduleUrl));
}
