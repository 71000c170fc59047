/** What a metric is, and the checks that all of them share. */
import { TersorError } from '../../errors';

/** A metric that is a mean over examples, kept per example so that two models can be compared in pairs. */
export interface MetricValues {
  /** Canonical name: 'accuracy', 'hr@10', 'ndcg@10', 'log_loss'. */
  readonly name: string;
  /** One value per example, user or query, in the order of the test set; their mean is the reported number. */
  readonly values: Float64Array;
}

export function checkNumber(value: number | undefined, where: string): number {
  if (value === undefined || Number.isNaN(value)) {
    throw new TersorError('ERR_TERSOR_NOT_FINITE', `expected a number, got ${value}, at ${where}`);
  }
  return value;
}

export function checkNotEmpty(count: number, what: string): void {
  if (count === 0) throw new TersorError('ERR_TERSOR_DATA', `expected at least one ${what}, got none`);
}

export function checkCutoff(k: number): void {
  if (!Number.isInteger(k) || k < 1) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an integer k >= 1, got ${k}, at k`);
  }
}

/**
 * Mean of a metric over its examples: the number that reports show.
 *
 * @throws TersorError ERR_TERSOR_DATA without examples
 */
export function mean(values: ArrayLike<number>): number {
  checkNotEmpty(values.length, 'example');
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
