import { expect } from 'chai';
import { type RankTarget, svd, svdBatched, svdRandomized, truncatedSvd } from '../../lib/compress';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import type { LowRank } from '../../lib/weights';
import { rejectionOf } from '../recipe/small-model';
import { expectClose } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

/** Columns of an orthonormal [rows, k] matrix in float64: random vectors, made orthogonal twice (Gram-Schmidt). */
function orthonormal(rows: number, k: number, seed: number): Float64Array[] {
  const random = philox(seed);
  const columns: Float64Array[] = [];
  while (columns.length < k) {
    const column = Float64Array.from({ length: rows }, () => random.uniform() - 0.5);
    for (const other of [...columns, ...columns]) {
      const product = dot(column, other);
      for (let i = 0; i < rows; i++) column[i]! -= product * other[i]!;
    }
    const norm = Math.sqrt(dot(column, column));
    columns.push(column.map((value) => value / norm));
  }
  return columns;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** A matrix with these singular values, rounded to f32. */
function withSpectrum(rows: number, columns: number, spectrum: readonly number[], seed = 1): Tensor {
  const u = orthonormal(rows, spectrum.length, seed);
  const v = orthonormal(columns, spectrum.length, seed + 1);
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      values[i * columns + j] = spectrum.reduce((sum, sigma, k) => sum + sigma * u[k]![i]! * v[k]![j]!, 0);
    }
  }
  return tensor(values, [rows, columns]);
}

/** ‖w − left · right‖ in float64. */
function errorNorm(w: Tensor, { left, right }: LowRank): number {
  const [rows, columns] = w.shape as [number, number];
  const rank = right.shape[0] as number;
  const [all, a, b] = [w, left.dense(), right.dense()].map((x) => x.toArray() as Float32Array) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let product = 0;
      for (let k = 0; k < rank; k++) product += a[i * rank + k]! * b[k * columns + j]!;
      sum += (all[i * columns + j]! - product) ** 2;
    }
  }
  return Math.sqrt(sum);
}

/** √(Σ_{i≥rank} σᵢ²) */
function tail(spectrum: readonly number[], rank: number): number {
  return Math.sqrt(spectrum.slice(rank).reduce((sum, sigma) => sum + sigma ** 2, 0));
}

const geometric = (count: number, ratio: number) => Array.from({ length: count }, (_, i) => ratio ** i);

async function rankFor(w: Tensor, target: RankTarget): Promise<number> {
  const factors = await truncatedSvd(w, target);
  const rank = factors.right.shape[0] as number;
  factors.dispose();
  return rank;
}

describe('svd', () => {
  expectNoLeaks();

  it('finds the singular values that a matrix was made of, and orthonormal vectors', async () => {
    for (const [rows, columns] of [
      [24, 24],
      [40, 17],
      [17, 40],
      [5, 1],
      [1, 5],
    ] as const) {
      const k = Math.min(rows, columns);
      const spectrum = geometric(k, 0.8);
      const w = withSpectrum(rows, columns, spectrum);
      const { u, s, vt } = await svd(w);
      expect([u.shape, vt.shape]).to.deep.equal([
        [rows, k],
        [k, columns],
      ]);
      expectClose(s, spectrum, 1e-5, 'singular values');
      const left = u.toArray() as Float32Array;
      const right = vt.toArray() as Float32Array;
      for (let i = 0; i < k; i++) {
        for (let j = 0; j < k; j++) {
          const columnsOfU = Array.from({ length: rows }, (_, row) => left[row * k + i]! * left[row * k + j]!);
          const expected = i === j ? 1 : 0;
          expect(columnsOfU.reduce((sum, value) => sum + value)).to.be.closeTo(expected, 1e-5);
          const rowsOfV = [i, j].map((row) => right.subarray(row * columns, (row + 1) * columns));
          expect(dot(rowsOfV[0]!, rowsOfV[1]!)).to.be.closeTo(expected, 1e-5);
        }
      }
      for (const x of [w, u, vt]) x.dispose();
    }
  });

  it('refuses NaN, infinity, vectors and integers, and leaves nothing in memory', async () => {
    const refused: [Tensor, string][] = [
      [tensor([[1, Number.NaN]]), 'ERR_TERSOR_NOT_FINITE'],
      [tensor([[1, Number.POSITIVE_INFINITY]]), 'ERR_TERSOR_NOT_FINITE'],
      [tensor([1, 2]), 'ERR_TERSOR_SHAPE'],
      [zeros([2, 2, 2]), 'ERR_TERSOR_SHAPE'],
      [tensor(Int8Array.of(1, 2), [1, 2]), 'ERR_TERSOR_DTYPE'],
    ];
    for (const [w, code] of refused) {
      expect(await rejectionOf(svd(w))).to.have.property('code', code);
      w.dispose();
    }
  });

  it('rejects with the reason of an abort, before and during the work', async () => {
    const reason = new Error('enough');
    const w = withSpectrum(300, 300, geometric(20, 0.9));
    expect(await rejectionOf(svd(w, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    const controller = new AbortController();
    const running = svd(w, { signal: controller.signal });
    controller.abort(reason);
    expect(await rejectionOf(running)).to.equal(reason);
    w.dispose();
  });
});

describe('svdBatched', () => {
  expectNoLeaks();

  it('finds the values of each matrix, and vectors that give it back', async () => {
    const spectra = [geometric(6, 0.5), geometric(6, 1e-1), [2, 2, 2, 0, 0, 0]];
    const matrices = spectra.map((spectrum, i) => tidy(() => withSpectrum(9, 6, spectrum, i + 1).toArray()));
    const w = tensor(Float32Array.from(matrices.flatMap((matrix) => [...(matrix as Float32Array)])), [3, 9, 6]);
    const { u, s, vt } = await svdBatched(w);
    expect([u.shape, s.shape, vt.shape]).to.deep.equal([
      [3, 9, 6],
      [3, 6],
      [3, 6, 6],
    ]);
    expectClose(s, spectra.flat(), 4e-7 * 2, 'singular values');
    const [left, values, right] = [u, s, vt].map((x) => x.toArray() as Float32Array) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const product = Array.from({ length: 3 * 9 * 6 }, (_, at) => {
      const [j, i, b] = [at % 6, Math.floor(at / 6) % 9, Math.floor(at / 54)];
      return [0, 1, 2, 3, 4, 5].reduce(
        (sum, r) => sum + left[(b * 9 + i) * 6 + r]! * values[b * 6 + r]! * right[(b * 6 + r) * 6 + j]!,
        0,
      );
    });
    expectClose(w, product, 1e-6, 'product');
    for (const x of [w, u, s, vt]) x.dispose();
  });

  it('refuses what is no batch of small matrices, and NaN', async () => {
    for (const [shape, code] of [
      [[2, 2], 'ERR_TERSOR_SHAPE'],
      [[1, 65, 2], 'ERR_TERSOR_SHAPE'],
    ] as const) {
      const w = zeros(shape);
      expect(await rejectionOf(svdBatched(w))).to.have.property('code', code);
      w.dispose();
    }
    const w = tensor(Float32Array.of(1, 2, Number.NaN, 4), [1, 2, 2]);
    const error = await rejectionOf(svdBatched(w));
    expect(error).to.have.property('code', 'ERR_TERSOR_NOT_FINITE');
    expect((error as Error).message).to.include('at a[0, 1, 0]');
    w.dispose();
  });
});

describe('truncatedSvd', () => {
  expectNoLeaks();

  it('errs by the root of the sum of the squares that it leaves out (Eckart and Young)', async () => {
    const spectra: [number, number, number[]][] = [
      [24, 24, geometric(24, 0.8)],
      [40, 16, geometric(16, 0.7)],
      [16, 40, Array.from({ length: 16 }, (_, i) => 100 / (i + 1))],
      [32, 32, Array<number>(32).fill(0.001)],
      [30, 20, [5, 5, 5, 1, 1, 1]],
    ];
    for (const [rows, columns, spectrum] of spectra) {
      const w = withSpectrum(rows, columns, spectrum);
      for (const rank of [1, 2, 5, 8]) {
        const expected = tail(spectrum, rank);
        if (expected === 0) continue;
        const factors = await truncatedSvd(w, { rank });
        expect([factors.left.shape, factors.right.shape]).to.deep.equal([
          [rows, rank],
          [rank, columns],
        ]);
        const error = errorNorm(w, factors);
        expect(error / expected, `${rows} x ${columns}, rank ${rank}`).to.be.closeTo(1, 1e-4);
        factors.dispose();
      }
      w.dispose();
    }
  });

  it('gives both factors the root of each singular value', async () => {
    const spectrum = [9, 4, 1];
    const w = withSpectrum(12, 10, spectrum);
    const factors = await truncatedSvd(w, { rank: 3 });
    const left = factors.left.dense().toArray() as Float32Array;
    const right = factors.right.dense().toArray() as Float32Array;
    spectrum.forEach((sigma, k) => {
      const column = Array.from({ length: 12 }, (_, row) => left[row * 3 + k]!);
      expect(Math.hypot(...column)).to.be.closeTo(Math.sqrt(sigma), 1e-4);
      expect(Math.hypot(...right.subarray(10 * k, 10 * k + 10))).to.be.closeTo(Math.sqrt(sigma), 1e-4);
    });
    factors.dispose();
    w.dispose();
  });

  it('takes the smallest rank that keeps the energy', async () => {
    // Squares 16, 9, 4, 1: shares 16/30, 25/30, 29/30, 1.
    const w = withSpectrum(20, 20, [4, 3, 2, 1]);
    for (const [energy, rank] of [
      [0.01, 1],
      [0.53, 1],
      [0.54, 2],
      [0.83, 2],
      [0.84, 3],
      [0.966, 3],
      [0.967, 4],
      [1, 4],
    ] as const) {
      expect(await rankFor(w, { energy }), `energy ${energy}`).to.equal(rank);
    }
    w.dispose();
  });

  it('takes a matrix of lower rank than asked for, and one of zeros', async () => {
    const single = withSpectrum(12, 9, [2]);
    expect(await rankFor(single, { energy: 1 })).to.equal(1);
    for (const [w, norm] of [
      [single, 2],
      [zeros([12, 9]), 0],
    ] as const) {
      for (const target of [{ rank: 1 }, { rank: 4 }, { energy: 0.9 }, { energy: 1 }]) {
        const factors = await truncatedSvd(w, target);
        const error = errorNorm(w, factors);
        expect(error, JSON.stringify(target)).to.be.at.most(1e-5 * norm);
        factors.dispose();
      }
      w.dispose();
    }
  });

  it('refuses a rank that saves nothing, and says up to which one it would', async () => {
    // 10 · 15 / 25 = 6: at rank 6 the factors hold as many numbers as the matrix.
    const w = withSpectrum(10, 15, geometric(10, 0.9));
    expect(await rankFor(w, { rank: 5 })).to.equal(5);
    for (const rank of [6, 7, 100, 0, -1, 1.5, Number.NaN]) {
      const error = (await rejectionOf(truncatedSvd(w, { rank }, { name: 'layers.0.weight' }))) as Error;
      expect(error).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
      expect(error.message).to.include('a rank from 1 to 5').and.include(`got rank ${rank}`);
      expect(error.message).to.include("weight 'layers.0.weight' [10, 15]");
    }
    w.dispose();
  });

  it('refuses an energy out of range, and one that takes too high a rank', async () => {
    const w = withSpectrum(10, 10, Array<number>(10).fill(1));
    for (const energy of [0, -1, 1.01, Number.NaN]) {
      const error = (await rejectionOf(truncatedSvd(w, { energy }))) as Error;
      expect(error).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
      expect(error.message).to.include('an energy above 0 and up to 1').and.include(`got ${energy}`);
    }
    const error = (await rejectionOf(truncatedSvd(w, { energy: 0.65 }))) as Error;
    expect(error).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    expect(error.message).to.include('1 to 4').and.include('got rank 7').and.include('energy 0.65');
    w.dispose();
  });

  it('refuses matrices that no rank makes smaller', async () => {
    for (const shape of [
      [1, 8],
      [8, 1],
      [2, 2],
      [0, 3],
      [3, 0],
    ]) {
      const w = zeros(shape);
      for (const target of [{ rank: 1 }, { energy: 0.5 }]) {
        const error = (await rejectionOf(truncatedSvd(w, target))) as Error;
        expect(error, shape.join()).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
        expect(error.message).to.include('a larger matrix');
      }
      w.dispose();
    }
  });

  it('leaves nothing in memory when it is aborted or the matrix holds NaN', async () => {
    const w = tidy(() => tensor(new Float32Array(100).fill(Number.NaN), [10, 10]));
    expect(await rejectionOf(truncatedSvd(w, { rank: 2 }))).to.have.property('code', 'ERR_TERSOR_NOT_FINITE');
    const reason = new Error('enough');
    const controller = new AbortController();
    const running = truncatedSvd(w, { rank: 2 }, { signal: controller.signal });
    controller.abort(reason);
    expect(await rejectionOf(running)).to.equal(reason);
    w.dispose();
  });
});

describe('svdRandomized', () => {
  expectNoLeaks();

  it('errs little more than the best of its rank, with orthonormal vectors, the same ones for the same seed', async () => {
    const spectrum = geometric(40, 0.9);
    const w = withSpectrum(300, 120, spectrum);
    for (const seed of [0, 1]) {
      const [first, again] = [await svdRandomized(w, 10, { seed }), await svdRandomized(w, 10, { seed })];
      expect(first.u.toArray()).to.deep.equal(again.u.toArray());
      expect(first.vt.toArray()).to.deep.equal(again.vt.toArray());
      expectClose(first.s, spectrum.slice(0, 10), 1e-2, 'singular values');
      const factors = await truncatedSvd(w, { rank: 10 });
      const [u, vt] = [first.u, first.vt].map((x) => x.toArray() as Float32Array) as [Float32Array, Float32Array];
      for (let i = 0; i < 10; i++) {
        const columnOfU = Array.from({ length: 300 }, (_, row) => u[row * 10 + i]!);
        expect(dot(columnOfU, columnOfU)).to.be.closeTo(1, 1e-5);
        const rowOfV = vt.subarray(i * 120, (i + 1) * 120);
        expect(dot(rowOfV, rowOfV)).to.be.closeTo(1, 1e-5);
      }
      for (const x of [first.u, first.vt, again.u, again.vt, factors]) x.dispose();
    }
    w.dispose();
  });

  it('refuses ranks and seeds that are none, NaN, and stops when aborted', async () => {
    const w = withSpectrum(6, 4, [1, 0.5]);
    for (const rank of [0, 5, 1.5, Number.NaN]) {
      expect(await rejectionOf(svdRandomized(w, rank))).to.include({ code: 'ERR_TERSOR_OUT_OF_RANGE' });
    }
    for (const options of [{ seed: -1 }, { power: 0 }, { oversampling: -1 }]) {
      expect(await rejectionOf(svdRandomized(w, 1, options))).to.include({ code: 'ERR_TERSOR_OUT_OF_RANGE' });
    }
    const reason = new Error('enough');
    expect(await rejectionOf(svdRandomized(w, 1, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    w.dispose();
  });

  it('serves truncations of large matrices: within 2 % of the least error, and no more rank than a share takes', async () => {
    const spectrum = geometric(60, 0.8);
    const w = withSpectrum(320, 256, spectrum);
    const factors = await truncatedSvd(w, { rank: 12 });
    expect(errorNorm(w, factors)).to.be.at.most(1.02 * tail(spectrum, 12));
    factors.dispose();
    const all = tail(spectrum, 0);
    for (const rank of [5, 20, 40]) {
      // Between the errors of two ranks, so that rounding cannot decide.
      const error = (tail(spectrum, rank) + tail(spectrum, rank - 1)) / 2 / all;
      expect(await rankFor(w, { error })).to.equal(rank);
      expect(await rankFor(w, { energy: 1 - error ** 2 })).to.equal(rank);
    }
    for (const error of [-0.1, 1, Number.NaN]) {
      expect(await rejectionOf(truncatedSvd(w, { error }))).to.include({ code: 'ERR_TERSOR_OUT_OF_RANGE' });
    }
    w.dispose();
  });
});
