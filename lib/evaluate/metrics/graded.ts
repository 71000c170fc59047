/** Lists of documents with graded relevance. */
import { TersorError } from '../../errors';
import { checkCutoff, checkNotEmpty, checkNumber, type MetricValues } from './metric';

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
