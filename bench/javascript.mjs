/** Products measured with the built package, as a program uses it, beside a peer that Node programs use. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, StepError } from '../scripts/support.mjs';
import { dynamicInt8, loadOnnxRuntime, matMulNBits } from './onnxruntime.mjs';

/** @typedef {typeof import('../lib/index.js')} Tersor */

/**
 * What a row measured from JavaScript asks for.
 *
 * @typedef {{ family: 'call' }
 *   | { family: 'matMulNBits', m: number, n: number, k: number, bits: 2 | 4 | 8, groupSize: number,
 *       inputPrecision: import('../lib/index.js').InputPrecision | null, accuracyLevel: 0 | 4 }
 *   | { family: 'dynamicInt8', m: number, n: number, k: number }} PackageJob
 */

/** @typedef {{ oursUs: number, peer?: string, peerUs?: number, ratio?: number, busy?: string }} Measured */

/** Of the largest element, between products that round their inputs each in their own way. */
const TOLERANCE = { int8: 0.1, int16: 1e-3 };

/** Above this p90/p10 of bursts of arithmetic the machine was busy. */
const QUIET_SPREAD = 1.25;
/** onnxruntime's threads spin for 40 ms after their work, on a core that ours now need. */
const REST_MS = 60;

/** @returns {Tersor} */
export function loadPackage() {
  if (!existsSync(path.join(root, 'dist/index.js'))) {
    throw new StepError('expected the built package, got no dist; type: npm run build');
  }
  return createRequire(import.meta.url)('../dist/index.js');
}

/**
 * @param {Tersor} tersor
 * @param {PackageJob} job
 * @param {{ threads: number, quick: boolean }} options
 * @returns {Promise<Measured>} medians of samples; `busy`: why they mean little
 */
export async function measureFromPackage(tersor, job, options) {
  tersor.setThreads(options.threads);
  switch (job.family) {
    case 'call':
      return measureCall(tersor, options);
    case 'matMulNBits':
      return measureMatMulNBits(tersor, job, options);
    case 'dynamicInt8':
      return measureDynamicInt8(tersor, job, options);
  }
}

/**
 * Time of `ops.matmul` of two 16×16 matrices and of the disposal of its result: the product itself is a tenth of a
 * microsecond.
 *
 * @param {Tersor} tersor
 * @param {{ quick: boolean }} options
 */
async function measureCall(tersor, { quick }) {
  const size = 16;
  const numbers = Float32Array.from({ length: size * size }, (_, i) => (i % 7) - 3);
  const a = tersor.tensor(numbers, [size, size]);
  const b = tersor.tensor(numbers, [size, size]);
  try {
    const ours = sampler(async (calls) => {
      for (let i = 0; i < calls; i++) tersor.ops.matmul(a, b).dispose();
    });
    return await compare(tersor, [ours], { seconds: quick ? 0.5 : 1, sampleMs: 10, restMs: 0 });
  } finally {
    a.dispose();
    b.dispose();
  }
}

/**
 * @param {Tersor} tersor
 * @param {Extract<PackageJob, { family: 'matMulNBits' }>} job
 * @param {{ threads: number, quick: boolean }} options
 */
async function measureMatMulNBits(tersor, job, options) {
  const { m, n, k, bits, groupSize, inputPrecision } = job;
  const numbers = uniform(m * k, 1);
  const dense = tersor.tensor(uniform(n * k, 2), [n, k]);
  const accurate = tersor.quantizeMatrix(dense, { bits, scheme: 'symmetric', granularity: 'group', groupSize });
  dense.dispose();
  const weight = accurate.withInputPrecision(inputPrecision);
  accurate.dispose();
  const ort = await loadOnnxRuntime();
  const { tensors } = weight.store();
  const codes = new Uint8Array(blob(tensors, 'codes'));
  // Ours are -127..127; theirs count from 128.
  if (bits === 8) for (let i = 0; i < codes.length; i++) codes[i] = /** @type {number} */ (codes[i]) ^ 128;
  const scales = new Float32Array(blob(tensors, 'scales'));
  const peer = await matMulNBits(ort, { ...job, x: numbers, codes, scales }, options.threads);
  const x = tersor.tensor(numbers, [m, k]);
  const tolerance = inputPrecision === null ? 1e-4 : TOLERANCE[inputPrecision];
  return measureProduct(tersor, { weight, x, peer, tolerance }, options);
}

/**
 * @param {Tersor} tersor
 * @param {Extract<PackageJob, { family: 'dynamicInt8' }>} job
 * @param {{ threads: number, quick: boolean }} options
 */
async function measureDynamicInt8(tersor, job, options) {
  const { m, n, k } = job;
  const numbers = uniform(m * k, 1);
  const dense = tersor.tensor(uniform(n * k, 2), [n, k]);
  const scheme = /** @type {const} */ ({ bits: 8, scheme: 'symmetric', granularity: 'channel' });
  const weight = tersor.quantizeMatrix(dense, scheme, 'dynamic');
  dense.dispose();
  const ort = await loadOnnxRuntime();
  const { tensors } = weight.store();
  const codes = new Int8Array(blob(tensors, 'codes'));
  const scales = new Float32Array(blob(tensors, 'scales'));
  const peer = await dynamicInt8(ort, { ...job, x: numbers, codes, scales }, options.threads);
  // Theirs has one range for all rows.
  return measureProduct(tersor, { weight, x: tersor.tensor(numbers, [m, k]), peer, tolerance: 0.02 }, options);
}

/**
 * Takes over the operands and the peer.
 *
 * @param {Tersor} tersor
 * @param {object} product
 * @param {import('../lib/index.js').Weight} product.weight
 * @param {import('../lib/index.js').Tensor} product.x
 * @param {import('./onnxruntime.mjs').Peer} product.peer
 * @param {number} product.tolerance of the results' difference, relative to the largest
 * @param {{ threads: number, quick: boolean }} options
 * @returns {Promise<Measured>}
 */
async function measureProduct(tersor, { weight, x, peer, tolerance }, { threads, quick }) {
  try {
    const y = weight.matmul(x);
    requireSame(/** @type {Float32Array} */ (y.toArray()), await peer.result(), tolerance);
    y.dispose();
    const ours = sampler(async (calls) => {
      for (let i = 0; i < calls; i++) weight.matmul(x).dispose();
    });
    const theirs = sampler(async (calls) => {
      for (let i = 0; i < calls; i++) await peer.run();
    });
    const measured = await compare(tersor, [ours, theirs], {
      seconds: quick ? 0.5 : 1.5,
      sampleMs: threads > 1 ? 20 : 2,
      restMs: threads > 1 ? REST_MS : 0,
    });
    return { ...measured, peer: peer.name };
  } finally {
    await peer.dispose();
    weight.dispose();
    x.dispose();
  }
}

/** @type {(tensors: ReadonlyMap<string, { data: Uint8Array }>, name: string) => ArrayBuffer} */
function blob(tensors, name) {
  const found = tensors.get(name);
  if (!found) throw new Error(`expected the weight to hold ${name}, got ${[...tensors.keys()].join(', ')}`);
  return Uint8Array.from(found.data).buffer;
}

/** Numbers of [-1, 1), the same ones for a seed (Park and Miller's generator). @type {(count: number, seed: number) => Float32Array} */
function uniform(count, seed) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return (state / 2147483647) * 2 - 1;
  });
}

/** @type {(ours: Float32Array, theirs: Float32Array, tolerance: number) => void} */
function requireSame(ours, theirs, tolerance) {
  let largest = 0;
  let apart = 0;
  theirs.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value));
    const difference = Math.abs(value - /** @type {number} */ (ours[i]));
    if (!(difference <= apart)) apart = difference;
  });
  if (!(apart <= largest * tolerance)) {
    throw new StepError(
      `expected our result to equal the peer's, got a difference of ${apart} where the largest is ${largest}`,
    );
  }
}

// --- timing ------------------------------------------------------------------------------------------------------------------

/**
 * @typedef {object} Sampler one side of a comparison
 * @property {(calls: number) => Promise<number>} time microseconds a call
 */

/** @type {(run: (calls: number) => Promise<void>) => Sampler} */
function sampler(run) {
  return {
    time: async (calls) => {
      const start = performance.now();
      await run(calls);
      return ((performance.now() - start) * 1000) / calls;
    },
  };
}

/**
 * Medians of the sides' times: samples of each in turn, at least 30 of them, and bursts of arithmetic in between.
 *
 * @param {Tersor} tersor
 * @param {readonly Sampler[]} sides ours, and the peer where there is one
 * @param {{ seconds: number, sampleMs: number, restMs: number }} pacing `restMs`: before each sample of the first side
 * @returns {Promise<Measured>}
 */
async function compare(tersor, sides, { seconds, sampleMs, restMs }) {
  // The first calls are interpreted, then compiled.
  const calls = await Promise.all(
    sides.map(async (side) => {
      let us = await side.time(1);
      for (let warm = 0; warm < 5 || warm * us < 20_000; warm++) us = Math.min(us, await side.time(1));
      return Math.max(1, Math.ceil((sampleMs * 1000) / us));
    }),
  );
  const burst = arithmetic(tersor);
  /** @type {number[][]} */
  const times = sides.map(() => []);
  /** @type {number[]} */
  const bursts = [];
  try {
    const start = performance.now();
    for (let sample = 0; sample < 30 || (sample < 300 && performance.now() - start < seconds * 1000); sample++) {
      for (const [i, side] of sides.entries()) {
        if (i === 0 && restMs > 0) await sleep(restMs);
        if (i === 0) bursts.push(burst.time());
        await side.time(1);
        times[i]?.push(await side.time(/** @type {number} */ (calls[i])));
      }
    }
  } finally {
    burst.dispose();
  }
  return summary(times.map(sorted), sorted(bursts));
}

/** A product in the caches, without memory that comes and goes. @param {Tersor} tersor */
function arithmetic(tersor) {
  const size = 256;
  const weight = new tersor.Dense(tersor.tensor(uniform(size * size, 1), [size, size]));
  const x = tersor.tensor(uniform(size * size, 2), [size, size]);
  const run = () => weight.matmul(x).dispose();
  for (let warm = 0; warm < 50; warm++) run();
  return {
    /** Milliseconds of a few. */
    time: () => {
      run();
      const start = performance.now();
      for (let i = 0; i < 5; i++) run();
      return performance.now() - start;
    },
    dispose: () => {
      weight.dispose();
      x.dispose();
    },
  };
}

/** @type {(numbers: readonly number[]) => Float64Array} */
const sorted = (numbers) => Float64Array.from(numbers).sort();

/** @type {(sides: readonly Float64Array[], bursts: Float64Array) => Measured} */
function summary([ours, peer], bursts) {
  const at = (/** @type {Float64Array} */ times, /** @type {number} */ share) =>
    /** @type {number} */ (times[Math.min(times.length - 1, Math.floor(times.length * share))]);
  if (!ours) throw new Error('expected a side to sum up');
  const spread = at(bursts, 0.9) / at(bursts, 0.1);
  /** @type {Measured} */
  const measured = { oursUs: at(ours, 0.5) };
  if (spread > QUIET_SPREAD) measured.busy = `arithmetic varied by ${spread.toFixed(2)} (p90/p10)`;
  if (!peer) return measured;
  measured.peerUs = at(peer, 0.5);
  if (!measured.busy) measured.ratio = measured.peerUs / measured.oursUs;
  return measured;
}
