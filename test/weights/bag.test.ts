import { expect } from 'chai';
import type { Bags } from '../../lib/autograd';
import { multiply, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { philox } from '../../lib/random';
import { memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense, type Weight } from '../../lib/weights';
import { expectSameBits } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';
import { CASES } from './cases';

const ROWS = 17;
const COLUMNS = 37;
const OFFSETS = [0, 4, 4, 11];
const COUNT = 19;

function matrix(): Tensor {
  const random = philox(5n);
  return tensor(
    Float32Array.from({ length: ROWS * COLUMNS }, () => 2 * random.uniform() - 1),
    [ROWS, COLUMNS],
  );
}

/** The bags in float64, from the weight's dense form. */
function expectedBags(weight: Weight, ids: Int32Array, mode: string, weights: Float32Array | null): number[] {
  const rows = weight.dense().toArray();
  return OFFSETS.flatMap((begin, bag) => {
    const end = OFFSETS[bag + 1] ?? COUNT;
    return Array.from({ length: COLUMNS }, (_, column) => {
      const values = Array.from(
        ids.subarray(begin, end),
        (id, i) => Number(rows[id * COLUMNS + column]) * (weights?.[begin + i] ?? 1),
      );
      if (values.length === 0) return 0;
      if (mode === 'max') return Math.max(...values);
      const total = values.reduce((left, right) => left + right);
      return mode === 'mean' ? total / values.length : total;
    });
  });
}

describe('bags of rows of a weight', () => {
  expectNoLeaks();

  for (const { name, make } of CASES) {
    it(`are sums, means and maxima of the dense form: ${name}`, () => {
      tidy(() => {
        const random = philox(7n);
        const weight = make(matrix());
        const ids = Int32Array.from({ length: COUNT }, () => random.integer(ROWS));
        const factors = Float32Array.from({ length: COUNT }, () => 2 * random.uniform() - 1);
        for (const [mode, weights] of [
          ['sum', null],
          ['sum', factors],
          ['mean', null],
          ['max', null],
        ] as const) {
          const bags: Bags = {
            ids: tensor(ids),
            offsets: tensor(Int32Array.from(OFFSETS)),
            mode,
            weights: weights === null ? null : tensor(weights),
          };
          const y = weight.bag(bags).toArray();
          expectedBags(weight, ids, mode, weights).forEach((value, i) => {
            expect(Number(y[i]), `${mode}, element ${i}`).to.be.closeTo(value, 2e-5);
          });
        }
        expect(() => weight.bag({ ids: tensor(Int32Array.of(0, ROWS)), offsets: tensor(Int32Array.of(0)) }))
          .to.throw(`${ROWS}`)
          .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
        weight.dispose();
      });
    });
  }

  it('read a bf16 table as it lies, as rows are gathered, and give what its numbers in f32 give, to the bit', () => {
    tidy(() => {
      const halves = matrix().cast('bf16');
      const numbers = new Dense(halves.cast('f32'));
      const weight = new Dense(halves);
      const bags = { ids: tensor(Int32Array.of(3, 16, 3, 0)), offsets: tensor(Int32Array.of(0, 1, 1)) };
      const held = memory().bytes;
      tidy(() => {
        for (const mode of ['sum', 'mean', 'max'] as const) {
          expectSameBits(weight.bag({ ...bags, mode }), numbers.bag({ ...bags, mode }), mode);
        }
        expectSameBits(weight.gather(bags.ids), numbers.gather(bags.ids), 'rows');
      });
      expect(memory().bytes).to.equal(held);
      for (const each of [weight, numbers]) each.dispose();
    });
  });

  it('pass gradients through weights under training', () => {
    for (const { name, make } of CASES.filter(({ kind }) => kind === 'dense' || kind === 'low-rank')) {
      tidy(() => {
        const weight = make(matrix());
        const trainable = weight.trainable();
        const ids = tensor(Int32Array.of(3, 3, 0));
        const dy = tensor(
          Float32Array.from({ length: COLUMNS }, (_, i) => i - 4),
          [1, COLUMNS],
        );
        const bags: Bags = { ids, offsets: tensor(Int32Array.of(0)) };
        const { gradients } = valueAndGradients(() => sum(multiply(trainable.bag(bags), dy)), trainable.parameters());
        const rows = valueAndGradients(
          () =>
            sum(
              multiply(
                trainable.gather(ids),
                tensor(
                  new Float32Array(3 * COLUMNS).map((_, i) => (i % COLUMNS) - 4),
                  [3, COLUMNS],
                ),
              ),
            ),
          trainable.parameters(),
        ).gradients;
        gradients.forEach((gradient, p) => {
          const expected = (rows[p] as Tensor).toArray();
          Array.from(gradient.toArray() as Float32Array).forEach((value, i) => {
            expect(value, `${name}, parameter ${p}, element ${i}`).to.be.closeTo(Number(expected[i]), 1e-3);
          });
        });
        trainable.dispose();
        weight.dispose();
      });
    }
  });
});
