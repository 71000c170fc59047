import { TersorError } from '../errors';

/** A metric measured on a test set, kept per example so that two models can be compared in pairs. */
export interface MetricValues {
  /** Canonical name: 'accuracy', 'hr@10', 'ndcg@10'. */
  readonly name: string;
  /** One value per example, user or query, in the order of the test set; their mean is the reported number. */
  readonly values: Float64Array;
}

function checkNumber(value: number | undefined, where: string): number {
  if (value === undefined || Number.isNaN(value)) {
    throw new TersorError('ERR_TERSOR_NOT_FINITE', `expected a number, got ${value}, at ${where}`);
  }
  return value;
}

function checkNotEmpty(count: number, what: string): void {
  if (count === 0) throw new TersorError('ERR_TERSOR_DATA', `expected at least one ${what}, got none`);
}

function checkCutoff(k: number): void {
  if (!Number.isInteger(k) || k < 1) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an integer k >= 1, got ${k}, at k`);
  }
}

/** Index of the largest value of a row; the lowest index among equals. */
function argmax(values: ArrayLike<number>, start: number, length: number, where: string): number {
  let best = 0;
  let largest = checkNumber(values[start], `${where}[${start}]`);
  for (let i = 1; i < length; i++) {
    const value = checkNumber(values[start + i], `${where}[${start + i}]`);
    if (value > largest) {
      largest = value;
      best = i;
    }
  }
  return best;
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

/**
 * Top-1 accuracy: 1 for an example whose largest logit is its label's, else 0. Among equal largest logits the lowest
 * class wins, so a model that answers the same for every class scores as if it always said class 0.
 *
 * @param logits [n, classes], row-major; probabilities do as well
 * @param labels [n], integers 0..classes-1
 * @throws TersorError ERR_TERSOR_NOT_FINITE for a NaN logit, ERR_TERSOR_SHAPE when the lengths do not fit,
 *   ERR_TERSOR_OUT_OF_RANGE for a label that is no class, ERR_TERSOR_DATA for an empty set
 *
 * @example
 * const { values } = accuracy(Float32Array.of(0.1, 0.9, 0.8, 0.2), [1, 1], 2); // Float64Array [1, 0]
 * console.log(mean(values)); // 0.5
 */
export function accuracy(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): MetricValues {
  checkNotEmpty(labels.length, 'example');
  if (!Number.isInteger(classes) || classes < 1 || logits.length !== labels.length * classes) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected ${labels.length} x ${classes} logits, got ${logits.length}, at logits`,
    );
  }
  const values = new Float64Array(labels.length);
  for (let i = 0; i < values.length; i++) {
    const label = labels[i]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new TersorError(
        'ERR_TERSOR_OUT_OF_RANGE',
        `expected a class in 0..${classes - 1}, got ${label}, at labels[${i}]`,
      );
    }
    values[i] = argmax(logits, i * classes, classes, 'logits') === label ? 1 : 0;
  }
  return { name: 'accuracy', values };
}

/**
 * Ranks of the held-out positives in the leave-one-out protocol: how many of the user's negatives score at least as
 * high as the positive. A tie counts against the positive: a model must not gain by giving everything one score.
 *
 * Source: He et al., "Neural collaborative filtering", WWW 2017, which ranks one positive among 99 negatives.
 *
 * @param scores of all candidates, user after user; in each user's list the positive comes first
 * @param offsets [users + 1], starts of the lists in `scores`; the last one is the length of `scores`
 * @returns [users], 0 is the top; NaN is refused
 * @throws TersorError ERR_TERSOR_NOT_FINITE for a NaN score, ERR_TERSOR_SHAPE for offsets that do not cut `scores` into
 *   lists of at least one candidate, ERR_TERSOR_DATA without users
 *
 * @example
 * leaveOneOutRanks([0.5, 0.9, 0.5, 0.1], [0, 4]); // Int32Array [2]: 0.9 and the tied 0.5 are ahead
 */
export function leaveOneOutRanks(scores: ArrayLike<number>, offsets: ArrayLike<number>): Int32Array {
  checkNotEmpty(Math.max(0, offsets.length - 1), 'user');
  if (offsets[0] !== 0 || offsets[offsets.length - 1] !== scores.length) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected offsets from 0 to ${scores.length}, got ${offsets[0]} to ${offsets[offsets.length - 1]}, at offsets`,
    );
  }
  const ranks = new Int32Array(offsets.length - 1);
  for (let user = 0; user < ranks.length; user++) {
    const start = offsets[user]!;
    const end = offsets[user + 1]!;
    if (!(end > start)) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected at least the positive, got an empty list of candidates, at user ${user}`,
      );
    }
    const positive = checkNumber(scores[start], `scores[${start}]`);
    for (let i = start + 1; i < end; i++) {
      if (checkNumber(scores[i], `scores[${i}]`) >= positive) ranks[user]!++;
    }
  }
  return ranks;
}

/**
 * Hit rate at k with one relevant item per user: 1 when its rank is below k, else 0.
 *
 * @param ranks [users] from {@link leaveOneOutRanks}
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * mean(hitRate([0, 9, 10], 10).values); // 2 / 3
 */
export function hitRate(ranks: ArrayLike<number>, k: number): MetricValues {
  checkCutoff(k);
  checkNotEmpty(ranks.length, 'user');
  return { name: `hr@${k}`, values: Float64Array.from(ranks, (rank) => (rank < k ? 1 : 0)) };
}

/**
 * Normalised discounted cumulative gain at k with one relevant item per user: 1 / log2(rank + 2) when its rank is below
 * k, else 0 (the ideal list has the item on top and gains 1).
 *
 * Source: Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002.
 *
 * @param ranks [users] from {@link leaveOneOutRanks}
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * ndcg([0, 1, 10], 10).values; // Float64Array [1, 0.63…, 0]
 */
export function ndcg(ranks: ArrayLike<number>, k: number): MetricValues {
  checkCutoff(k);
  checkNotEmpty(ranks.length, 'user');
  return { name: `ndcg@${k}`, values: Float64Array.from(ranks, (rank) => (rank < k ? 1 / Math.log2(rank + 2) : 0)) };
}

/** Discounted gain of the first k places of a list ranked by score; equal scores share their places' discounts. */
function discountedGain(scores: Float64Array, grades: Float64Array, k: number): number {
  const order = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
  let gain = 0;
  for (let start = 0, end = 0; start < Math.min(k, order.length); start = end) {
    let grade = 0;
    let discount = 0;
    for (; end < order.length && scores[order[end]!] === scores[order[start]!]; end++) {
      grade += grades[order[end]!]!;
      if (end < k) discount += 1 / Math.log2(end + 2);
    }
    gain += (grade / (end - start)) * discount;
  }
  return gain;
}

/**
 * NDCG at k with graded relevance and linear gain: gain of the list ranked by score over the gain of the ideal list, per
 * query. Documents with equal scores share the discounts of the places that they fill, which is the mean over all orders
 * of them. A query without any relevant document counts 0.
 *
 * Source: McSherry, Najork, "Computing information retrieval performance measures efficiently in the presence of tied
 * scores", ECIR 2008; scikit-learn's `ndcg_score` does the same (its `ignore_ties=True` takes some order of the tied).
 *
 * @param scores [queries, documents], row-major
 * @param grades [queries, documents], row-major, non-negative
 * @param documents per query, at least 1
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_NOT_FINITE for a NaN score or grade, ERR_TERSOR_SHAPE when the lengths do not fit,
 *   ERR_TERSOR_OUT_OF_RANGE for k or a negative grade, ERR_TERSOR_DATA without queries
 *
 * @example
 * gradedNdcg([0.9, 0.5, 0.1], [3, 2, 0], 3, 10).values[0]; // 1: the ideal order
 */
export function gradedNdcg(
  scores: ArrayLike<number>,
  grades: ArrayLike<number>,
  documents: number,
  k: number,
): MetricValues {
  checkCutoff(k);
  const queries = scores.length / documents;
  if (scores.length !== grades.length || !(documents >= 1) || !Number.isInteger(queries)) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected scores and grades [queries, ${documents}], got ${scores.length} scores and ${grades.length} grades`,
    );
  }
  checkNotEmpty(queries, 'query');
  const values = new Float64Array(queries);
  for (let query = 0; query < queries; query++) {
    const start = query * documents;
    const row = Float64Array.from({ length: documents }, (_, i) =>
      checkNumber(scores[start + i], `scores[${start + i}]`),
    );
    const rowGrades = Float64Array.from({ length: documents }, (_, i) => {
      const grade = checkNumber(grades[start + i], `grades[${start + i}]`);
      if (grade >= 0 && Number.isFinite(grade)) return grade;
      throw new TersorError(
        'ERR_TERSOR_OUT_OF_RANGE',
        `expected a finite grade >= 0, got ${grade}, at grades[${start + i}]`,
      );
    });
    const ideal = discountedGain(rowGrades, rowGrades, k);
    values[query] = ideal === 0 ? 0 : discountedGain(row, rowGrades, k) / ideal;
  }
  return { name: `ndcg@${k}`, values };
}
