/** Learning rate as a fraction of the first one, at step `step` of `total` (both counted from 0). */
export type LearningRateSchedule = 'cosine' | 'constant';

/**
 * Learning rate of a step.
 *
 * 'cosine' falls from `base` to 0 along half a cosine (Loshchilov and Hutter 2017); 'constant' stays.
 */
export function learningRateAt(schedule: LearningRateSchedule, base: number, step: number, total: number): number {
  return schedule === 'constant' ? base : (base / 2) * (1 + Math.cos((Math.PI * step) / total));
}
