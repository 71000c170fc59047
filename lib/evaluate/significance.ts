import { TersorError } from '../errors';
import { quantile } from '../quantile';
import { philox, type RandomStream } from '../random';
import type { PooledMetric } from './metrics';

/** Difference of two models' metrics with its bootstrap interval, in the metric's own unit (accuracy .01 = one percentage point). */
export interface Interval {
  /** a − b, of the test set as it is. */
  readonly difference: number;
  readonly low: number;
  readonly high: number;
  /** Probability that intervals made this way cover the true difference, e.g. 0.95. */
  readonly confidence: number;
}

/** Options of {@link pairedBootstrap} and {@link pairedBootstrapPooled}. */
export interface BootstrapOptions {
  /** Default 0. */
  readonly seed?: number | bigint;
  /** Default 10,000; of pooled metrics, where each costs a pass over the examples, 2,000. */
  readonly resamples?: number;
  /** Between 0 and 1, default 0.95. */
  readonly confidence?: number;
}

/** Cumulative distribution of the binomial (n, p), 0 < p < 1, in logarithms so that n = 10⁶ does not underflow. */
function binomialCumulative(n: number, p: number): Float64Array {
  const cumulative = new Float64Array(n + 1);
  const logOdds = Math.log(p) - Math.log1p(-p);
  let logProbability = n * Math.log1p(-p);
  let sum = 0;
  for (let successes = 0; successes <= n; successes++) {
    sum += Math.exp(logProbability);
    cumulative[successes] = sum;
    logProbability += Math.log((n - successes) / (successes + 1)) + logOdds;
  }
  return cumulative;
}

/** First index whose cumulative probability exceeds u. */
function invert(cumulative: Float64Array, u: number): number {
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (cumulative[middle]! > u) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** How many of n draws with replacement from n pairs meet one of the `changed` pairs. */
function changedDraws(n: number, changed: number, random: RandomStream): () => number {
  if (changed === n) return () => n;
  const cumulative = binomialCumulative(n, changed / n);
  return () => invert(cumulative, random.uniform());
}

function pairedDifferences(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  if (a.length !== b.length) {
    throw new TersorError('ERR_TERSOR_SHAPE', `expected as many values on both sides, got ${a.length} and ${b.length}`);
  }
  if (a.length === 0) throw new TersorError('ERR_TERSOR_DATA', 'expected at least one pair of values, got none');
  return Float64Array.from({ length: a.length }, (_, i) => {
    const difference = a[i]! - b[i]!;
    if (Number.isFinite(difference)) return difference;
    throw new TersorError('ERR_TERSOR_NOT_FINITE', `expected finite values, got ${a[i]} and ${b[i]}, at pair ${i}`);
  });
}

function checkOptions(resamples: number, confidence: number): void {
  if (!Number.isInteger(resamples) || resamples < 1) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an integer >= 1, got ${resamples}, at resamples`);
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected a number in (0, 1), got ${confidence}, at confidence`);
  }
}

/**
 * Paired bootstrap interval of mean(a) − mean(b): examples are drawn with replacement, both models' values together, and
 * the interval is read off the percentiles of the resampled differences.
 *
 * The percentile interval and not BCa: a mean of paired differences is unbiased and, on the thousands of examples it is
 * used for, all but symmetric, so the correction is smaller than the error of the resampling itself. Most pairs do
 * not differ (a compressed model answers nearly as the original): how many of the n draws meet one of the differing
 * pairs is a binomial number, and only those are drawn. The distribution is the same, the work is a small part.
 *
 * Source: Efron, Tibshirani, "An introduction to the bootstrap", 1993, ch. 13; for paired test sets Koehn, "Statistical
 * significance tests for machine translation evaluation", EMNLP 2004.
 *
 * @param a values per example of one model
 * @param b values of the other model, for the same examples in the same order
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_DATA for none, ERR_TERSOR_NOT_FINITE for NaN or
 *   infinite values, ERR_TERSOR_OUT_OF_RANGE for an option
 *
 * @example
 * const { difference, low, high } = pairedBootstrap([1, 1, 0, 1], [1, 0, 0, 1]); // 0.25, 0, 0.75
 */
export function pairedBootstrap(a: ArrayLike<number>, b: ArrayLike<number>, options: BootstrapOptions = {}): Interval {
  const { seed = 0, resamples = 10_000, confidence = 0.95 } = options;
  checkOptions(resamples, confidence);
  const differences = pairedDifferences(a, b);
  const n = differences.length;
  const changed = differences.filter((value) => value !== 0);
  const difference = changed.reduce((sum, value) => sum + value, 0) / n;
  if (changed.length === 0) return { difference: 0, low: 0, high: 0, confidence };

  const random = philox(seed);
  const drawCount = changedDraws(n, changed.length, random);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let sum = 0;
    for (let left = drawCount(); left > 0; left--) sum += changed[random.integer(changed.length)]!;
    means[resample] = sum / n;
  }
  return percentiles(difference, means, confidence);
}

function percentiles(difference: number, resampled: Float64Array, confidence: number): Interval {
  resampled.sort();
  const tail = (1 - confidence) / 2;
  return { difference, low: quantile(resampled, tail), high: quantile(resampled, 1 - tail), confidence };
}

/** Undefined resamples that are drawn again, for each one wanted. */
const REDRAWS = 10;

/**
 * Paired bootstrap interval of a.value − b.value, for metrics that are no means: whole test sets are drawn with replacement,
 * the same examples for both models. A resample whose metric is undefined (AUC without negatives) is drawn again.
 *
 * Source: as {@link pairedBootstrap}.
 *
 * @param a metric of one model
 * @param b the same metric of the other model, of the same examples in the same order
 * @throws TersorError ERR_TERSOR_SHAPE for different numbers of examples, ERR_TERSOR_INVALID_ARGUMENT for different metrics,
 *   ERR_TERSOR_NOT_FINITE for an infinite value, ERR_TERSOR_DATA when nearly all resamples are undefined,
 *   ERR_TERSOR_OUT_OF_RANGE for an option
 *
 * @example
 * const labels = [0, 0, 1, 1, 0, 1];
 * const { low, high } = pairedBootstrapPooled(auc([1, 2, 3, 4, 5, 6], labels), auc([3, 2, 1, 4, 6, 5], labels));
 */
export function pairedBootstrapPooled(a: PooledMetric, b: PooledMetric, options: BootstrapOptions = {}): Interval {
  const { seed = 0, resamples = 2_000, confidence = 0.95 } = options;
  checkOptions(resamples, confidence);
  if (a.name !== b.name) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected one metric on both sides, got ${a.name} and ${b.name}`,
    );
  }
  pairedDifferences([a.value], [b.value]);
  const n = a.examples;
  if (n !== b.examples) {
    throw new TersorError('ERR_TERSOR_SHAPE', `expected as many examples on both sides, got ${n} and ${b.examples}`);
  }
  const random = philox(seed);
  const counts = new Uint32Array(n);
  const differences = new Float64Array(resamples);
  let undefinedOnes = 0;
  for (let resample = 0; resample < resamples; ) {
    counts.fill(0);
    for (let draw = 0; draw < n; draw++) counts[random.integer(n)]!++;
    const difference = a.resampled(counts) - b.resampled(counts);
    differences[resample] = difference;
    if (!Number.isNaN(difference)) resample++;
    else if (++undefinedOnes > REDRAWS * resamples) {
      throw new TersorError(
        'ERR_TERSOR_DATA',
        `expected examples enough for ${a.name} of resamples, got ${n} of which most resamples leave it undefined`,
      );
    }
  }
  return percentiles(a.value - b.value, differences, confidence);
}
