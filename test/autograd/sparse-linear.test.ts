import { expect } from 'chai';
import fc from 'fast-check';
import { multiply, sparseLinear, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { philox } from '../../lib/random';
import { SparsePattern } from '../../lib/sparse/pattern';
import { type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import { type Array64, array64, at, matrix64, random64, toTensor, total } from '../support/array64';
import { EPSILON, expectClose } from '../support/close';
import { centralDifferences } from '../support/differences';
import { expectNoLeaks } from '../tensor/leaks';

/** x · Wᵀ + bias + residual, where W has `values` at the elements of `mask` that differ from 0. */
function product64(mask: Array64, relu: boolean, [x, values, bias, residual]: readonly Array64[]): Array64 {
  const [rows, columns] = mask.shape as [number, number];
  let next = 0;
  const dense = array64(mask.shape, (i) => (mask.data[i] === 0 ? 0 : ((values as Array64).data[next++] as number)));
  return matrix64((x as Array64).shape[0] as number, rows, (i, j) => {
    const product =
      total(columns, (k) => at(x as Array64, i, k) * at(dense, j, k)) + ((bias as Array64).data[j] as number);
    return (relu ? Math.max(product, 0) : product) + at(residual as Array64, i, j);
  });
}

const absolute = ({ shape, data }: Array64): Array64 => ({ shape, data: data.map(Math.abs) });

describe('sparseLinear', () => {
  expectNoLeaks();

  const sizes = fc.record({
    n: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constantFrom(17, 33)),
    rows: fc.integer({ min: 1, max: 20 }),
    columns: fc.integer({ min: 1, max: 20 }),
    density: fc.constantFrom(0, 0.1, 0.5, 1),
    relu: fc.boolean(),
  });

  it('and its gradients by x, values, bias and residual are those of the dense layer in float64', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), ({ n, rows, columns, density, relu }, seed) => {
        const random = philox(seed);
        const mask = array64([rows, columns], () => (random.uniform() < density ? 1 : 0));
        const nonzeros = mask.data.reduce((a, b) => a + b, 0);
        const inputs = [[n, columns], [nonzeros], [rows], [n, rows]].map((shape) => random64(shape, random));
        const reference = (given: readonly Array64[]) => product64(mask, relu, given);
        if (relu) {
          const [x, values, bias] = inputs as [Array64, Array64, Array64];
          const before = product64(mask, false, [x, values, bias, array64([n, rows], () => 0)]);
          fc.pre(before.data.every((value) => Math.abs(value) > 2e-3));
        }
        const r = random64([n, rows], random);
        const loss = (y: Array64, weights: Array64) =>
          total(y.data.length, (i) => (y.data[i] as number) * (weights.data[i] as number));
        const sizeOf = (given: readonly Array64[]) => product64(mask, false, given);
        const relative = EPSILON * (n + columns + rows + 8);
        tidy(() => {
          const pattern = SparsePattern.of(toTensor(mask));
          const tensors = inputs.map(toTensor) as [Tensor, Tensor, Tensor, Tensor];
          const apply = ([x, values, bias, residual]: typeof tensors) =>
            sparseLinear(x, values, pattern, { bias, residual, activation: relu ? 'relu' : null });
          const magnitude = sizeOf(inputs.map(absolute)).data.map((size) => relative * size);
          expectClose(apply(tensors), reference(inputs).data, magnitude, 'value');
          const { gradients } = valueAndGradients(() => sum(multiply(apply(tensors), toTensor(r))), tensors);
          const slopes = centralDifferences((moved) => loss(reference(moved), r), inputs);
          const slopeSizes = centralDifferences((moved) => loss(sizeOf(moved), absolute(r)), inputs.map(absolute));
          gradients.forEach((gradient, k) => {
            const tolerance = (slopeSizes[k] as Array64).data.map((size) => relative * size + 1e-8);
            expectClose(gradient, (slopes[k] as Array64).data, tolerance, `gradient by input ${k}`);
          });
          pattern.dispose();
        });
      }),
      { numRuns: 60 },
    );
  });

  it('has the gradients of the other activations', () => {
    tidy(() => {
      const pattern = SparsePattern.of(
        tensor([
          [0, 2],
          [3, 0],
        ]),
      );
      const [x, values] = [tensor([[1, 10]]), tensor([1, -1])];
      const logistic = (v: number) => 1 / (1 + Math.exp(-v));
      const slope = (v: number) => logistic(v) * (1 + v * (1 - logistic(v)));
      const { value, gradients } = valueAndGradients(
        () => sum(sparseLinear(x, values, pattern, { activation: 'silu' })),
        [x, values],
      );
      expectClose(value, [10 * logistic(10) - logistic(-1)], 1e-5, 'value');
      expectClose(gradients[0] as Tensor, [-slope(-1), slope(10)], 1e-6, 'gradient by x');
      expectClose(gradients[1] as Tensor, [10 * slope(10), slope(-1)], 1e-5, 'gradient by values');
      pattern.dispose();
    });
  });

  it('refuses values that are not one for every nonzero, and inputs of another width', () => {
    tidy(() => {
      const pattern = SparsePattern.of(
        tensor([
          [0, 2],
          [3, 0],
        ]),
      );
      const wrong = [
        () => sparseLinear(zeros([1, 2]), zeros([3]), pattern),
        () => sparseLinear(zeros([1, 3]), zeros([2]), pattern),
        () => sparseLinear(zeros([2]), zeros([2]), pattern),
      ];
      for (const body of wrong) expect(body).to.throw().with.property('code', 'ERR_TERSOR_SHAPE');
      pattern.dispose();
    });
  });
});

describe('a sparse pattern', () => {
  expectNoLeaks();

  it('takes values out of a matrix and puts them back', () => {
    tidy(() => {
      const w = tensor([
        [0, 2, 0],
        [3, 0, -4],
      ]);
      const pattern = SparsePattern.of(w);
      expect(pattern.nonzeros).to.equal(3);
      expect([...pattern.values(w).toArray()]).to.deep.equal([2, 3, -4]);
      expect([...pattern.dense(pattern.values(w)).toArray()]).to.deep.equal([0, 2, 0, 3, 0, -4]);
    });
  });

  it('refuses other shapes and dtypes', () => {
    tidy(() => {
      const pattern = SparsePattern.of(
        tensor([
          [0, 2],
          [3, 0],
        ]),
      );
      const codes: [() => unknown, string][] = [
        [() => SparsePattern.of(zeros([4])), 'ERR_TERSOR_SHAPE'],
        [() => SparsePattern.of(zeros([2, 2], 'i32')), 'ERR_TERSOR_DTYPE'],
        [() => pattern.values(zeros([2, 3])), 'ERR_TERSOR_SHAPE'],
        [() => pattern.dense(zeros([3])), 'ERR_TERSOR_SHAPE'],
      ];
      for (const [body, code] of codes) expect(body).to.throw().with.property('code', code);
    });
  });
});
