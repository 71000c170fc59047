/** onnxruntime as the peer of products measured from JavaScript: sessions of one node, as a program would run them. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { root, run } from '../scripts/support.mjs';
import { modelBytes } from './onnx.mjs';

const FOLDER = path.join(root, 'bench');

/**
 * What is used of the package, which is installed only when it is to be measured.
 *
 * @typedef {object} OnnxRuntime
 * @property {{ create: (model: Uint8Array, options: object) => Promise<Session> }} InferenceSession
 * @property {new (type: string, data: Float32Array, shape: readonly number[]) => object} Tensor
 * @property {{ versions: { node?: string } }} env
 */

/**
 * @typedef {object} Session
 * @property {(feeds: object) => Promise<{ y: { data: Float32Array } }>} run
 * @property {() => Promise<void>} release
 */

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {() => Promise<unknown>} run one product
 * @property {() => Promise<Float32Array>} result of the product
 * @property {() => Promise<void>} dispose
 */

/** Installs the peer when it is not there, without its scripts: they only fetch libraries for GPUs. @returns {Promise<OnnxRuntime>} */
export async function loadOnnxRuntime() {
  if (!existsSync(path.join(FOLDER, 'node_modules/onnxruntime-node'))) {
    await run('npm', ['ci', '--prefix', FOLDER, '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund']);
  }
  return createRequire(import.meta.url)('onnxruntime-node');
}

/**
 * x · Wᵀ by MatMulNBits, symmetric.
 *
 * @param {OnnxRuntime} ort
 * @param {object} product
 * @param {Float32Array} product.x [m, k]
 * @param {Uint8Array} product.codes [n, k], packed from the low bits up
 * @param {Float32Array} product.scales [n, k / groupSize]
 * @param {number} product.m
 * @param {number} product.n
 * @param {number} product.k
 * @param {number} product.bits
 * @param {number} product.groupSize
 * @param {0 | 4} product.accuracyLevel 0: activations in f32; 4: in int8
 * @param {number} threads
 * @returns {Promise<Peer>}
 */
export function matMulNBits(ort, { x, codes, scales, m, n, k, bits, groupSize, accuracyLevel }, threads) {
  const groups = k / groupSize;
  const bytes = modelBytes({
    nodes: [
      {
        type: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: ['x', 'codes', 'scales'],
        outputs: ['y'],
        integers: { K: k, N: n, bits, block_size: groupSize, accuracy_level: accuracyLevel },
      },
    ],
    constants: [
      { name: 'codes', type: 'u8', shape: [n, groups, (groupSize * bits) / 8], data: codes },
      { name: 'scales', type: 'f32', shape: [n * groups], data: scales },
    ],
    input: { name: 'x', type: 'f32', shape: [m, k] },
    output: { name: 'y', type: 'f32', shape: [m, n] },
  });
  return session(ort, bytes, x, [m, k], threads);
}

/**
 * x · Wᵀ with x quantized per tensor at every call: DynamicQuantizeLinear, MatMulInteger, and the scales.
 *
 * @param {OnnxRuntime} ort
 * @param {object} product
 * @param {Float32Array} product.x [m, k]
 * @param {Int8Array} product.codes [n, k]
 * @param {Float32Array} product.scales [n]
 * @param {number} product.m
 * @param {number} product.n
 * @param {number} product.k
 * @param {number} threads
 * @returns {Promise<Peer>}
 */
export function dynamicInt8(ort, { x, codes, scales, m, n, k }, threads) {
  const transposed = new Int8Array(k * n);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < k; column++) {
      transposed[column * n + row] = /** @type {number} */ (codes[row * k + column]);
    }
  }
  const bytes = modelBytes({
    nodes: [
      { type: 'DynamicQuantizeLinear', inputs: ['x'], outputs: ['xq', 'xs', 'xz'] },
      { type: 'MatMulInteger', inputs: ['xq', 'w', 'xz'], outputs: ['sums'] },
      { type: 'Cast', inputs: ['sums'], outputs: ['floats'], integers: { to: 1 } },
      { type: 'Mul', inputs: ['xs', 'scales'], outputs: ['factors'] },
      { type: 'Mul', inputs: ['floats', 'factors'], outputs: ['y'] },
    ],
    constants: [
      { name: 'w', type: 'i8', shape: [k, n], data: transposed },
      { name: 'scales', type: 'f32', shape: [n], data: scales },
    ],
    input: { name: 'x', type: 'f32', shape: [m, k] },
    output: { name: 'y', type: 'f32', shape: [m, n] },
  });
  return session(ort, bytes, x, [m, k], threads);
}

/**
 * @param {OnnxRuntime} ort
 * @param {Uint8Array} bytes
 * @param {Float32Array} x
 * @param {readonly number[]} shape
 * @param {number} threads
 * @returns {Promise<Peer>}
 */
async function session(ort, bytes, x, shape, threads) {
  const made = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const feeds = { x: new ort.Tensor('float32', x, shape) };
  return {
    name: `onnxruntime ${ort.env.versions.node ?? ''}`.trim(),
    run: () => made.run(feeds),
    result: async () => (await made.run(feeds)).y.data,
    dispose: () => made.release(),
  };
}
