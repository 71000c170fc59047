import { expect } from 'chai';
import { philox } from '../../lib/random';
import { memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense, LowRank, type QuantizationScheme, quantizeMatrix, Sum, type Weight } from '../../lib/weights';
import { Factors } from '../../lib/weights/factors';
import { EPSILON, expectClose } from '../support/close';

function numbers(shape: readonly [number, number], seed: number): Tensor {
  const random = philox(seed);
  return tensor(
    Float32Array.from({ length: shape[0] * shape[1] }, () => 2 * random.uniform() - 1),
    shape,
  );
}

const RANK = 5;
const GROUPS: QuantizationScheme = { bits: 4, scheme: 'asymmetric', granularity: 'group', groupSize: 32 };
const CHANNELS: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };

/** Every weight that one kernel adds factors to. */
const WEIGHTS: Record<string, { shape: [number, number]; make: (w: Tensor) => Weight }> = {
  'codes in groups': { shape: [37, 96], make: (w) => quantizeMatrix(w, GROUPS) },
  'int8, dynamic inputs': { shape: [37, 50], make: (w) => quantizeMatrix(w, CHANNELS, 'dynamic') },
  'f32 in panels': { shape: [260, 512], make: (w) => new Dense(w.clone()) },
  bf16: { shape: [37, 50], make: (w) => new Dense(w.cast('bf16')) },
};

/**
 * In float64 beside the products of the weight and of its factors alone. Roundings: of k products and their sums in each number between
 * the factors, of RANK more behind them, and of the three sums; all numbers are at most 1 but for those sums.
 */
function expectSum(
  weight: Weight | null,
  factors: [Tensor, Tensor],
  x: Tensor,
  y: Tensor,
  bias: Float32Array,
  residual: Tensor,
) {
  const [left, right, inputs, added] = [...factors, x, residual].map((t) => t.toArray() as Float32Array) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const [rows, columns] = [factors[0].shape[0] as number, factors[1].shape[1] as number];
  const own = weight?.matmul(x).toArray() as Float32Array | undefined;
  const values = Array.from(added, (last, at) => {
    const [i, row] = [Math.floor(at / rows), at % rows];
    let sum = (own?.[at] ?? 0) + (bias[row] as number);
    for (let r = 0; r < RANK; r++) {
      let inner = 0;
      for (let k = 0; k < columns; k++) {
        inner += (inputs[i * columns + k] as number) * (right[r * columns + k] as number);
      }
      sum += inner * (left[row * RANK + r] as number);
    }
    return Math.max(sum, 0) + last;
  });
  const largest = Math.max(...(own ?? [0]).map(Math.abs)) + RANK * columns + 2;
  expectClose(
    y,
    values,
    EPSILON * (columns + RANK + 8) * largest,
    `${weight?.representation ?? 'factors'} of ${x.shape[0]} rows`,
  );
}

describe('factors that one kernel multiplies by', () => {
  for (const [name, { shape, make }] of Object.entries(WEIGHTS)) {
    it(`are added to ${name}`, () => {
      const before = memory();
      tidy(() => {
        const [rows, columns] = shape;
        const weight = make(numbers(shape, 1));
        const [left, right] = [numbers([rows, RANK], 2), numbers([RANK, columns], 3)];
        const sum = new Sum(weight, new LowRank(new Dense(left.clone()), new Dense(right.clone())));
        const alone = new Factors(left, right);
        const bias = Float32Array.from({ length: rows }, (_, i) => 0.1 * i - 1);
        for (const batch of [0, 1, 3, 20]) {
          const [x, residual] = [numbers([batch, columns], 4), numbers([batch, rows], 5)];
          const options = { bias: tensor(bias), activation: 'relu', residual } as const;
          const together = weight.matmulPlus?.(x, alone, options);
          expect(together, 'the kernel').to.be.an('object');
          expectSum(weight, [left, right], x, together as Tensor, bias, residual);
          expectSum(weight, [left, right], x, sum.matmul(x, options), bias, residual);
          expectSum(null, [left, right], x, sum.correction.matmul(x, options), bias, residual);
        }
        sum.dispose();
        alone.dispose();
      });
      expect(memory()).to.deep.equal(before);
    });
  }

  it('are none of weights with kernels of another kind, whose product is the same but for rounding', () => {
    tidy(() => {
      const [left, right] = [numbers([37, RANK], 2), numbers([RANK, 50], 3)];
      const weight = quantizeMatrix(numbers([37, 50], 1), CHANNELS, { scale: 2 / 255, zeroPoint: 128 });
      const alone = new Factors(left, right);
      const x = numbers([4, 50], 4);
      expect(weight.matmulPlus(x, alone, {})).to.equal(null);
      const coarse = new LowRank(quantizeMatrix(left, CHANNELS), new Dense(right.clone()));
      expect(coarse.factors()).to.equal(null);
      const sum = new Sum(weight, new LowRank(new Dense(left.clone()), new Dense(right.clone())));
      const none = new Float32Array(37).fill(1000);
      const y = sum.matmul(x, { bias: tensor(none), activation: 'relu', residual: numbers([4, 37], 5) });
      expectSum(weight, [left, right], x, y, none, numbers([4, 37], 5));
      for (const owner of [sum, alone, coarse]) owner.dispose();
    });
  });
});
