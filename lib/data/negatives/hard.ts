/** Negatives that a model ranks high. */
import { TersorError } from '../../errors';
import type { UserItems } from '../log/user-items';
import { dataStream } from '../streams';
import { checkCount, positivesOf } from './positives';
import type { NegativeSampler } from './sampler';

/** Users whose best items are asked for at once. */
const USERS_AT_ONCE = 256;

/**
 * Best items of a model.
 *
 * @param users - [n] different users.
 * @returns [n, k] different items for each user, best first
 */
export type BestItems = (users: Int32Array, k: number) => Int32Array;

/**
 * Draws negatives among the `pool` best items of a model that the user has not in `train`, uniformly and without repetition for one entry of
 * the list. The model is asked at every call; a pool much larger than the count keeps the likely positives at the very top rare among them.
 *
 * Source: Zhang et al., "Optimizing top-n collaborative filtering via dynamic negative item sampling", SIGIR 2013.
 *
 * @param train - What users have interacted with.
 * @param items - Number of items.
 * @param best - The model: for `k` up to `pool` and the most positives of a user.
 * @param options.pool - Candidates of each user, at least as many as are drawn; fewer when the user has fewer items left.
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for a user, item, count, pool or epoch out of range; ERR_TERSOR_DATA for a user with
 *   too few items left; ERR_TERSOR_SHAPE when `best` returns another number of items
 *
 * @example
 * const train = { offsets: Int32Array.of(0, 1), items: Int32Array.of(2) };
 * const best = (users, k) => Int32Array.from(Array.from(users).flatMap(() => [2, 0, 1].slice(0, k)));
 * const negatives = hardNegatives(train, 3, best, { pool: 1 })(Int32Array.of(0), { seed: 0, epoch: 0 }); // [0]
 */
export function hardNegatives(
  train: UserItems,
  items: number,
  best: BestItems,
  { pool }: { readonly pool: number },
): NegativeSampler {
  checkCount(pool, 'pool');
  const positives = positivesOf(train, items);

  /** Candidates of each user, best first. */
  function candidatesOf(users: Int32Array): Map<number, Int32Array> {
    const candidates = new Map<number, Int32Array>();
    for (let start = 0; start < users.length; start += USERS_AT_ONCE) {
      const some = users.subarray(start, start + USERS_AT_ONCE);
      const k = Math.min(items, pool + some.reduce((most, user) => Math.max(most, positives.count(user)), 0));
      const ranked = best(some, k);
      if (ranked.length !== some.length * k) {
        throw new TersorError(
          'ERR_TERSOR_SHAPE',
          `expected ${some.length} x ${k} items, got ${ranked.length}, at best`,
        );
      }
      for (const [row, user] of some.entries()) {
        const own = ranked.subarray(row * k, (row + 1) * k);
        const wrong = own.find((item) => item < 0 || item >= items);
        if (wrong !== undefined) {
          throw new TersorError(
            'ERR_TERSOR_OUT_OF_RANGE',
            `expected items in 0..${items - 1}, got ${wrong} for user ${user}, at best`,
          );
        }
        candidates.set(user, own.filter((item) => !positives.has(user, item)).subarray(0, pool));
      }
    }
    return candidates;
  }

  return (users, { count = 1, seed, epoch }) => {
    checkCount(count, 'count');
    if (count > pool) {
      throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected a count of at most ${pool}, got ${count}, at count`);
    }
    for (const user of users) positives.check(user, count);
    const candidates = candidatesOf(Int32Array.from(new Set(users)));
    const random = dataStream(seed, 'hardNegatives', epoch);
    const negatives = new Int32Array(users.length * count);
    for (let i = 0; i < users.length; i++) {
      // A part of a shuffle: the order of the candidates does not matter for the next draw.
      const own = candidates.get(users[i] as number) as Int32Array;
      for (let j = 0; j < count; j++) {
        const chosen = j + random.integer(own.length - j);
        const item = own[chosen] as number;
        own[chosen] = own[j] as number;
        own[j] = item;
        negatives[i * count + j] = item;
      }
    }
    return negatives;
  };
}
