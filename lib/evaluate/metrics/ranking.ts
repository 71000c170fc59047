/**
 * Metrics of ranked lists with binary relevance, from the places of the relevant items alone. Ties count against the
 * relevant item: a model must not gain by giving everything one score.
 */
import { TersorError } from '../../errors';
import { checkCutoff, checkNotEmpty, checkNumber, type MetricValues } from './metric';

/** Where the relevant items stand in each user's (or query's) list. */
export interface RelevantRanks {
  /** Of all users, one after the other; ascending for each, 0 is the top. */
  readonly ranks: Int32Array;
  /** [users + 1], starts of the users' parts of `ranks`; every user has at least one relevant item. */
  readonly offsets: Int32Array;
}

/** A user's list before it is ranked. */
export interface ScoredItems {
  /** Of every item of the catalogue. */
  readonly scores: ArrayLike<number>;
  /** Ids of the held-out items, each once, at least one. */
  readonly relevant: ArrayLike<number>;
  /** Ids that are not ranked, such as the items that the user had in training; none of them relevant. */
  readonly excluded?: ArrayLike<number>;
}

/**
 * Ranks where every user has one relevant item.
 *
 * @param ranks [users], 0 is the top
 * @throws TersorError ERR_TERSOR_DATA without users
 *
 * @example
 * mean(hitRate(singleRelevant([0, 9, 10]), 10).values); // 2 / 3
 */
export function singleRelevant(ranks: ArrayLike<number>): RelevantRanks {
  checkNotEmpty(ranks.length, 'user');
  return {
    ranks: Int32Array.from(ranks),
    offsets: Int32Array.from({ length: ranks.length + 1 }, (_, user) => user),
  };
}

/**
 * Ranks of the held-out positives in the leave-one-out protocol: how many of the user's negatives score at least as
 * high as the positive.
 *
 * Source: He et al., "Neural collaborative filtering", WWW 2017, which ranks one positive among 99 negatives.
 *
 * @param scores of all candidates, user after user; in each user's list the positive comes first
 * @param offsets [users + 1], starts of the lists in `scores`; the last one is the length of `scores`
 * @throws TersorError ERR_TERSOR_NOT_FINITE for a NaN score, ERR_TERSOR_SHAPE for offsets that do not cut `scores` into
 *   lists of at least one candidate, ERR_TERSOR_DATA without users
 *
 * @example
 * leaveOneOutRanks([0.5, 0.9, 0.5, 0.1], [0, 4]).ranks; // Int32Array [2]: 0.9 and the tied 0.5 are ahead
 */
export function leaveOneOutRanks(scores: ArrayLike<number>, offsets: ArrayLike<number>): RelevantRanks {
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
  return singleRelevant(ranks);
}

/**
 * Full ranking: places of the relevant items among all items but the excluded ones. An item that is not relevant stands
 * ahead of the relevant ones with the same score.
 *
 * Source: Krichene, Rendle, "On sampled metrics for item recommendation", KDD 2020, on why all items are ranked.
 *
 * @param users their lists, taken one at a time: a generator needs one user's scores in memory
 * @throws TersorError ERR_TERSOR_NOT_FINITE for a NaN score, ERR_TERSOR_OUT_OF_RANGE for an id that is no item,
 *   ERR_TERSOR_DATA without users, for a user without relevant items and for one that is repeated or excluded
 *
 * @example
 * const { ranks } = fullRanking([{ scores: [0.9, 0.1, 0.5, 0.7], relevant: [2], excluded: [0] }]); // [1]: 0.7 is ahead
 */
export function fullRanking(users: Iterable<ScoredItems>): RelevantRanks {
  const ranks: number[] = [];
  const offsets = [0];
  for (const list of users) {
    for (const rank of ranksOf(list, `user ${offsets.length - 1}`)) ranks.push(rank);
    offsets.push(ranks.length);
  }
  checkNotEmpty(offsets.length - 1, 'user');
  return { ranks: Int32Array.from(ranks), offsets: Int32Array.from(offsets) };
}

function ranksOf({ scores, relevant, excluded = [] }: ScoredItems, where: string): Int32Array {
  const ranked = new Uint8Array(scores.length).fill(1);
  for (let i = 0; i < excluded.length; i++) ranked[itemAt(excluded, i, scores.length, `${where}: excluded`)] = 0;
  const best = new Float64Array(relevant.length);
  for (let i = 0; i < relevant.length; i++) {
    const item = itemAt(relevant, i, scores.length, `${where}: relevant`);
    if (ranked[item] === 0) {
      throw new TersorError(
        'ERR_TERSOR_DATA',
        `expected relevant items that are not excluded, each once, got ${item}, at ${where}: relevant[${i}]`,
      );
    }
    ranked[item] = 0;
    best[i] = checkNumber(scores[item], `${where}: scores[${item}]`);
  }
  if (best.length === 0) {
    throw new TersorError('ERR_TERSOR_DATA', `expected at least one relevant item, got none, at ${where}`);
  }
  best.sort().reverse();
  // Others whose score passes that of the i-th best relevant item, but not that of the one before.
  const ahead = new Int32Array(best.length);
  for (let item = 0; item < scores.length; item++) {
    const score = checkNumber(scores[item], `${where}: scores[${item}]`);
    if (ranked[item] === 0 || score < best[best.length - 1]!) continue;
    let low = 0;
    for (let high = best.length - 1; low < high; ) {
      const middle = (low + high) >>> 1;
      if (best[middle]! <= score) high = middle;
      else low = middle + 1;
    }
    ahead[low]!++;
  }
  let passed = 0;
  return ahead.map((count, i) => {
    passed += count;
    return i + passed;
  });
}

function itemAt(ids: ArrayLike<number>, i: number, items: number, where: string): number {
  const id = ids[i]!;
  if (Number.isInteger(id) && id >= 0 && id < items) return id;
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an item in 0..${items - 1}, got ${id}, at ${where}[${i}]`);
}

/** A value for each user, from the ranks of its relevant items that are below k, ascending, and how many there are in all. */
function perUser(
  name: string,
  { ranks, offsets }: RelevantRanks,
  k: number,
  value: (hits: Int32Array, relevant: number) => number,
): MetricValues {
  checkCutoff(k);
  checkNotEmpty(Math.max(0, offsets.length - 1), 'user');
  const values = new Float64Array(offsets.length - 1);
  for (let user = 0; user < values.length; user++) {
    const start = offsets[user]!;
    const relevant = offsets[user + 1]! - start;
    let hits = 0;
    while (hits < relevant && ranks[start + hits]! < k) hits++;
    values[user] = value(ranks.subarray(start, start + hits), relevant);
  }
  return { name: `${name}@${k}`, values };
}

/**
 * Hit rate at k: 1 for a user with a relevant item below k, else 0.
 *
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * mean(hitRate(singleRelevant([0, 9, 10]), 10).values); // 2 / 3
 */
export function hitRate(ranks: RelevantRanks, k: number): MetricValues {
  return perUser('hr', ranks, k, (hits) => (hits.length > 0 ? 1 : 0));
}

/**
 * Recall at k: the share of the user's relevant items that are below k.
 *
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * recall(fullRanking([{ scores: [3, 2, 1], relevant: [0, 2] }]), 2).values; // Float64Array [0.5]
 */
export function recall(ranks: RelevantRanks, k: number): MetricValues {
  return perUser('recall', ranks, k, (hits, relevant) => hits.length / relevant);
}

/**
 * Precision at k: the share of the k places that hold a relevant item, also where the list is shorter than k.
 *
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * precision(fullRanking([{ scores: [3, 2, 1], relevant: [0, 2] }]), 2).values; // Float64Array [0.5]
 */
export function precision(ranks: RelevantRanks, k: number): MetricValues {
  return perUser('precision', ranks, k, (hits) => hits.length / k);
}

/**
 * Reciprocal rank at k, whose mean is MRR@k: 1 / (place of the first relevant item, from 1), 0 when it is not below k.
 *
 * Source: Voorhees, "The TREC-8 question answering track report", 1999.
 *
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * mean(reciprocalRank(singleRelevant([0, 1, 10]), 10).values); // (1 + 1/2 + 0) / 3
 */
export function reciprocalRank(ranks: RelevantRanks, k: number): MetricValues {
  return perUser('mrr', ranks, k, ([first]) => (first === undefined ? 0 : 1 / (first + 1)));
}

/**
 * Average precision at k, whose mean is MAP@k: the precision at the place of every relevant item below k, summed, over the
 * most that could be there, min(relevant items, k).
 *
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * averagePrecisionAt(fullRanking([{ scores: [4, 3, 2, 1], relevant: [0, 2] }]), 4).values; // [(1/1 + 2/3) / 2]
 */
export function averagePrecisionAt(ranks: RelevantRanks, k: number): MetricValues {
  return perUser('map', ranks, k, (hits, relevant) => {
    let sum = 0;
    for (const [i, rank] of hits.entries()) sum += (i + 1) / (rank + 1);
    return sum / Math.min(relevant, k);
  });
}

/**
 * Normalised discounted cumulative gain at k: Σ 1 / log2(rank + 2) over the relevant items below k, divided by that of a
 * list with all of them on top.
 *
 * Source: Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002.
 *
 * @param k length of the list shown, at least 1
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for k, ERR_TERSOR_DATA without users
 *
 * @example
 * ndcg(singleRelevant([0, 1, 10]), 10).values; // Float64Array [1, 0.63…, 0]
 */
export function ndcg(ranks: RelevantRanks, k: number): MetricValues {
  // ideal[n]: the discounts of the first n places
  const ideal = [0];
  return perUser('ndcg', ranks, k, (hits, relevant) => {
    let gain = 0;
    for (const rank of hits) gain += 1 / Math.log2(rank + 2);
    const most = Math.min(relevant, k);
    while (ideal.length <= most) ideal.push(ideal.at(-1)! + 1 / Math.log2(ideal.length + 1));
    return gain / ideal[most]!;
  });
}
