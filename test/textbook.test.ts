/** Cases that tutorials on model compression get wrong, with the right answers. */
import { expect } from 'chai';
import {
  initialize,
  type Model,
  magnitudeMask,
  mlp,
  ops,
  pruneByMagnitude,
  quantizeMatrix,
  runRecipe,
  sqnrDb,
  svd,
  type Tensor,
  TrainableMatrix,
  tensor,
  tidy,
  truncatedSvd,
  validateRecipe,
} from '../lib';
import { native } from '../lib/native';
import { type Affine, affineArguments, empty, full } from '../lib/tensor';
import { EPSILON, expectClose } from './support/close';

const W = [
  [0.9, 0.1, 0.2],
  [0.4, 0.6, 0.8],
  [0.1, 0.9, 0.5],
];

describe('textbook cases', () => {
  it('1. magnitude pruning at 0.2 removes the elements equal to 0.2 too', () => {
    tidy(() => {
      const w = tensor(W);
      expect(rowsOf(magnitudeMask(w, { threshold: 0.2 }))).to.deep.equal([
        [1, 0, 0],
        [1, 1, 1],
        [0, 1, 1],
      ]);
      const matrix = new TrainableMatrix({ latent: tensor(W) });
      pruneByMagnitude([matrix], { threshold: 0.2 });
      const pruned = matrix.pack();
      expect(pruned.nonzeros()).to.equal(6);
      expect(rowsOf(pruned.dense())).to.deep.equal(
        [
          [0.9, 0, 0],
          [0.4, 0.6, 0.8],
          [0, 0.9, 0.5],
        ].map((row) => row.map(Math.fround)),
      );
      pruned.dispose();
      matrix.dispose();
    });
  });

  it('2. int8 per tensor: the symmetric step is 0.9/127', () => {
    tidy(() => {
      const packed = quantizeMatrix(tensor(W), { bits: 8, scheme: 'symmetric', granularity: 'tensor' });
      const { codes, affine } = packed.parts;
      expect(affine.scales.item()).to.equal(Math.fround(Math.fround(0.9) / 127));
      expect(rowsOf(codes)).to.deep.equal([
        [127, 14, 28],
        [56, 85, 113],
        [14, 127, 71],
      ]);
      packed.dispose();
    });
  });

  it('2. int8 per tensor: affine codes from −128 to 127 cover [0, 0.9]', () => {
    tidy(() => {
      const codes = empty([3, 3], 'i8');
      native.quantize(tensor(W).handle, ...affineArguments(int8(0.9 / 255, -128)), codes.handle);
      expect(rowsOf(codes)).to.deep.equal([
        [127, -100, -71],
        [-15, 42, 99],
        [-100, 127, 14],
      ]);
    });
  });

  it('2. a step of 2^-8 saturates: 5 of the 9 weights clip, and get no gradient', () => {
    tidy(() => {
      const affine = int8(2 ** -8, 0);
      const codes = empty([3, 3], 'i8');
      native.quantize(tensor(W).handle, ...affineArguments(affine), codes.handle);
      expect(rowsOf(codes)).to.deep.equal([
        [127, 26, 51],
        [102, 127, 127],
        [26, 127, 127],
      ]);
      const passed = empty([3, 3]);
      native.fakeQuantizeGradient(tensor(W).handle, ...affineArguments(affine), full([3, 3], 1).handle, passed.handle);
      expect(
        rowsOf(passed)
          .flat()
          .filter((gradient) => gradient === 0),
      ).to.have.length(5);
    });
  });

  it('3. rounding tenths to steps of 0.1 changes nothing', () => {
    tidy(() => {
      const tenths = tensor([
        [1, 0.5, 0.1],
        [0.2, 0.8, 0.3],
        [0.4, 0.6, 0.9],
      ]);
      const rounded = ops.fakeQuantize(tenths, int8(0.1, 0));
      // 0.1 itself and its multiples are rounded to f32.
      const values = tenths.toArray() as Float32Array;
      expectClose(
        rounded,
        values,
        values.map((value) => 2 * EPSILON * value),
        'tenths',
      );
    });
  });

  it('4. element-wise binary cross-entropy is 4.4184 nats, of which 0.0781 are divergence', () => {
    const student = [0.85, 0.15, 0.3, 0.45, 0.55, 0.8, 0.1, 0.9, 0.4];
    tidy(() => {
      // Two classes with the logits ln p and ln(1 − p) have the probabilities p and 1 − p.
      const logits = (p: readonly number[]) => tensor(p.map((each) => [Math.log(each), Math.log(1 - each)]));
      const loss = W.flat().reduce((total, p, i) => {
        const [q] = [logits([student[i] as number])];
        const [yes, no] = [0, 1].map((label) => ops.crossEntropy(q, tensor(Int32Array.of(label))).item());
        return total + p * (yes as number) + (1 - p) * (no as number);
      }, 0);
      expect(loss).to.be.closeTo(4.4184, 5e-5);
      const divergence = ops.distillation(logits(student), logits(W.flat()), 1).item();
      expect(9 * divergence).to.be.closeTo(0.0781, 5e-5);
    });
  });

  it('5. int8 makes 784-128-64-10 about 75 % smaller in bytes, and not by one parameter', async () => {
    const model = initialize(mlp([784, 128, 64, 10]));
    expect(model.parameters()).to.equal(109_386);
    expect(model.bytes()).to.equal(437_544);
    const compressed = await quantized(model, 8);
    expect(compressed.parameters()).to.equal(109_386);
    expect(compressed.bytes() / model.bytes() - 1).to.be.closeTo(-0.75, 0.005);
    for (const each of [model, compressed]) each.dispose();
  });

  it('6. sign(w) · x is not w · x: the least-squares scale is mean |w|, and the error that remains is reported', async () => {
    tidy(() => {
      const w = tensor([[0.9, -0.1, 0.2, -0.4]]);
      const packed = quantizeMatrix(w, { bits: 1, scheme: 'symmetric', granularity: 'channel' });
      const values = packed.dense().toArray() as Float32Array;
      expectClose(values, [0.4, -0.4, 0.4, -0.4], 2 * EPSILON, 'sign times mean');
      const error = (scale: number) =>
        [0.9, -0.1, 0.2, -0.4].reduce((total, value) => total + (value - Math.sign(value) * scale) ** 2, 0);
      for (const other of [0.39, 0.41, 1]) expect(error(0.4)).to.be.below(error(other));
      const x = tensor([[1, 1, 1, 1]]);
      expect(packed.matmul(x).item()).to.be.closeTo(0, 1e-6);
      expect(ops.linear(x, w).item()).to.be.closeTo(0.6, 1e-6);
      // Of 1.02 = Σw², 0.38 is lost.
      expect(sqnrDb(w.toArray() as Float32Array, values)).to.be.closeTo(10 * Math.log10(1.02 / 0.38), 1e-4);
      packed.dispose();
    });
    const model = initialize(mlp([64, 8]));
    const { report, models } = await runRecipe(model, recipe(1));
    const [row] = report.stages[0]?.weights ?? [];
    // Of a uniform number u, (u − E|u|)² keeps a quarter of u²: 6.02 dB.
    expect(row?.sqnrDb).to.be.within(5, 7);
    for (const each of [model, ...models.values()]) each.dispose();
  });

  it('7. truncated SVD leaves √(Σ σᵢ²) of the rest, and saves only below mn/(m + n)', async () => {
    const [m, n] = [12, 8];
    const w = tensor(
      Float32Array.from({ length: m * n }, (_, i) => Math.sin(i * i)),
      [m, n],
    );
    const { u, s, vt } = await svd(w);
    for (const rank of [1, 2, 3, 4]) {
      const factors = await truncatedSvd(w, { rank });
      expect(factors.parameters())
        .to.equal(rank * (m + n))
        .and.below(m * n);
      const values = w.toArray() as Float32Array;
      const dense = factors.dense();
      const error = (dense.toArray() as Float32Array).reduce(
        (total, value, i) => total + (value - (values[i] as number)) ** 2,
        0,
      );
      const rest = s.slice(rank).reduce((total, value) => total + value * value, 0);
      expect(Math.sqrt(error)).to.be.closeTo(Math.sqrt(rest), 1e-5);
      dense.dispose();
      factors.dispose();
    }
    // 12 · 8 / 20 = 4.8.
    let refused: unknown;
    await truncatedSvd(w, { rank: 5 }).catch((error: unknown) => {
      refused = error;
    });
    expect(refused).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    for (const each of [w, u, vt]) each.dispose();
  });

  it('8. the step of n bits is range/(2^n − 1); one of 2^n zeroes every weight', () => {
    tidy(() => {
      expect(rowsOf(ops.fakeQuantize(tensor(W), int8(2 ** 8, 0))).flat()).to.deep.equal(Array(9).fill(0));
      for (const bits of [2, 3, 4, 8] as const) {
        const packed = quantizeMatrix(tensor(W), { bits, scheme: 'asymmetric', granularity: 'row' });
        const steps = packed.parts.affine.scales.toArray() as Float32Array;
        W.forEach((row, i) => {
          const step = (Math.max(...row) - Math.min(...row)) / (2 ** bits - 1);
          expect(steps[i]).to.be.closeTo(step, 4 * EPSILON * step);
          expectClose(rowsOf(packed.dense())[i] as number[], row, step / 2 + 4 * EPSILON, `${bits} bits`);
        });
        packed.dispose();
      }
    });
  });
});

/** Codes −128 to 127 of a whole tensor. */
function int8(scale: number, zeroPoint: number): Affine {
  return {
    scales: full([1, 1], scale),
    zeroPoints: full([1, 1], zeroPoint, 'i32'),
    biases: null,
    codeMin: -128,
    codeMax: 127,
    groupSize: 3,
  };
}

function recipe(bits: number) {
  return validateRecipe({ recipe: 1, steps: [{ quantize: { weights: ['*.weight'], bits } }] });
}

async function quantized(model: Model, bits: number): Promise<Model> {
  const { models } = await runRecipe(model, recipe(bits));
  return models.get('compressed') as Model;
}

function rowsOf(x: Tensor): number[][] {
  const values = x.toArray() as Float32Array;
  const [rows, columns] = x.shape as readonly [number, number];
  return Array.from({ length: rows }, (_, row) => [...values.subarray(row * columns, (row + 1) * columns)]);
}
