/** Metrics of binary classification, such as the prediction of clicks: a score and a label, 0 or 1, for each example. */
import { TersorError } from '../../errors';
import { checkNumber, type MetricValues } from './metric';
import { checkPaired, type PooledMetric, pooled } from './pooled';

/** log 0 is not finite: probabilities are kept this far from 0 and 1, as scikit-learn keeps those of float64. */
const CLIP = Number.EPSILON;

function checkBinary(scores: ArrayLike<number>, labels: ArrayLike<number>, name: string): void {
  checkPaired(scores, labels, [name, 'labels']);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 0 || labels[i] === 1) continue;
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected 0 or 1, got ${labels[i]}, at labels[${i}]`);
  }
}

function checkProbabilities(probabilities: ArrayLike<number>, labels: ArrayLike<number>): void {
  checkBinary(probabilities, labels, 'probabilities');
  for (let i = 0; i < probabilities.length; i++) {
    const value = probabilities[i]!;
    if (value >= 0 && value <= 1) continue;
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected 0..1, got ${value}, at probabilities[${i}]`);
  }
}

/** Both classes have to be there. */
function checkClasses(labels: ArrayLike<number>, name: string): void {
  for (const label of [0, 1]) {
    if (Array.prototype.includes.call(labels, label)) continue;
    throw new TersorError('ERR_TERSOR_DATA', `expected labels of both classes for ${name}, got no ${label}`);
  }
}

/** Indices by falling score, cut into groups of equal scores. */
function groupsByScore(scores: ArrayLike<number>): Int32Array[] {
  const order = Int32Array.from({ length: scores.length }, (_, i) => i).sort(
    (a, b) => scores[b]! - scores[a]! || a - b,
  );
  const groups: Int32Array[] = [];
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) end++;
    groups.push(order.subarray(start, end));
  }
  return groups;
}

/** Positives and negatives of a group, as often as they are drawn. */
function drawn(group: Int32Array, labels: ArrayLike<number>, counts: ArrayLike<number>): [number, number] {
  let positives = 0;
  let negatives = 0;
  for (const i of group) {
    if (labels[i] === 1) positives += counts[i]!;
    else negatives += counts[i]!;
  }
  return [positives, negatives];
}

/**
 * Area under the ROC curve: the probability that a positive scores higher than a negative, ties counted half.
 *
 * Source: Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic curve", 1982.
 *
 * @param scores any order-preserving score; infinities are ordered
 * @param labels 0 or 1, both of them there
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_NOT_FINITE for NaN, ERR_TERSOR_OUT_OF_RANGE for a
 *   label that is neither 0 nor 1, ERR_TERSOR_DATA without examples of both classes
 *
 * @example
 * auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value; // 0.75
 */
export function auc(scores: ArrayLike<number>, labels: ArrayLike<number>): PooledMetric {
  checkBinary(scores, labels, 'scores');
  checkClasses(labels, 'auc');
  const groups = groupsByScore(scores);
  return pooled('auc', labels.length, (counts) => {
    let above = 0;
    let below = 0;
    let pairs = 0;
    for (const group of groups) {
      const [positives, negatives] = drawn(group, labels, counts);
      pairs += negatives * (above + positives / 2);
      above += positives;
      below += negatives;
    }
    return pairs / (above * below);
  });
}

/**
 * Average precision, the area under the precision-recall curve as a sum of steps: Σ (R_n − R_{n−1}) P_n over the
 * thresholds, one for each distinct score.
 *
 * Source: scikit-learn's `average_precision_score`.
 *
 * @param scores any order-preserving score
 * @param labels 0 or 1, at least one 1
 * @throws TersorError as {@link auc}
 *
 * @example
 * averagePrecision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value; // 0.83…
 */
export function averagePrecision(scores: ArrayLike<number>, labels: ArrayLike<number>): PooledMetric {
  checkBinary(scores, labels, 'scores');
  checkClasses(labels, 'average_precision');
  const groups = groupsByScore(scores);
  return pooled('average_precision', labels.length, (counts) => {
    let hits = 0;
    let seen = 0;
    let sum = 0;
    for (const group of groups) {
      const [positives, negatives] = drawn(group, labels, counts);
      hits += positives;
      seen += positives + negatives;
      if (positives > 0) sum += positives * (hits / seen);
    }
    return sum / hits;
  });
}

/** −log of the probability that was given to what happened. */
function surprise(probability: number, label: number): number {
  const clipped = Math.min(Math.max(probability, CLIP), 1 - CLIP);
  return label === 1 ? -Math.log(clipped) : -Math.log1p(-clipped);
}

/**
 * Log loss (binary cross-entropy) in nats. Probabilities are kept 2⁻⁵² away from 0 and 1, so that one sure and wrong answer costs
 * 36 nats and not infinitely many.
 *
 * @param probabilities of label 1, in 0..1
 * @param labels 0 or 1
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_NOT_FINITE for NaN, ERR_TERSOR_OUT_OF_RANGE for a
 *   probability outside 0..1 or a label that is neither 0 nor 1, ERR_TERSOR_DATA without examples
 *
 * @example
 * mean(logLoss([0.9, 0.2], [1, 0]).values); // 0.164…
 */
export function logLoss(probabilities: ArrayLike<number>, labels: ArrayLike<number>): MetricValues {
  checkProbabilities(probabilities, labels);
  return {
    name: 'log_loss',
    values: Float64Array.from({ length: labels.length }, (_, i) => surprise(probabilities[i]!, labels[i]!)),
  };
}

/**
 * Normalized entropy: the log loss over that of always predicting the share of label 1. Below 1 the model knows more than
 * the share.
 *
 * Source: He et al., "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014.
 *
 * @param probabilities of label 1, in 0..1
 * @param labels 0 or 1, both of them there
 * @throws TersorError as {@link logLoss}; ERR_TERSOR_DATA when one class is missing
 *
 * @example
 * normalizedEntropy([0.9, 0.2], [1, 0]).value; // 0.237…
 */
export function normalizedEntropy(probabilities: ArrayLike<number>, labels: ArrayLike<number>): PooledMetric {
  const { values } = logLoss(probabilities, labels);
  checkClasses(labels, 'normalized_entropy');
  return pooled('normalized_entropy', labels.length, (counts) => {
    let loss = 0;
    let count = 0;
    let positives = 0;
    for (let i = 0; i < values.length; i++) {
      loss += counts[i]! * values[i]!;
      count += counts[i]!;
      positives += counts[i]! * labels[i]!;
    }
    const share = positives / count;
    return loss / count / -(share * Math.log(share) + (1 - share) * Math.log1p(-share));
  });
}

/**
 * Calibration: the sum of the predicted probabilities over the number of examples of label 1. Above 1 the model
 * promises too much.
 *
 * Source: He et al., "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014.
 *
 * @param probabilities of label 1, in 0..1
 * @param labels 0 or 1, at least one 1
 * @throws TersorError as {@link logLoss}; ERR_TERSOR_DATA without label 1
 *
 * @example
 * calibration([0.9, 0.3], [1, 0]).value; // 1.2
 */
export function calibration(probabilities: ArrayLike<number>, labels: ArrayLike<number>): PooledMetric {
  checkProbabilities(probabilities, labels);
  if (!Array.prototype.includes.call(labels, 1)) {
    throw new TersorError('ERR_TERSOR_DATA', 'expected at least one label 1 for calibration, got none');
  }
  return pooled('calibration', labels.length, (counts) => {
    let predicted = 0;
    let positives = 0;
    for (let i = 0; i < labels.length; i++) {
      predicted += counts[i]! * probabilities[i]!;
      positives += counts[i]! * labels[i]!;
    }
    return predicted / positives;
  });
}

/** How the predictions score > threshold fall out: a score at the threshold says 0, as a classifier that is undecided does. */
interface Outcomes {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
}

function atThreshold(
  name: string,
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  threshold: number,
  value: (outcomes: Outcomes) => number,
): PooledMetric {
  checkBinary(scores, labels, 'scores');
  checkNumber(threshold, 'threshold');
  return pooled(name, labels.length, (counts) => {
    const outcomes = { truePositives: 0, falsePositives: 0, falseNegatives: 0 };
    for (let i = 0; i < labels.length; i++) {
      const predicted = scores[i]! > threshold;
      if (predicted && labels[i] === 1) outcomes.truePositives += counts[i]!;
      else if (predicted) outcomes.falsePositives += counts[i]!;
      else if (labels[i] === 1) outcomes.falseNegatives += counts[i]!;
    }
    return value(outcomes);
  });
}

/** 0 where the denominator is 0, as scikit-learn has it. */
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/**
 * Precision of the predictions score > threshold: the share of them that are right; 0 without any.
 *
 * @param labels 0 or 1
 * @param threshold default 0.5
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_NOT_FINITE for NaN, ERR_TERSOR_OUT_OF_RANGE for a
 *   label that is neither 0 nor 1, ERR_TERSOR_DATA without examples
 *
 * @example
 * binaryPrecision([0.9, 0.6, 0.2], [1, 0, 1]).value; // 0.5
 */
export function binaryPrecision(scores: ArrayLike<number>, labels: ArrayLike<number>, threshold = 0.5): PooledMetric {
  return atThreshold('precision', scores, labels, threshold, ({ truePositives, falsePositives }) =>
    share(truePositives, truePositives + falsePositives),
  );
}

/**
 * Recall of the predictions score > threshold: the share of the positives among them; 0 without positives.
 *
 * @param labels 0 or 1
 * @param threshold default 0.5
 * @throws TersorError as {@link binaryPrecision}
 *
 * @example
 * binaryRecall([0.9, 0.6, 0.2], [1, 0, 1]).value; // 0.5
 */
export function binaryRecall(scores: ArrayLike<number>, labels: ArrayLike<number>, threshold = 0.5): PooledMetric {
  return atThreshold('recall', scores, labels, threshold, ({ truePositives, falseNegatives }) =>
    share(truePositives, truePositives + falseNegatives),
  );
}

/**
 * F1, the harmonic mean of precision and recall of the predictions score > threshold; 0 where both are.
 *
 * @param labels 0 or 1
 * @param threshold default 0.5
 * @throws TersorError as {@link binaryPrecision}
 *
 * @example
 * f1([0.9, 0.6, 0.2], [1, 0, 1]).value; // 0.5
 */
export function f1(scores: ArrayLike<number>, labels: ArrayLike<number>, threshold = 0.5): PooledMetric {
  return atThreshold('f1', scores, labels, threshold, ({ truePositives, falsePositives, falseNegatives }) =>
    share(2 * truePositives, 2 * truePositives + falsePositives + falseNegatives),
  );
}
