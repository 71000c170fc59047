/** Which items each user has interacted with, for quick questions. */
import { TersorError } from '../../errors';
import type { UserItems } from '../log/user-items';

/** Users' items as sorted sets. */
export interface Positives {
  /** Whether the user has the item. */
  has(user: number, item: number): boolean;
  /** How many items the user has. */
  count(user: number): number;
  /** The item of a rank, from 0, among those that the user does not have, in order of their ids. */
  other(user: number, rank: number): number;
  /** Throws unless the user is there and lacks `needed` items or more. */
  check(user: number, needed: number): void;
}

/**
 * @param items - Number of items.
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an item outside 0..items−1
 */
export function positivesOf({ offsets, items: all }: UserItems, items: number): Positives {
  const users = offsets.length - 1;
  const sorted = new Int32Array(all.length);
  const starts = new Int32Array(users);
  const ends = new Int32Array(users);
  for (let user = 0, at = 0; user < users; user++) {
    starts[user] = at;
    for (const item of all.slice(offsets[user], offsets[user + 1]).sort()) {
      if (item < 0 || item >= items) {
        throw new TersorError(
          'ERR_TERSOR_OUT_OF_RANGE',
          `expected an item in 0..${items - 1}, got ${item}, at user ${user}`,
        );
      }
      if (at > (starts[user] as number) && sorted[at - 1] === item) continue;
      sorted[at++] = item;
    }
    ends[user] = at;
  }
  const count = (user: number) => (ends[user] as number) - (starts[user] as number);

  /** First position of the user's items for which `past` holds; it holds for all after it. */
  function search(user: number, past: (position: number) => boolean): number {
    let low = starts[user] as number;
    let high = ends[user] as number;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (past(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  return {
    count,
    has(user, item) {
      const at = search(user, (position) => (sorted[position] as number) >= item);
      return at < (ends[user] as number) && sorted[at] === item;
    },
    other(user, rank) {
      const start = starts[user] as number;
      return rank + search(user, (position) => (sorted[position] as number) - (position - start) > rank) - start;
    },
    check(user, needed) {
      if (!(user >= 0 && user < users)) {
        throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected a user in 0..${users - 1}, got ${user}, at users`);
      }
      if (items - count(user) >= needed) return;
      throw new TersorError(
        'ERR_TERSOR_DATA',
        `expected at least ${needed} of ${items} items to be no positives, got ${items - count(user)}, at user ${user}`,
      );
    },
  };
}

/** @throws TersorError ERR_TERSOR_OUT_OF_RANGE unless the count is an integer from 1 on */
export function checkCount(count: number, name: string): void {
  if (Number.isInteger(count) && count >= 1) return;
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an integer of at least 1, got ${count}, at ${name}`);
}
