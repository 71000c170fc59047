import { expect } from 'chai';
import fc from 'fast-check';
import { sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { TersorError } from '../../lib/errors';
import { embeddingLayer } from '../../lib/nn/embedding';
import { linearLayer, type WeightSource } from '../../lib/nn/linear';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense, type LinearOperator, TrainableMatrix } from '../../lib/weights';
import { at, matrix64, random64, toTensor, total } from '../support/array64';
import { EPSILON, expectClose } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

/** Weights by name; each is freed at the end. */
function sourceOf(weights: Record<string, LinearOperator>): WeightSource & Disposable {
  const source = (name: string) => {
    const weight = weights[name];
    if (weight === undefined) throw new Error(`expected one of ${Object.keys(weights)}, got ${name}`);
    return weight;
  };
  return Object.assign(source, {
    [Symbol.dispose]: () => {
      for (const weight of Object.values(weights)) weight.dispose();
    },
  });
}

describe('layers', () => {
  expectNoLeaks();
  const forms: [name: string, form: (values: Tensor) => LinearOperator][] = [
    ['stored', (values) => new Dense(values)],
    ['in training', (latent) => new TrainableMatrix({ latent })],
  ];
  const dimension = fc.integer({ min: 1, max: 20 });

  for (const [name, form] of forms) {
    it(`linear, ${name}: x · Wᵀ + b and ReLU against float64`, () => {
      fc.assert(
        fc.property(dimension, dimension, dimension, fc.boolean(), fc.nat(), (n, p, q, relu, seed) => {
          const random = philox(seed);
          const [x, w, b] = [random64([n, p], random), random64([q, p], random), random64([q], random)];
          const expected = matrix64(n, q, (i, j) => {
            const y = total(p, (k) => at(x, i, k) * at(w, j, k)) + (b.data[j] as number);
            return relu ? Math.max(y, 0) : y;
          });
          const source = sourceOf({ 'top.weight': form(toTensor(w)), 'top.bias': form(toTensor(b)) });
          tidy(() => {
            const y = linearLayer(source, 'top', toTensor(x), { activation: relu ? 'relu' : null });
            // Each of the p products is below 4 in size, the bias below 2.
            expectClose(y, expected.data, (p + 3) * EPSILON * (4 * p + 2), 'y');
          });
          source[Symbol.dispose]();
        }),
        { numRuns: 30 },
      );
    });

    it(`embedding, ${name}: the rows of the ids`, () => {
      const source = sourceOf({
        'users.weight': form(
          tensor([
            [1, 2],
            [3, 4],
            [5, 6],
          ]),
        ),
      });
      tidy(() => {
        const rows = embeddingLayer(source, 'users', tensor(Int32Array.of(2, 0, 2)));
        expect([...rows.shape]).to.deep.equal([3, 2]);
        expectClose(rows, [5, 6, 1, 2, 5, 6], 0, 'rows');
        for (const id of [-1, 3]) {
          expect(() => embeddingLayer(source, 'users', tensor(Int32Array.of(0, id))))
            .to.throw(TersorError, new RegExp(`got ${id}`))
            .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
        }
      });
      source[Symbol.dispose]();
    });
  }

  it('carry gradients to the weights and biases in training', () => {
    const [w, b] = [new TrainableMatrix({ latent: tensor([[1, 2]]) }), new TrainableMatrix({ latent: tensor([3]) })];
    const source = sourceOf({ 'top.weight': w, 'top.bias': b });
    tidy(() => {
      const x = tensor([
        [5, 7],
        [11, 13],
      ]);
      const { gradients } = valueAndGradients(() => sum(linearLayer(source, 'top', x)), [w.latent, b.latent]);
      expectClose(gradients[0] as Tensor, [16, 20], 0, 'gradient of the weight');
      expectClose(gradients[1] as Tensor, [2], 0, 'gradient of the bias');
    });
    source[Symbol.dispose]();
  });
});
