import { type NativeTensor, native } from '../native';
import { empty, type Tensor, tidy } from '../tensor';
import { isTracked, record } from './tape';

/**
 * Mean cross-entropy of logits against class labels, in nats.
 *
 * @param logits f32 [n, classes]
 * @param labels i32 [n], each in [0, classes)
 * @returns one element; differentiable in the logits
 * @throws ERR_TERSOR_OUT_OF_RANGE for a label outside the classes
 * @example
 * const loss = tersor.ops.crossEntropy(tersor.tensor([[2, 0]]), tersor.tensor(Int32Array.of(0)))
 * console.log(loss.item().toFixed(4)) // 0.1269
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return lossOf(logits, (loss, gradient) => native.crossEntropy(logits.handle, labels.handle, loss, gradient));
}

/**
 * Soft-label distillation: τ² · KL(softmax(teacher/τ) ‖ softmax(student/τ)), mean over rows, in nats.
 *
 * @param student logits, f32 [n, classes]
 * @param teacher logits of the same shape; no gradient flows into them
 * @param temperature τ > 0; the factor τ² keeps the gradient's size independent of τ (Hinton, Vinyals and Dean 2015)
 * @returns one element; differentiable in the student
 * @throws ERR_TERSOR_SHAPE; ERR_TERSOR_OUT_OF_RANGE for a temperature of 0 or less
 */
export function distillation(student: Tensor, teacher: Tensor, temperature: number): Tensor {
  return lossOf(student, (loss, gradient) =>
    native.distillation(student.handle, teacher.handle, temperature, loss, gradient),
  );
}

/** A loss whose kernel computes its gradient along with its value. */
function lossOf(logits: Tensor, run: (loss: NativeTensor, gradient: NativeTensor | null) => void): Tensor {
  const { loss, gradient } = tidy(() => {
    const loss = empty([1]);
    const gradient = isTracked(logits) ? empty(logits.shape) : null;
    run(loss.handle, gradient?.handle ?? null);
    return { loss, gradient };
  });
  return record(loss, [logits], (dy) => {
    if (gradient !== null) native.scale(gradient.handle, dy.item(), gradient.handle);
    return [gradient];
  });
}
