/** Schedules that have a name. */
export const SCHEDULES = ['cosine', 'linear', 'constant'] as const;

/** How the learning rate changes over a run: by name, or times `factor` after every `every` steps. */
export type LearningRateSchedule =
  | (typeof SCHEDULES)[number]
  | { readonly step: { readonly every: number; readonly factor: number } };

/**
 * Learning rate of step `step` (counted from 0) of `total`.
 *
 * 'cosine' falls from `base` towards 0 along half a cosine (Loshchilov and Hutter 2017), 'linear' along a line; 'constant' stays;
 * `{ step: { every, factor } }` is multiplied by `factor` after every `every` steps. With a warm-up (Goyal et al. 2017) the rate first rises
 * along a line, from base / warmup to `base` at step warmup − 1, and the schedule is that of the steps after it.
 *
 * @param warmup steps, less than `total`; default 0
 * @example
 * console.log(tersor.learningRateAt('cosine', 0.1, 50, 100)) // 0.05
 * console.log(tersor.learningRateAt('linear', 0.1, 0, 100, 10)) // 0.01
 */
export function learningRateAt(
  schedule: LearningRateSchedule,
  base: number,
  step: number,
  total: number,
  warmup = 0,
): number {
  if (step < warmup) return (base * (step + 1)) / warmup;
  const done = step - warmup;
  const share = done / (total - warmup);
  if (schedule === 'constant') return base;
  if (schedule === 'linear') return base * (1 - share);
  if (schedule === 'cosine') return (base / 2) * (1 + Math.cos(Math.PI * share));
  const { every, factor } = schedule.step;
  return base * factor ** Math.floor(done / every);
}
