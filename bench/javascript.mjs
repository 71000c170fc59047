/** What a call costs a program: measured with the built package, as a program uses it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { root, StepError } from '../scripts/support.mjs';

const SAMPLES = 30;
/** Calls in a sample: about 10 ms, so that a collection of garbage is spread over many. */
const CALLS = 5000;
const SIZE = 16;
/** Above this p90/p10 the machine was busy; a call allocates, and so varies more than a kernel. */
const QUIET_SPREAD = 1.25;

/**
 * Loads the package.
 *
 * @returns {typeof import('../lib/index.js')}
 */
export function loadPackage() {
  if (!existsSync(path.join(root, 'dist/index.js'))) {
    throw new StepError('expected the built package, got no dist; type: npm run build');
  }
  return createRequire(import.meta.url)('../dist/index.js');
}

/**
 * Time of `ops.matmul` of two 16×16 matrices and of the disposal of its result: the product itself is a tenth of a
 * microsecond.
 *
 * @param {typeof import('../lib/index.js')} tersor
 * @param {number} threads
 * @returns {{ oursUs: number, busy: string | null }} median of samples; `busy`: why it means little
 */
export function measureCall(tersor, threads) {
  tersor.setThreads(threads);
  const numbers = Float32Array.from({ length: SIZE * SIZE }, (_, i) => (i % 7) - 3);
  const a = tersor.tensor(numbers, [SIZE, SIZE]);
  const b = tersor.tensor(numbers, [SIZE, SIZE]);
  try {
    const sample = () => {
      const start = performance.now();
      for (let i = 0; i < CALLS; i++) tersor.ops.matmul(a, b).dispose();
      return ((performance.now() - start) * 1000) / CALLS;
    };
    // The first ones are interpreted, then compiled.
    for (let i = 0; i < 5; i++) sample();
    const times = Float64Array.from({ length: SAMPLES }, sample).sort();
    const at = (/** @type {number} */ index) => /** @type {number} */ (times[index]);
    const spread = at(SAMPLES - 1 - SAMPLES / 10) / at(SAMPLES / 10);
    return {
      oursUs: (at(SAMPLES / 2 - 1) + at(SAMPLES / 2)) / 2,
      busy: spread > QUIET_SPREAD ? `our time varied by ${spread.toFixed(2)} (p90/p10)` : null,
    };
  } finally {
    a.dispose();
    b.dispose();
  }
}
