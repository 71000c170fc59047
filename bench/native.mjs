/** Builds tersor-bench and runs it. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { compileJobs } from '../scripts/setup.mjs';
import { root, run, StepError } from '../scripts/support.mjs';
import { checkCompilers } from '../scripts/system-packages.mjs';

const FOLDER = 'build-bench';

/** Variables that change what a peer does: it is measured as it comes. */
const PEER_SETTINGS = /^(OPENBLAS|OMP|GOMP|KMP|DNNL|ONEDNN|MKL)_/;

/**
 * How long OpenMP's idle threads spin, in loops: about a millisecond. Long enough for the next call of the peer to find
 * them awake, short enough to be over when our turn comes.
 */
const SPIN_COUNT = '20000';

/** Compiles what is out of date. @returns {Promise<void>} */
export async function buildNative() {
  checkCompilers();
  await run('cmake', ['-S', '.', '-B', FOLDER, '-DCMAKE_BUILD_TYPE=Release', '-DTERSOR_BENCH=ON']);
  await run('cmake', ['--build', FOLDER, '--target', 'tersor-bench', '--parallel', String(compileJobs())]);
}

/**
 * @typedef {object} NativeRow a line of tersor-bench; fields that it does not have are left out
 * @property {string} job
 * @property {number} threads
 * @property {number} [oursUs]
 * @property {string} [peer]
 * @property {number} [peerUs]
 * @property {number} [ratio]
 * @property {number} [shareOfLimit]
 * @property {'arithmetic' | 'memory' | 'random rows'} [limit]
 * @property {string} [busy]
 * @property {boolean} [late] there was no time for it
 */

/**
 * @typedef {object} NativeRun
 * @property {{ isa: string, compiler: string, peer: string | null }} environment
 * @property {import('./results.mjs').Limits[]} limits
 * @property {NativeRow[]} rows
 */

/**
 * Runs jobs, each with every thread count.
 *
 * @param {readonly string[]} jobs
 * @param {{ threads: readonly number[], quick: boolean, seconds?: number, onRow: (row: NativeRow) => void }} options
 *   `seconds`: jobs that would not be done by then are left out
 * @returns {Promise<NativeRun>} rejects with {@link StepError} when the program fails
 */
export function runNative(jobs, { threads, quick, seconds, onRow }) {
  const settings = ['--threads', threads.join(',')];
  if (quick) settings.push('--batch-ms', '1', '--row-ms', '150');
  if (seconds !== undefined) settings.push('--seconds', String(seconds));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !PEER_SETTINGS.test(name)));
  const child = spawn(path.join(root, FOLDER, 'tersor-bench'), [...settings, ...jobs], {
    env: { ...env, GOMP_SPINCOUNT: SPIN_COUNT },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

  /** @type {NativeRun} */
  const result = { environment: { isa: '', compiler: '', peer: null }, limits: [], rows: [] };
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { environment, limits, row } = JSON.parse(line);
    if (environment) result.environment = environment;
    if (limits) result.limits.push(limits);
    if (row) {
      result.rows.push(row);
      onRow(row);
    }
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new StepError(`could not run tersor-bench: ${cause.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(result);
      else reject(new StepError(`tersor-bench ended with ${signal ?? `exit code ${code}`}`, errors));
    });
  });
}
