/** What a weight's product must be, computed without its kernels. */

import type { LinearOptions } from '../../lib/autograd';
import type { Tensor } from '../../lib/tensor';
import { LowRank, type QuantizationScheme, Sum, type Weight } from '../../lib/weights';
import { decodePositions } from '../../lib/weights/relative-index';
import { EPSILON } from '../support/close';

/** Numbers and how far the f32 result may be from each. */
export interface Reference {
  readonly values: Float64Array;
  readonly tolerance: Float64Array;
}

/** True when the weight multiplies integers: its result must be exact. */
export function multipliesIntegers(weight: Weight): boolean {
  if (weight instanceof LowRank) return multipliesIntegers(weight.left) && multipliesIntegers(weight.right);
  const { descriptor } = weight.store();
  return descriptor !== null && 'input' in descriptor;
}

/** activation(x · Wᵀ + bias) + residual, identity or ReLU or SiLU, in float64 of the dense form; allows one rounding for every term that is added. */
export function floatProduct(weight: Weight, x: Tensor, { bias, activation, residual }: LinearOptions): Reference {
  const y = product(weight, exactly(x));
  const terms = bias ? (bias.toArray() as Float32Array) : null;
  const columns = y.shape[1];
  const added = residual ? (residual.toArray() as Float32Array) : null;
  const tolerance = y.tolerance.map((t, i) => {
    const sum = Math.abs(y.values[i] ?? 0) + Math.abs(terms?.[i % columns] ?? 0);
    // The bias goes to one term of a sum, and with it into one addition more.
    const sizes = (weight instanceof Sum ? 2 : 1) * sum + (added === null ? 0 : sum + Math.abs(added[i] ?? 0));
    // The slope of SiLU is below 1.1, and it rounds a few times itself.
    return activation === 'silu' ? 1.1 * t + 8 * EPSILON * sizes : t + EPSILON * sizes;
  });
  const values = y.values.map(
    (value, i) => activate(value + (terms?.[i % columns] ?? 0), activation) + (added?.[i] ?? 0),
  );
  return { values, tolerance };
}

function product(weight: Weight, x: Inexact): Inexact {
  if (weight instanceof LowRank) return product(weight.left, product(weight.right, x));
  if (!(weight instanceof Sum)) return multiply(x, exactly(weight.dense()));
  const [y, correction] = [product(weight.weight, x), product(weight.correction, x)];
  const values = y.values.map((value, i) => value + (correction.values[i] as number));
  const tolerance = y.tolerance.map(
    (t, i) => t + (correction.tolerance[i] as number) + EPSILON * (Math.abs(values[i] as number) + t),
  );
  return { shape: y.shape, values, tolerance };
}

function activate(value: number, activation: LinearOptions['activation']): number {
  if (activation === 'silu') return value / (1 + Math.exp(-value));
  return activation === 'relu' ? Math.max(value, 0) : value;
}

/** The same by integers, from what the weight would write into a file: bit for bit what every kernel must give. */
export function integerProduct(weight: Weight, x: Tensor, options: LinearOptions): Float32Array {
  const inputs = x.toArray() as Float32Array;
  if (!(weight instanceof LowRank)) return multiplyIntegers(weight, inputs, options);
  return multiplyIntegers(weight.left, multiplyIntegers(weight.right, inputs, {}), options);
}

function multiplyIntegers(
  weight: Weight,
  x: Float32Array,
  { bias, activation, residual }: LinearOptions,
): Float32Array {
  const { tensors, descriptor } = weight.store();
  if (descriptor === null || !('input' in descriptor) || descriptor.input === undefined) {
    throw new Error('expected a weight with int8 inputs');
  }
  const { input, shape } = descriptor;
  const [rows, columns] = shape;
  const integers = integersOf(weight);
  const scales = floats(tensors.get('scales')?.data);
  const terms = bias ? (bias.toArray() as Float32Array) : null;
  const added = residual ? (residual.toArray() as Float32Array) : null;
  const count = x.length / columns;
  const y = new Float32Array(count * rows);
  for (let i = 0; i < count; i++) {
    const inputs = x.subarray(i * columns, (i + 1) * columns);
    const { scale, zeroPoint } = input === 'dynamic' ? rowRange(inputs) : input;
    const codes = inputs.map((value) => inputCode(value, { scale, zeroPoint }));
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) {
        sum += ((codes[k] as number) - zeroPoint) * (integers[row * columns + k] as number);
      }
      const factor = Math.fround(scale * (scales[scales.length === 1 ? 0 : row] as number));
      const scaled = Math.fround(Math.fround(sum) * factor);
      const value = terms === null ? scaled : Math.fround(scaled + (terms[row] as number));
      y[i * rows + row] = activate(value, activation) + (added?.[i * rows + row] ?? 0);
    }
  }
  return y;
}

/** 256 codes from the smallest to the largest number of a row, 0 among them. */
function rowRange(x: Float32Array): { scale: number; zeroPoint: number } {
  const low = Math.min(0, ...x);
  const step = Math.fround((Math.max(0, ...x) - low) / 255);
  const scale = step < 2 ** -126 ? 1 : step;
  return { scale, zeroPoint: Math.min(Math.max(halfEven(-low / scale), 0), 255) };
}

/** round half even(x / scale) + zero point, clamped to 0..255. */
export function inputCode(x: number, { scale, zeroPoint }: { scale: number; zeroPoint: number }): number {
  return Math.min(Math.max(halfEven(Math.fround(x / scale)) + zeroPoint, 0), 255);
}

/** Nearest integer, ties to even. */
export function halfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.floor(x + 0.5);
  return below % 2 === 0 ? below : below + 1;
}

/** The integers that a symmetric weight stands for, dense, from its stored form. */
export function integersOf(weight: Weight): Float64Array {
  const { tensors, descriptor } = weight.store();
  const bytes = (blob: string) => tensors.get(blob)?.data ?? new Uint8Array();
  if (descriptor?.kind === 'quantized') {
    const [rows, columns] = descriptor.shape;
    const { bits } = descriptor.scheme;
    const rowBytes = Math.ceil((columns * bits) / 8);
    return Float64Array.from({ length: rows * columns }, (_, i) => {
      const row = Math.floor(i / columns);
      return integerAt(bytes('codes').subarray(row * rowBytes, (row + 1) * rowBytes), i % columns, descriptor.scheme);
    });
  }
  if (descriptor?.kind === 'sparse' && descriptor.scheme !== undefined) {
    const { shape, nonzeros, scheme } = descriptor;
    const integers = new Float64Array(shape[0] * shape[1]);
    decodePositions(bytes('indices'), nonzeros, integers.length, 'indices').forEach((position, i) => {
      integers[position] = integerAt(bytes('values'), i, scheme);
    });
    return integers;
  }
  if (descriptor?.kind === 'block-sparse' && descriptor.scheme !== undefined) {
    const { shape, blocks, scheme } = descriptor;
    const [height = 0, width = 0] = blocks.split('x').map(Number);
    const integers = new Float64Array(shape[0] * shape[1]);
    const offsets = words(bytes('panel_offsets'));
    words(bytes('columns')).forEach((column, block) => {
      const panel = offsets.findLastIndex((offset) => offset <= block);
      for (let i = 0; i < height * width; i++) {
        const row = panel * height + Math.floor(i / width);
        const k = column * width + (i % width);
        if (row >= shape[0] || k >= shape[1]) continue;
        integers[row * shape[1] + k] = integerAt(bytes('values'), block * height * width + i, scheme);
      }
    });
    return integers;
  }
  if (descriptor?.kind === 'semi-structured' && descriptor.scheme !== undefined) {
    const { shape, pattern, scheme } = descriptor;
    const [places = 0, group = 0] = pattern.split(':').map(Number);
    const integers = new Float64Array(shape[0] * shape[1]);
    const bits = Math.ceil(Math.log2(group));
    let next = 0;
    for (let first = 0; first < integers.length; ) {
      const length = Math.min(group, shape[1] - (first % shape[1]));
      for (let s = 0; s < Math.min(places, length); s++, next++) {
        let column = 0;
        for (let bit = 0; bit < bits; bit++) {
          const at = next * bits + bit;
          column |= (((bytes('places')[at >> 3] as number) >> (at & 7)) & 1) << bit;
        }
        integers[first + column] = integerAt(bytes('values'), next, scheme);
      }
      first += length;
    }
    return integers;
  }
  throw new Error('expected a weight of integers');
}

/** The i-th of codes packed from the lowest bit on, less their zero point. */
function integerAt(bytes: Uint8Array, i: number, { bits }: QuantizationScheme): number {
  if (bits === 8) return ((bytes[i] as number) << 24) >> 24;
  let code = 0;
  for (let bit = 0; bit < bits; bit++) {
    const at = i * bits + bit;
    code |= (((bytes[at >> 3] as number) >> (at & 7)) & 1) << bit;
  }
  return code - 2 ** (bits - 1);
}

function floats(bytes: Uint8Array | undefined): Float32Array {
  if (bytes === undefined) throw new Error('expected scales');
  return new Float32Array(bytes.slice().buffer);
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}

interface Inexact extends Reference {
  readonly shape: readonly [number, number];
}

function exactly(x: Tensor): Inexact {
  const values = Float64Array.from(x.toArray() as Float32Array);
  return { shape: x.shape as readonly [number, number], values, tolerance: new Float64Array(values.length) };
}

/** a · bᵀ, with the error of f32 sums and what a's own errors become. */
function multiply(a: Inexact, b: Inexact): Inexact {
  const [m, k] = a.shape;
  const [n] = b.shape;
  const values = new Float64Array(m * n);
  const tolerance = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      let size = 0;
      let inherited = 0;
      for (let p = 0; p < k; p++) {
        const [x, w] = [a.values[i * k + p] as number, b.values[j * k + p] as number];
        sum += x * w;
        size += Math.abs(x * w);
        inherited += (a.tolerance[i * k + p] as number) * Math.abs(w);
      }
      values[i * n + j] = sum;
      // A product below the normal numbers is rounded to a multiple of 2^-149.
      tolerance[i * n + j] = (k + 1) * EPSILON * size + (1 + k * EPSILON) * inherited + k * 2 ** -149;
    }
  }
  return { shape: [m, n], values, tolerance };
}
