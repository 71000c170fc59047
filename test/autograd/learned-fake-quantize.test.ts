import { expect } from 'chai';
import { learnedFakeQuantize, multiply, subtract, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { expectClose } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

const ROWS = 4;
const COLUMNS = 10;

function draw(shape: readonly number[], low: number, high: number, seed: number): Tensor {
  const random = philox(seed);
  const size = shape.reduce((product, extent) => product * extent, 1);
  return tensor(
    Float32Array.from({ length: size }, () => low + (high - low) * random.uniform()),
    shape,
  );
}

describe('learnedFakeQuantize', () => {
  expectNoLeaks();

  it('has the gradients of the paper, in float64, for scales of any grain', () => {
    for (const [rows, groupSize] of [
      [1, COLUMNS],
      [ROWS, COLUMNS],
      [ROWS, 4],
      [1, 3],
    ] as const) {
      for (const zero of [0, 3]) {
        tidy(() => {
          const groups = Math.ceil(COLUMNS / groupSize);
          const x = draw([ROWS, COLUMNS], -2, 2, 1);
          const scales = draw([rows, groups], 0.1, 0.4, 2);
          const slopes = draw([ROWS, COLUMNS], -1, 1, 3);
          const zeroPoints = zero === 0 ? null : tensor(new Int32Array(rows * groups).fill(zero), [rows, groups]);
          const [codeMin, codeMax] = zero === 0 ? [-4, 3] : [0, 7];
          const affine = { scales, zeroPoints, biases: null, codeMin, codeMax, groupSize };
          const { gradients } = valueAndGradients(
            () => sum(multiply(learnedFakeQuantize(x, affine), slopes)),
            [x, scales],
          );
          const [dx, ds] = gradients as [Tensor, Tensor];
          const expectedX = new Float64Array(ROWS * COLUMNS);
          const sums = new Float64Array(rows * groups);
          const counts = new Float64Array(rows * groups);
          const [values, steps, dy] = [x, scales, slopes].map((t) => t.toArray() as Float32Array) as [
            Float32Array,
            Float32Array,
            Float32Array,
          ];
          values.forEach((value, i) => {
            const row = Math.floor(i / COLUMNS);
            const slot = (rows === 1 ? 0 : row) * groups + Math.floor((i % COLUMNS) / groupSize);
            const position = value / (steps[slot] as number);
            const step = Math.min(Math.max(Math.round(position), codeMin - zero), codeMax - zero);
            const inside = Math.round(position) === step;
            expectedX[i] = inside ? (dy[i] as number) : 0;
            sums[slot]! += (dy[i] as number) * (inside ? step - position : step);
            counts[slot]! += 1;
          });
          const expected = sums.map((total, i) => total / Math.sqrt((counts[i] as number) * (codeMax - zero)));
          expectClose(dx.toArray() as Float32Array, expectedX, 1e-6, 'gradient of x');
          expectClose(ds.toArray() as Float32Array, expected, 1e-5, 'gradient of the scales');
        });
      }
    }
  });

  it('finds a better scale by gradient descent', () => {
    tidy(() => {
      const x = draw([1, 500], -1, 1, 5);
      let scale = 0.02;
      const errorAt = (value: number) => {
        const scales = tensor([[value]]);
        const affine = { scales, zeroPoints: null, biases: null, codeMin: -8, codeMax: 7, groupSize: 500 };
        const { value: loss, gradients } = valueAndGradients(() => {
          const error = subtract(learnedFakeQuantize(x, affine), x);
          return sum(multiply(error, error));
        }, [scales]);
        return { loss: loss.item(), slope: (gradients[0] as Tensor).item() };
      };
      const before = errorAt(scale).loss;
      for (let i = 0; i < 100; i++) scale -= 2e-3 * errorAt(scale).slope;
      const after = errorAt(scale).loss;
      // The best step of 16 codes over [-1, 1] is near 2/15.
      expect(scale).to.be.closeTo(2 / 15, 0.02);
      expect(after).to.be.below(before / 20);
    });
  });
});
