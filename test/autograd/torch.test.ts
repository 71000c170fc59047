import {
  add,
  attention,
  batchNorm2d,
  conv2d,
  distillation,
  layerNorm,
  linear,
  maxPool2d,
  multiply,
  relu,
  reshape,
  scale,
  subtract,
  sum,
} from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { full, type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
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

describe('convolution, batch norm and pooling against PyTorch', () => {
  expectNoLeaks();

  it('stride 2, padding 1, batch norm in training, ReLU, max pool: output, loss, every gradient, running statistics', () => {
    withShared(['vectors', 'torch.safetensors'], (file) => {
      tidy(() => {
        const vectors = readVectors(file);
        const names = ['conv.x', 'conv.weight', 'conv.bias', 'bn.weight', 'bn.bias'];
        const parts = names.map((name) => vectors.tensor(name));
        const [x, weight, bias, scales, shifts] = parts as [Tensor, Tensor, Tensor, Tensor, Tensor];
        const running = { mean: zeros([8]), variance: full([8], 1) };
        let output: number[] = [];
        const loss = () => {
          const h = conv2d(x, weight, { bias, stride: 2, padding: 1 });
          const y = maxPool2d(relu(batchNorm2d(h, running, scales, shifts, { training: true })), { kernel: 2 });
          output = [...(y.toArray() as Float32Array)];
          return sum(multiply(y, y));
        };
        const { value, gradients } = valueAndGradients(loss, parts);
        expectClose(output, vectors.numbers('conv.y'), 1e-5, 'y');
        const [expected] = vectors.numbers('conv.loss') as [number];
        expectClose(value, [expected], 1e-5 * expected, 'loss');
        names.forEach((name, i) => {
          const slopes = vectors.numbers(name.replace('.', '.grad.'));
          const largest = Math.max(...slopes.map(Math.abs));
          // The gradient of the convolution's bias is 0 but for rounding: batch norm takes its mean away.
          expectClose(gradients[i] as Tensor, slopes, 1e-5 * largest + 1e-4, `gradient of ${name}`);
        });
        expectClose(running.mean, vectors.numbers('bn.running_mean'), 1e-6, 'running mean');
        expectClose(running.variance, vectors.numbers('bn.running_var'), 1e-5, 'running variance');
      });
    });
  });
});
