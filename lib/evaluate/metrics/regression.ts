/** Metrics of predicted numbers, and of what a language model thinks of a text. */
import { TersorError } from '../../errors';
import { checkNotEmpty, checkNumber } from './metric';
import { checkPaired, type PooledMetric, pooled } from './pooled';

function checkFinite(values: ArrayLike<number>, name: string): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    throw new TersorError('ERR_TERSOR_NOT_FINITE', `expected a finite number, got ${values[i]}, at ${name}[${i}]`);
  }
}

/**
 * Root mean squared error.
 *
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_NOT_FINITE for NaN or infinity, ERR_TERSOR_DATA without
 *   examples
 *
 * @example
 * rmse([3, 5], [4, 3]).value; // sqrt((1 + 4) / 2)
 */
export function rmse(predictions: ArrayLike<number>, targets: ArrayLike<number>): PooledMetric {
  checkPaired(predictions, targets, ['predictions', 'targets']);
  checkFinite(predictions, 'predictions');
  checkFinite(targets, 'targets');
  return pooled('rmse', targets.length, (counts) => {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < targets.length; i++) {
      sum += counts[i]! * (predictions[i]! - targets[i]!) ** 2;
      count += counts[i]!;
    }
    return Math.sqrt(sum / count);
  });
}

/** NaN where a side does not vary. */
function correlation(x: ArrayLike<number>, y: ArrayLike<number>, counts: ArrayLike<number>): number {
  let count = 0;
  let meanX = 0;
  let meanY = 0;
  for (let i = 0; i < x.length; i++) {
    count += counts[i]!;
    meanX += counts[i]! * x[i]!;
    meanY += counts[i]! * y[i]!;
  }
  meanX /= count;
  meanY /= count;
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (let i = 0; i < x.length; i++) {
    const dx = x[i]! - meanX;
    const dy = y[i]! - meanY;
    xx += counts[i]! * dx * dx;
    yy += counts[i]! * dy * dy;
    xy += counts[i]! * dx * dy;
  }
  return xy / Math.sqrt(xx * yy);
}

function checkVaries(values: ArrayLike<number>, name: string): void {
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return;
  throw new TersorError('ERR_TERSOR_DATA', `expected numbers that differ, got ${values.length} equal ones, at ${name}`);
}

/**
 * Pearson's correlation of predictions and targets, −1..1.
 *
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_NOT_FINITE for NaN or infinity, ERR_TERSOR_DATA when a side
 *   does not vary
 *
 * @example
 * pearson([1, 2, 3], [2, 4, 7]).value; // 0.99…
 */
export function pearson(predictions: ArrayLike<number>, targets: ArrayLike<number>): PooledMetric {
  checkCorrelated(predictions, targets);
  return pooled('pearson', targets.length, (counts) => correlation(predictions, targets, counts));
}

function checkCorrelated(predictions: ArrayLike<number>, targets: ArrayLike<number>): void {
  checkPaired(predictions, targets, ['predictions', 'targets']);
  checkFinite(predictions, 'predictions');
  checkFinite(targets, 'targets');
  checkVaries(predictions, 'predictions');
  checkVaries(targets, 'targets');
}

/** Mean ranks, equal values sharing theirs, in a resample. */
function ranker(values: ArrayLike<number>): (counts: ArrayLike<number>) => Float64Array {
  const order = Int32Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => values[a]! - values[b]! || a - b,
  );
  return (counts) => {
    const ranks = new Float64Array(values.length);
    let below = 0;
    for (let start = 0, end = 0; start < order.length; start = end) {
      let equal = 0;
      for (; end < order.length && values[order[end]!] === values[order[start]!]; end++) equal += counts[order[end]!]!;
      for (let i = start; i < end; i++) ranks[order[i]!] = below + (equal + 1) / 2;
      below += equal;
    }
    return ranks;
  };
}

/**
 * Spearman's rank correlation of predictions and targets, −1..1: Pearson's of the ranks, equal values sharing the mean of
 * theirs.
 *
 * @throws TersorError as {@link pearson}
 *
 * @example
 * spearman([1, 2, 3], [2, 4, 7]).value; // 1
 */
export function spearman(predictions: ArrayLike<number>, targets: ArrayLike<number>): PooledMetric {
  checkCorrelated(predictions, targets);
  const [rankPredictions, rankTargets] = [ranker(predictions), ranker(targets)];
  return pooled('spearman', targets.length, (counts) =>
    correlation(rankPredictions(counts), rankTargets(counts), counts),
  );
}

/**
 * Perplexity: e to the mean of −log p over all tokens.
 *
 * @param logProbabilities of the tokens that came, in nats, at most 0; −Infinity makes it Infinity
 * @throws TersorError ERR_TERSOR_NOT_FINITE for NaN, ERR_TERSOR_OUT_OF_RANGE for a number above 0, ERR_TERSOR_DATA without tokens
 *
 * @example
 * perplexity([Math.log(0.5), Math.log(0.125)]).value; // 4
 */
export function perplexity(logProbabilities: ArrayLike<number>): PooledMetric {
  checkNotEmpty(logProbabilities.length, 'token');
  for (let i = 0; i < logProbabilities.length; i++) {
    const value = checkNumber(logProbabilities[i], `logProbabilities[${i}]`);
    if (value <= 0) continue;
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected at most 0, got ${value}, at logProbabilities[${i}]`);
  }
  return pooled('perplexity', logProbabilities.length, (counts) => {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < logProbabilities.length; i++) {
      if (counts[i] === 0) continue;
      sum -= counts[i]! * logProbabilities[i]!;
      count += counts[i]!;
    }
    return Math.exp(sum / count);
  });
}
