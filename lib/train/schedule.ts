/** How the learning rate changes over a run. */
export type LearningRateSchedule = 'cosine' | 'constant';

/**
 * Learning rate of step `step` (counted from 0) of `total`.
 *
 * 'cosine' falls from `base` towards 0 along half a cosine (Loshchilov and Hutter 2017); 'constant' stays.
 *
 * @example
 * console.log(tersor.learningRateAt('cosine', 0.1, 50, 100)) // 0.05
 */
export function learningRateAt(schedule: LearningRateSchedule, base: number, step: number, total: number): number {
  return schedule === 'constant' ? base : (base / 2) * (1 + Math.cos((Math.PI * step) / total));
}
