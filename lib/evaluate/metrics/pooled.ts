/** Metrics of a test set as a whole, such as the area under the ROC curve, which are no means over its examples. */
import { TersorError } from '../../errors';
import { checkNotEmpty, checkNumber } from './metric';

/** A metric of all examples together, kept so that it can be had of resamples too. */
export interface PooledMetric {
  /** Canonical name: 'auc', 'f1', 'rmse'. */
  readonly name: string;
  /** Of the test set as it is. */
  readonly value: number;
  readonly examples: number;
  /**
   * Of a resample.
   *
   * @param counts [examples], how often each is drawn
   * @returns NaN where the metric is undefined, as AUC is without negatives
   */
  resampled(counts: ArrayLike<number>): number;
}

/** @param compute the metric, with example i as often as counts[i] says */
export function pooled(name: string, examples: number, compute: (counts: ArrayLike<number>) => number): PooledMetric {
  return { name, value: compute(new Uint8Array(examples).fill(1)), examples, resampled: compute };
}

/** Refuses sides of different lengths, none at all, and NaN. */
export function checkPaired(
  values: ArrayLike<number>,
  targets: ArrayLike<number>,
  names: readonly [string, string],
): void {
  if (values.length !== targets.length) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected as many ${names[0]} as ${names[1]}, got ${values.length} and ${targets.length}`,
    );
  }
  checkNotEmpty(values.length, 'example');
  for (let i = 0; i < values.length; i++) {
    checkNumber(values[i], `${names[0]}[${i}]`);
    checkNumber(targets[i], `${names[1]}[${i}]`);
  }
}
