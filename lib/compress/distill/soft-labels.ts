import { add, distillation, scale } from '../../autograd';
import { noGrad } from '../../autograd/tape';
import { TersorError } from '../../errors';
import type { Model } from '../../models';
import type { Objective } from '../../train/step';

/** How a student learns from a teacher. */
export interface DistillOptions {
  /** Softmax temperature τ > 0. Default 2. */
  readonly temperature?: number;
  /** Share of the labels' loss, 0..1. Default 0.5. */
  readonly alpha?: number;
}

/**
 * Soft-label distillation: L = α · labels' loss + (1 − α) · τ² · KL(softmax(teacher/τ) ‖ softmax(student/τ))
 * (Hinton, Vinyals and Dean 2015). The student may be the teacher itself while it is pruned, factorized or quantized.
 *
 * @param teacher answers every batch; its output are logits [n, classes] like the student's. It must live as long as the training.
 * @throws ERR_TERSOR_OUT_OF_RANGE for a temperature or an alpha outside its range
 * @example
 * const data = { inputs: Float32Array.of(-1, 1), labels: Int32Array.of(0, 1), features: 1, classes: 2 }
 * const teacher = tersor.initialize(tersor.mlp([1, 8, 2])), student = tersor.initialize(tersor.mlp([1, 2])).trainable()
 * const objective = tersor.softLabels(teacher, { temperature: 2, alpha: 0.5 })
 * await tersor.fit(student, tersor.classificationTask(data), { epochs: 3, objective })
 */
export function softLabels(teacher: Model, { temperature = 2, alpha = 0.5 }: DistillOptions = {}): Objective {
  check(temperature > 0 && Number.isFinite(temperature), 'a finite number above 0', temperature, 'temperature');
  check(alpha >= 0 && alpha <= 1, 'a number in [0, 1]', alpha, 'alpha');
  return (labelLoss, output, inputs) => {
    const target = noGrad(() => teacher.forward(...inputs));
    return add(scale(labelLoss, alpha), scale(distillation(output, target, temperature), 1 - alpha));
  };
}

function check(holds: boolean, expected: string, got: number, option: string): void {
  if (holds) return;
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected ${expected}, got ${got}, at ${option} of softLabels`);
}
