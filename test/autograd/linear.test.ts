import { expect } from 'chai';
import { linear, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { EPSILON, expectClose } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

const IDENTITY = [
  [1, 0],
  [0, 1],
];

describe('linear', () => {
  expectNoLeaks();

  it('applies GELU after the bias and adds the residual last', () => {
    tidy(() => {
      const x = tensor([
        [0, -2],
        [1, -20],
      ]);
      const residual = tensor([
        [10, 20],
        [30, 40],
      ]);
      const y = linear(x, tensor(IDENTITY), { bias: tensor([1, 1]), activation: 'gelu', residual });
      // x · Φ(x) with Φ(1) = 0.8413447460685429, Φ(−1) = 0.15865525393145707, Φ(2) = 0.9772498680518208 (tables of the normal distribution).
      const expected = [0.8413447460685429 + 10, -0.15865525393145707 + 20, 2 * 0.9772498680518208 + 30, 40];
      expectClose(y, expected, 64 * EPSILON * 40, 'gelu and residual');
    });
  });

  it('applies SiLU', () => {
    tidy(() => {
      const y = linear(tensor([[1, -3]]), tensor(IDENTITY), { activation: 'silu' });
      expectClose(y, [1 / (1 + Math.exp(-1)), -3 / (1 + Math.exp(3))], 8 * EPSILON, 'silu');
    });
  });

  it('has the gradient of its residual, behind a ReLU too', () => {
    tidy(() => {
      const x = tensor([[1, -2]]);
      const w = tensor([
        [3, 1],
        [1, 4],
      ]);
      const residual = tensor([[5, 6]]);
      const { value, gradients } = valueAndGradients(
        () => sum(linear(x, w, { activation: 'relu', residual })),
        [x, residual],
      );
      expect(value.item()).to.equal(1 + 0 + 5 + 6);
      expect([...((gradients[0] as Tensor).toArray() as Float32Array)]).to.deep.equal([3, 1]);
      expect([...((gradients[1] as Tensor).toArray() as Float32Array)]).to.deep.equal([1, 1]);
    });
  });

  it('refuses a residual of another shape, with both shapes in the message', () => {
    tidy(() => {
      expect(() => linear(tensor([[1, 2]]), tensor(IDENTITY), { residual: tensor([[1, 2, 3]]) })).to.throw(
        'gemm: expected residual of shape [1, 2], got [1, 3]',
      );
    });
  });
});
