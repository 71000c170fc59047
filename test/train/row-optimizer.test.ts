import { expect } from 'chai';
import { type Bags, embeddingBag, embeddingBagGradient, multiply, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { adam, sgd } from '../../lib/train';
import { type RowOptimizerOptions, rowOptimizer } from '../../lib/train/row-optimizer';
import { expectNoLeaks } from '../tensor/leaks';

const [ROWS, COLUMNS, COUNT] = [12, 5, 9];

function uniform(rows: number, seed: number): Tensor {
  const random = philox(seed);
  return tensor(
    Float32Array.from({ length: rows * COLUMNS }, () => 2 * random.uniform() - 1),
    [rows, COLUMNS],
  );
}

/** Bags that look up rows 0..7 only. */
function bagsOf(step: number): Bags {
  const random = philox(100 + step);
  const ids = tensor(Int32Array.from({ length: COUNT }, () => random.integer(8)));
  return { ids, offsets: tensor(Int32Array.of(0, 4, 4)), mode: 'mean' };
}

/** Loss of bags, and the tensor that its gradient is taken by. */
const lossOf = (y: Tensor, step: number) => sum(multiply(multiply(y, y), uniform(3, 200 + step)));

/** The table after some steps of sparse training. */
function trained(options: RowOptimizerOptions, steps: number): number[] {
  return tidy(() => {
    const table = uniform(ROWS, 1);
    const optimizer = rowOptimizer(table, options);
    for (let step = 1; step <= steps; step++) {
      const bags = bagsOf(step);
      const y = embeddingBag(table, bags);
      const { gradients } = valueAndGradients(() => lossOf(y, step), [y]);
      optimizer.update(embeddingBagGradient(table, bags, gradients[0] as Tensor), 0.1, step);
    }
    const values = Array.from(table.toArray() as Float32Array);
    optimizer.dispose();
    return values;
  });
}

describe('row optimizer', () => {
  expectNoLeaks();

  it('trains as the dense optimizer does: SGD always, Adam in its first step', () => {
    for (const [method, steps, make] of [
      ['sgd', 4, sgd],
      ['adam', 1, adam],
    ] as const) {
      tidy(() => {
        const table = uniform(ROWS, 1);
        const dense = make([table]);
        for (let step = 1; step <= steps; step++) {
          const { gradients } = valueAndGradients(() => lossOf(embeddingBag(table, bagsOf(step)), step), [table]);
          dense.update(gradients, 0.1, step);
        }
        const expected = Array.from(table.toArray() as Float32Array);
        trained({ method }, steps).forEach((value, i) => {
          expect(value, `${method}, element ${i}`).to.be.closeTo(expected[i] as number, 1e-5);
        });
        dense.dispose();
      });
    }
  });

  it('follows Adagrad, by element and by row, and keeps the rows that nobody looked up', () => {
    for (const method of ['adagrad', 'rowwise-adagrad'] as const) {
      const expected = tidy(() => {
        const p = Array.from(uniform(ROWS, 1).toArray() as Float32Array);
        const squares = new Float64Array(ROWS * COLUMNS);
        for (let step = 1; step <= 4; step++) {
          const table = tensor(Float32Array.from(p), [ROWS, COLUMNS]);
          const { gradients } = valueAndGradients(() => lossOf(embeddingBag(table, bagsOf(step)), step), [table]);
          const g = (gradients[0] as Tensor).toArray() as Float32Array;
          for (let row = 0; row < ROWS; row++) {
            const values = Array.from(g.subarray(row * COLUMNS, (row + 1) * COLUMNS));
            const mean = values.reduce((total, value) => total + value * value, 0) / COLUMNS;
            values.forEach((value, j) => {
              const i = row * COLUMNS + j;
              squares[i] = (squares[i] as number) + (method === 'adagrad' ? value * value : mean);
              if (value !== 0) p[i] = (p[i] as number) - (0.1 * value) / (Math.sqrt(squares[i] as number) + 1e-8);
            });
          }
        }
        return p;
      });
      const actual = trained({ method }, 4);
      actual.forEach((value, i) => {
        expect(value, `${method}, element ${i}`).to.be.closeTo(expected[i] as number, 1e-4);
      });
      const start = tidy(() => Array.from(uniform(ROWS, 1).toArray() as Float32Array));
      expect(actual.slice(8 * COLUMNS)).to.deep.equal(start.slice(8 * COLUMNS));
    }
  });

  it('names its state, which is as large as the method says', () => {
    tidy(() => {
      const table = uniform(ROWS, 1);
      const shapes = (method: RowOptimizerOptions['method']) => {
        const optimizer = rowOptimizer(table, { method });
        const all = Array.from(optimizer.state(), ([name, t]) => [name, t.shape]);
        optimizer.dispose();
        return all;
      };
      const full = [ROWS, COLUMNS];
      expect(shapes('sgd')).to.deep.equal([]);
      expect(shapes('adagrad')).to.deep.equal([['first', full]]);
      expect(shapes('rowwise-adagrad')).to.deep.equal([['first', [ROWS]]]);
      expect(shapes('adam')).to.deep.equal([
        ['first', full],
        ['second', full],
      ]);
    });
  });

  it('refuses ids that repeat', () => {
    tidy(() => {
      const table = uniform(ROWS, 1);
      const optimizer = rowOptimizer(table, { method: 'sgd' });
      expect(() => optimizer.update({ ids: tensor(Int32Array.of(1, 1)), rows: uniform(2, 3) }, 0.1, 1))
        .to.throw('ids[1]')
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
      optimizer.dispose();
    });
  });
});
