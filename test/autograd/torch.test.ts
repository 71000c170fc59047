import {
  add,
  attention,
  distillation,
  layerNorm,
  linear,
  multiply,
  reshape,
  scale,
  subtract,
  sum,
} from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { expectClose } from '../support/close';
import { withShared } from '../support/shared';
import { readVectors } from '../support/vectors';
import { expectNoLeaks } from '../tensor/leaks';

describe('losses against PyTorch', () => {
  expectNoLeaks();

  it('distillation at temperature 2.5, mean over rows', () => {
    withShared(['vectors', 'torch.safetensors'], (file) => {
      tidy(() => {
        const vectors = readVectors(file);
        const student = vectors.tensor('kd.student');
        const loss = () => distillation(student, vectors.tensor('kd.teacher'), 2.5);
        const { value, gradients } = valueAndGradients(loss, [student]);
        const [expected] = vectors.numbers('kd.loss.tau2.5') as [number];
        expectClose(value, [expected], 1e-5 * expected, 'loss');
        const slopes = vectors.numbers('kd.grad.student');
        const largest = Math.max(...slopes.map(Math.abs));
        expectClose(gradients[0] as Tensor, slopes, 1e-5 * largest, 'gradient');
      });
    });
  });
});

describe('a transformer block against PyTorch', () => {
  expectNoLeaks();

  it('post-norm, 4 heads, padded keys, exact GELU: loss and every gradient', () => {
    withShared(['vectors', 'torch.safetensors'], (file) => {
      tidy(() => {
        const vectors = readVectors(file);
        const names = [
          ...['q', 'k', 'v', 'o', 'up', 'down', 'ln1', 'ln2'].flatMap((layer) => [`${layer}.weight`, `${layer}.bias`]),
          'x',
        ];
        const p = Object.fromEntries(names.map((name) => [name, vectors.tensor(`block.${name}`)]));
        const part = (name: string) => p[name] as Tensor;
        const [batch, length, width] = part('x').shape as [number, number, number];
        const rows = [batch * length, width];
        const target = vectors.tensor('block.target').reshape(rows);
        const kept = vectors.numbers('block.mask');
        const mask = tensor(Uint8Array.from(kept), [batch, length]);
        const weights = tensor(kept.flatMap((keep) => Array<number>(width).fill(keep))).reshape(rows);
        const dense = (x: Tensor, layer: string, activation: 'gelu' | null = null) =>
          linear(x, part(`${layer}.weight`), { bias: part(`${layer}.bias`), activation });
        const norm = (x: Tensor, layer: string) =>
          layerNorm(x, part(`${layer}.weight`), part(`${layer}.bias`), { epsilon: 1e-12 });
        let output: number[] = [];
        const loss = () => {
          const x = reshape(part('x'), rows);
          const [q, k, v] = ['q', 'k', 'v'].map((layer) => reshape(dense(x, layer), [batch, length, width]));
          const read = attention(q as Tensor, k as Tensor, v as Tensor, { heads: 4, mask });
          const h = norm(add(x, dense(reshape(read, rows), 'o')), 'ln1');
          const y = norm(add(h, dense(dense(h, 'up', 'gelu'), 'down')), 'ln2');
          output = [...(y.toArray() as Float32Array)];
          const error = subtract(y, target);
          return scale(sum(multiply(multiply(error, error), weights)), 1 / y.size);
        };
        const { value, gradients } = valueAndGradients(loss, names.map(part));
        expectClose(output, vectors.numbers('block.y'), 1e-5, 'y');
        const [expected] = vectors.numbers('block.loss') as [number];
        expectClose(value, [expected], 1e-5 * expected, 'loss');
        names.forEach((name, i) => {
          const slopes = vectors.numbers(`block.grad.${name}`);
          const largest = Math.max(...slopes.map(Math.abs));
          // The gradient of k's bias is 0 but for rounding: softmax does not see it.
          expectClose(gradients[i] as Tensor, slopes, 1e-5 * largest + 1e-8, `gradient of ${name}`);
        });
      });
    });
  });
});
