import { expect } from 'chai';
import { philox } from '../../lib/random';
import { keep, memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { type QuantizationScheme, type Quantized, quantizeMatrix, restoreWeight } from '../../lib/weights';
import { readsCodes } from '../../lib/weights/packed';
import { EPSILON, expectClose, expectSameBits } from '../support/close';
import { SCHEMES, schemeName } from './cases';

const ROWS = 37;
/** Two groups of 64 and a rest, of which the last vector is short. */
const COLUMNS = 150;
const inFours: QuantizationScheme = { bits: 4, scheme: 'asymmetric', granularity: 'group', groupSize: 64 };

function numbers(rows: number, columns: number, seed: number): Tensor {
  const random = philox(seed);
  return tensor(
    Float32Array.from({ length: rows * columns }, () => 2 * random.uniform() - 1),
    [rows, columns],
  );
}

/**
 * Products in float64 of the dequantized weight. Roundings: one of every weight, product and sum, and of every input to 2^-23 of the
 * largest; where codes count from a float offset, its share and the codes' are each as large as the row's range.
 */
function expectProduct(weight: Quantized, x: Tensor, bias: Float32Array): void {
  const [rows, columns] = weight.shape;
  const w = weight.dense().toArray() as Float32Array;
  const inputs = x.toArray() as Float32Array;
  const range = 2 * Math.max(...w.map(Math.abs));
  const values: number[] = [];
  const tolerance: number[] = [];
  for (let i = 0; i < inputs.length / columns; i++) {
    const largest = Math.max(...inputs.slice(i * columns, (i + 1) * columns).map(Math.abs));
    for (let row = 0; row < rows; row++) {
      let sum = bias[row] as number;
      for (let k = 0; k < columns; k++) {
        sum += (inputs[i * columns + k] as number) * (w[row * columns + k] as number);
      }
      values.push(Math.max(sum, 0));
      tolerance.push(EPSILON * (columns + 8) * columns * range * largest);
    }
  }
  const y = weight.matmul(x, { bias: tensor(bias), activation: 'relu' });
  expectClose(y, values, tolerance, weight.representation);
}

describe('products that read codes', () => {
  const bias = Float32Array.from({ length: ROWS }, (_, i) => 0.2 * i - 3);
  for (const scheme of SCHEMES.map(inWholeVectors)) {
    it(`equal those of the dequantized weight: ${schemeName(scheme)}`, () =>
      tidy(() => {
        const weight = quantizeMatrix(numbers(ROWS, COLUMNS, 1), scheme);
        for (const batch of [1, 3, 18, 131]) expectProduct(weight, numbers(batch, COLUMNS, 2), bias);
        expect(weight.matmul(tensor([], [0, COLUMNS])).shape).to.deep.equal([0, ROWS]);
        weight.dispose();
      }));
  }

  for (const scheme of SCHEMES.map(inWholeVectors)) {
    it(`err by no more than what inputs are rounded to: ${schemeName(scheme)}`, () =>
      tidy(() => {
        const accurate = quantizeMatrix(numbers(ROWS, COLUMNS, 1), scheme);
        for (const [input, limit] of [
          ['int8', 0.02],
          ['int16', 1e-4],
        ] as const) {
          const rounding = accurate.withInputPrecision(input);
          expect(rounding.representation).to.equal(`${accurate.representation}, inputs rounded to ${input}`);
          for (const batch of [1, 18]) {
            const x = numbers(batch, COLUMNS, 2);
            const error = relativeError(rounding.matmul(x), accurate.matmul(x));
            expect(error).to.be.below(limit);
          }
          rounding.dispose();
        }
        accurate.dispose();
      }));
  }

  it('keep what inputs are rounded to in files and through training', () =>
    tidy(() => {
      const w = numbers(ROWS, COLUMNS, 1);
      const first = quantizeMatrix(w, inFours);
      const weight = first.withInputPrecision('int8');
      const { tensors, descriptor } = weight.store();
      expect(descriptor).to.have.property('inputPrecision', 'int8');
      const restored = restoreWeight(
        'w',
        new Map([...tensors].map(([name, entry]) => [`w.${name}`, entry])),
        descriptor,
      );
      const retrained = weight.trainable();
      const packed = retrained.pack();
      for (const same of [restored, packed]) expect(same.representation).to.equal(weight.representation);
      const x = numbers(3, COLUMNS, 2);
      expectSameBits(restored.matmul(x), weight.matmul(x), 'product of the restored weight');
      const accurate = weight.withInputPrecision(null);
      expectClose(
        retrained.matmul(x),
        [...(accurate.matmul(x).toArray() as Float32Array)],
        Array.from({ length: 3 * ROWS }, () => EPSILON * 8 * COLUMNS),
        'training sees inputs as they are',
      );
      for (const each of [first, weight, restored, retrained, packed, accurate]) each.dispose();
    }));

  it('refuse a precision of inputs beside quantized ones', () =>
    tidy(() => {
      const scheme: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };
      const weight = quantizeMatrix(numbers(ROWS, COLUMNS, 1), scheme, 'dynamic');
      expect(() => weight.withInputPrecision('int8'))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_UNSUPPORTED');
      weight.dispose();
    }));

  it('leave what is stored, gathered and dequantized as it was', () =>
    tidy(() => {
      const weight = quantizeMatrix(numbers(ROWS, COLUMNS, 1), inFours);
      const before = [...weight.store().tensors].map(([name, { data }]) => [name, Buffer.from(data).toString('hex')]);
      const dense = weight.dense();
      weight.matmul(numbers(2, COLUMNS, 2));
      const after = [...weight.store().tensors].map(([name, { data }]) => [name, Buffer.from(data).toString('hex')]);
      expect(after).to.deep.equal(before);
      expectSameBits(weight.dense(), dense, 'dense form after a product');
      weight.dispose();
    }));

  it('lay codes out once, in less memory than the dense weight, and leave nothing behind', () => {
    const w = keep(numbers(256, 512, 1));
    const x = keep(numbers(2, 512, 2));
    const before = memory();
    const weight = quantizeMatrix(w, inFours);
    const made = memory();
    weight.matmul(x).dispose();
    const first = memory();
    weight.matmul(x).dispose();
    expect(first.tensors - made.tensors).to.equal(1);
    expect(first.bytes - made.bytes).to.be.below((256 * 512 * 4) / 4);
    expect(memory()).to.deep.equal(first);
    weight.dispose();
    expect(memory()).to.deep.equal(before);
    for (const each of [w, x]) each.dispose();
  });

  it('keep NaN and infinity in the rows of the input that hold them', () =>
    tidy(() => {
      const weight = quantizeMatrix(numbers(ROWS, COLUMNS, 1), inFours);
      const x = numbers(4, COLUMNS, 2).toArray() as Float32Array;
      const clean = weight.matmul(tensor(x, [4, COLUMNS])).toArray() as Float32Array;
      x[COLUMNS + 70] = Number.NaN;
      x[2 * COLUMNS + 149] = Number.POSITIVE_INFINITY;
      const y = weight.matmul(tensor(x, [4, COLUMNS])).toArray() as Float32Array;
      expect(y.slice(0, ROWS)).to.deep.equal(clean.slice(0, ROWS));
      expect(y.slice(3 * ROWS)).to.deep.equal(clean.slice(3 * ROWS));
      for (const value of y.slice(ROWS, 2 * ROWS)) expect(value).to.be.NaN;
      for (const value of y.slice(2 * ROWS, 3 * ROWS)) expect(Number.isFinite(value)).to.equal(false);
      weight.dispose();
    }));

  it('refuse inputs of another width, type or rank', () =>
    tidy(() => {
      const weight = quantizeMatrix(numbers(ROWS, COLUMNS, 1), inFours);
      for (const [x, code] of [
        [numbers(2, COLUMNS + 1, 2), 'ERR_TERSOR_SHAPE'],
        [tensor(new Float32Array(COLUMNS)), 'ERR_TERSOR_SHAPE'],
        [tensor(new Int32Array(COLUMNS), [1, COLUMNS]), 'ERR_TERSOR_DTYPE'],
      ] as const) {
        expect(() => weight.matmul(x))
          .to.throw()
          .with.property('code', code);
      }
      weight.dispose();
    }));

  it('are for rows long enough, in groups of whole vectors', () => {
    expect(readsCodes(31, 31)).to.equal(false);
    expect(readsCodes(32, 32)).to.equal(true);
    expect(readsCodes(100, 100)).to.equal(true);
    expect(readsCodes(100, 1000)).to.equal(true);
    expect(readsCodes(100, 96)).to.equal(true);
    expect(readsCodes(100, 48)).to.equal(false);
  });
});

/** Of all elements together: the norm of the difference over the norm. */
function relativeError(y: Tensor, reference: Tensor): number {
  const expected = reference.toArray() as Float32Array;
  let error = 0;
  let norm = 0;
  for (const [i, value] of (y.toArray() as Float32Array).entries()) {
    error += (value - (expected[i] as number)) ** 2;
    norm += (expected[i] as number) ** 2;
  }
  return Math.sqrt(error / norm);
}

function inWholeVectors(scheme: QuantizationScheme): QuantizationScheme {
  return scheme.granularity === 'group' ? { ...scheme, groupSize: 64 } : scheme;
}
