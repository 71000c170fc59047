import { expect } from 'chai';
import { ops, valueAndGradients } from '../../lib';
import { TersorError } from '../../lib/errors';
import { DTYPES, native } from '../../lib/native';
import { philox } from '../../lib/random';
import { memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense } from '../../lib/weights';
import { repaysPacking } from '../../lib/weights/panels';
import { EPSILON, expectClose, expectSameBits } from '../support/close';

/** Large enough to be packed; neither a multiple of a panel nor of a vector. */
const ROWS = 331;
const COLUMNS = 401;

function numbers(rows: number, columns: number, seed: number): Tensor {
  const random = philox(seed);
  return tensor(
    Float32Array.from({ length: rows * columns }, () => 2 * random.uniform() - 1),
    [rows, columns],
  );
}

/** x · Wᵀ + bias in float64, and its size: what rounding is relative to. */
function reference(x: Float32Array, w: Float32Array, bias: Float32Array) {
  const values: number[] = [];
  const sizes: number[] = [];
  for (let i = 0; i < x.length / COLUMNS; i++) {
    for (let row = 0; row < ROWS; row++) {
      let sum = bias[row] as number;
      let size = Math.abs(sum);
      for (let k = 0; k < COLUMNS; k++) {
        const product = (x[i * COLUMNS + k] as number) * (w[row * COLUMNS + k] as number);
        sum += product;
        size += Math.abs(product);
      }
      values.push(sum);
      sizes.push(size);
    }
  }
  return { values, sizes };
}

describe('products with a dense weight that is packed', () => {
  it('equal those of the matrix', () =>
    tidy(() => {
      expect(repaysPacking([ROWS, COLUMNS])).to.equal(true);
      const w = numbers(ROWS, COLUMNS, 1);
      const weight = new Dense(w.clone());
      const bias = Float32Array.from({ length: ROWS }, (_, i) => i / 100 - 1);
      for (const batch of [1, 2, 9, 70]) {
        const x = numbers(batch, COLUMNS, 2);
        const { values, sizes } = reference(x.toArray() as Float32Array, w.toArray() as Float32Array, bias);
        const y = weight.matmul(x, { bias: tensor(bias), activation: 'relu' });
        const expected = values.map((value) => Math.max(value, 0));
        // k + 3 roundings at most, whatever the order (Higham 2002, section 3.5).
        expectClose(
          y,
          expected,
          sizes.map((size) => 1.01 * (COLUMNS + 3) * EPSILON * size),
          `batch ${batch}`,
        );
      }
      expect(weight.matmul(tensor([], [0, COLUMNS])).shape).to.deep.equal([0, ROWS]);
      expect(() => weight.matmul(numbers(2, COLUMNS - 1, 2))).to.throw(TersorError, 'gemmPacked');
      weight.dispose();
    }));

  it('pack once, and give everything back', () =>
    tidy(() => {
      const w = numbers(ROWS, COLUMNS, 1);
      const x = numbers(2, COLUMNS, 2);
      const before = memory();
      const weight = new Dense(w.clone());
      tidy(() => void weight.gather(tensor(Int32Array.of(3, 5))));
      expect(memory().bytes - before.bytes, 'bytes of a table').to.equal(w.bytes);
      weight.matmul(x).dispose();
      const packed = memory();
      weight.matmul(x).dispose();
      expect(memory()).to.deep.equal(packed);
      weight.dispose();
      expect(memory()).to.deep.equal(before);
    }));

  it('are the same in bf16, to the bit, from half the bytes', () =>
    tidy(() => {
      const halves = numbers(ROWS, COLUMNS, 1).cast('bf16');
      const reference = new Dense(halves.cast('f32'));
      const weight = new Dense(halves.clone());
      expect(weight.representation).to.equal('bf16');
      expect(weight.bytes()).to.equal(reference.bytes() / 2);
      const bias = tensor(Float32Array.from({ length: ROWS }, (_, i) => i / 100 - 1));
      for (const batch of [1, 2, 9, 70]) {
        const x = numbers(batch, COLUMNS, 2);
        const options = { bias, activation: 'gelu' } as const;
        expectSameBits(weight.matmul(x, options), reference.matmul(x, options), `batch ${batch}`);
      }
      expect(weight.store().tensors.get('')?.data).to.deep.equal(new Uint8Array(halves.toArray().buffer));
      // In f32 from now on; what it stores and how it multiplies stays.
      expectSameBits(weight.dense(), reference.dense(), 'numbers');
      expect(weight.bytes()).to.equal(halves.bytes);
      expect(weight.store().tensors.get('')?.dtype).to.equal('BF16');
      const late = new Dense(halves.clone());
      late.dense();
      const x = numbers(3, COLUMNS, 2);
      expectSameBits(late.matmul(x), reference.matmul(x), 'asked for its numbers first');
      for (const each of [weight, reference, late]) each.dispose();
    }));

  it('refuse any other dtype', () =>
    tidy(() => {
      expect(() => new Dense(tensor([1], [1], { dtype: 'f16' })))
        .to.throw(TersorError, 'expected f32 or bf16, got f16')
        .with.property('code', 'ERR_TERSOR_DTYPE');
      expect(() => native.packedElements(2, 3, DTYPES.indexOf('f16'), 'cpu')).to.throw(
        TersorError,
        'f32 or bf16, got f16',
      );
    }));

  it('give way to the differentiable product where a gradient is recorded', () =>
    tidy(() => {
      const w = numbers(ROWS, COLUMNS, 1);
      const weight = new Dense(w.clone());
      const x = numbers(2, COLUMNS, 2);
      const { gradients } = valueAndGradients(() => ops.sum(weight.matmul(x)), [x]);
      const columns = w.toArray() as Float32Array;
      const expected = Array.from({ length: COLUMNS }, (_, k) => {
        let sum = 0;
        for (let row = 0; row < ROWS; row++) sum += columns[row * COLUMNS + k] as number;
        return sum;
      });
      expectClose(gradients[0] as Tensor, [...expected, ...expected], 1.01 * ROWS * EPSILON * ROWS, 'gradient of x');
      weight.dispose();
    }));
});
