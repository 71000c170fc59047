import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  type GptqOptions,
  gptq,
  magnitudeMask,
  type SparseGptTarget,
  sparseGpt,
  truncatedSvd,
} from '../../lib/compress';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { type QuantizationScheme, quantizeMatrix, type Sparse, TrainableMatrix } from '../../lib/weights';
import { withShared } from '../support/shared';
import { readVectors } from '../support/vectors';

/** A layer, the second moments of its inputs, and the relative output error √(tr(E H Eᵀ) / tr(W H Wᵀ)) that others reach on it. */
interface Layer {
  readonly weight: Tensor;
  readonly hessians: Readonly<Record<'calibration' | 'heldout', Float32Array>>;
  readonly results: Readonly<Record<string, { calibration: number; heldout: number }>>;
}

const FILE = ['vectors', 'layer-256.safetensors'];
const SIZE = 256;

function readLayer(file: string): Layer {
  const vectors = readVectors(file);
  const { results } = JSON.parse(readFileSync(file.replace(/safetensors$/, 'json'), 'utf8')) as Pick<Layer, 'results'>;
  const hessian = (name: string) => Float32Array.from(vectors.numbers(name));
  return {
    weight: vectors.tensor('weight'),
    hessians: { calibration: hessian('hessian'), heldout: hessian('hessian_heldout') },
    results,
  };
}

/** tr(E H Eᵀ) for the rows of E. */
function energy(e: Float64Array, hessian: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < e.length; at += SIZE) {
    for (let i = 0; i < SIZE; i++) {
      let product = 0;
      for (let j = 0; j < SIZE; j++) product += (hessian[i * SIZE + j] as number) * (e[at + j] as number);
      sum += (e[at + i] as number) * product;
    }
  }
  return sum;
}

function expectNoWorse(layer: Layer, name: string, compressed: Float32Array): void {
  const reference = layer.results[name];
  if (reference === undefined) throw new Error(`expected a golden value '${name}', got none`);
  const w = Float64Array.from(layer.weight.toArray() as Float32Array);
  const error = w.map((value, i) => (compressed[i] as number) - value);
  for (const set of ['calibration', 'heldout'] as const) {
    const hessian = layer.hessians[set];
    const relative = Math.sqrt(energy(error, hessian) / energy(w, hessian));
    expect(relative, `${name}, ${set}`).to.be.at.most(1.01 * reference[set]);
  }
}

/** The fraction of the smallest elements gone, in float64. */
function prunedInFloat64(w: Float32Array, sparsity: number): Float32Array {
  const sizes = Float64Array.from(w, Math.abs).sort();
  const threshold = sizes[Math.round(sparsity * w.length) - 1] as number;
  return w.map((value) => (Math.abs(value) > threshold ? value : 0));
}

describe('a layer whose golden errors come from independent software', () => {
  const schemes: Record<string, QuantizationScheme> = {
    'rtn-4bit-g128-asym': { bits: 4, scheme: 'asymmetric', granularity: 'group', groupSize: 128 },
    'rtn-4bit-g32-asym': { bits: 4, scheme: 'asymmetric', granularity: 'group', groupSize: 32 },
    'rtn-3bit-g32-asym': { bits: 3, scheme: 'asymmetric', granularity: 'group', groupSize: 32 },
    'rtn-8bit-channel-sym': { bits: 8, scheme: 'symmetric', granularity: 'channel' },
    'rtn-4bit-channel-sym': { bits: 4, scheme: 'symmetric', granularity: 'channel' },
  };
  for (const [name, scheme] of Object.entries(schemes)) {
    it(`rounds no worse: ${name}`, () => {
      withLayer((layer) => {
        const packed = quantizeMatrix(layer.weight, scheme);
        expectNoWorse(layer, name, packed.dense().toArray() as Float32Array);
        packed.dispose();
      });
    });
  }

  const orders: Record<string, GptqOptions> = {
    '': { activationOrder: false, range: 'min-max' },
    '-actorder': {},
  };
  for (const [name, scheme] of Object.entries(schemes)) {
    for (const [suffix, options] of Object.entries(orders)) {
      const reference = `${name.replace('rtn', 'gptq')}${suffix}`;
      it(`rounds by outputs no worse: ${reference}`, async () => {
        for (const layer of readLayers()) {
          const moments = tensor(layer.hessians.calibration, [SIZE, SIZE]);
          const packed = await gptq(layer.weight, moments, scheme, options);
          const dense = packed.dense();
          expectNoWorse(layer, reference, dense.toArray() as Float32Array);
          for (const each of [dense, packed, moments, layer.weight]) each.dispose();
        }
      });
    }
  }

  const patterns: Record<string, SparseGptTarget> = {
    '2:4': { keep: 2, of: 4 },
    '4:8': { keep: 4, of: 8 },
    '0.5': { sparsity: 0.5 },
    '0.75': { sparsity: 0.75 },
  };
  for (const [name, target] of Object.entries(patterns)) {
    it(`prunes by outputs no worse: sparsegpt-${name}`, async () => {
      for (const layer of readLayers()) {
        const moments = tensor(layer.hessians.calibration, [SIZE, SIZE]);
        const pruned = await sparseGpt(layer.weight, moments, target);
        expect(pruned.nonzeros()).to.equal(SIZE * SIZE * ('sparsity' in target ? 1 - target.sparsity : 0.5));
        const dense = pruned.dense();
        expectNoWorse(layer, `sparsegpt-${name}`, dense.toArray() as Float32Array);
        for (const each of [dense, pruned, moments, layer.weight]) each.dispose();
      }
    });
  }

  for (const sparsity of [0.5, 0.75]) {
    it(`prunes as float64 does: ${sparsity}`, () => {
      withLayer((layer) => {
        const matrix = new TrainableMatrix({ latent: layer.weight.clone() });
        matrix.prune(magnitudeMask(layer.weight, { sparsity }));
        const packed = matrix.pack() as Sparse;
        const pruned = packed.dense().toArray() as Float32Array;
        expect(pruned).to.deep.equal(prunedInFloat64(layer.weight.toArray() as Float32Array, sparsity));
        expect(packed.nonzeros()).to.equal(SIZE * SIZE * (1 - sparsity));
        packed.dispose();
        matrix.dispose();
      });
    });
  }

  for (const rank of [16, 64]) {
    it(`truncates no worse: svd-rank${rank}`, async () => {
      for (const layer of readLayers()) {
        const factors = await truncatedSvd(layer.weight, { rank });
        const dense = factors.dense();
        expectNoWorse(layer, `svd-rank${rank}`, dense.toArray() as Float32Array);
        for (const each of [dense, factors, layer.weight]) each.dispose();
      }
    });
  }
});

function withLayer(check: (layer: Layer) => void): void {
  withShared(FILE, (file) => tidy(() => check(readLayer(file))));
}

/** The layer, or none where the file is absent: for checks that take time. */
function readLayers(): Layer[] {
  const layers: Layer[] = [];
  withShared(FILE, (file) => layers.push(readLayer(file)));
  return layers;
}
