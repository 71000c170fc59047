import { distillation } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { type Tensor, tidy } from '../../lib/tensor';
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
