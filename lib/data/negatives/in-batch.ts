/** The other rows' items of a batch as negatives, and the correction for how often popular ones are among them. */
import { TersorError } from '../../errors';
import type { UserItems } from '../log/user-items';
import { interactionCounts } from './popularity';
import { positivesOf } from './positives';

/**
 * Says which items of a batch are negatives of which row: all that the row's user has not in `train`. A user's own item, the same item in
 * another row and the user's other positives are none, so that no positive is pushed away.
 *
 * @param train - What users have interacted with.
 * @param items - Number of items.
 * @returns a function from the users and the positive items of a batch, [b] each, to [b, b]: 1 where the item of the column is a negative
 *   of the row, else 0
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for a user or item out of range, ERR_TERSOR_SHAPE for lengths that differ
 *
 * @example
 * const train = { offsets: Int32Array.of(0, 2, 3), items: Int32Array.of(0, 1, 2) };
 * const mask = inBatchNegatives(train, 3)(Int32Array.of(0, 1), Int32Array.of(0, 2)); // [0, 1, 1, 0]
 */
export function inBatchNegatives(
  train: UserItems,
  items: number,
): (users: Int32Array, positiveItems: Int32Array) => Uint8Array {
  const positives = positivesOf(train, items);
  return (users, positiveItems) => {
    const batch = users.length;
    if (positiveItems.length !== batch) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected ${batch} items, one for each user, got ${positiveItems.length}, at positiveItems`,
      );
    }
    const mask = new Uint8Array(batch * batch);
    for (let row = 0; row < batch; row++) {
      const user = users[row] as number;
      positives.check(user, 0);
      for (let column = 0; column < batch; column++) {
        const item = positiveItems[column] as number;
        if (item !== positiveItems[row] && !positives.has(user, item)) mask[row * batch + column] = 1;
      }
    }
    return mask;
  };
}

/**
 * Logarithm of each item's share of the interactions, which is its probability to be a negative of its batch. Subtracted from the logits of
 * an in-batch softmax, it stops popular items from being pushed down because they are negatives more often. An item without interactions
 * counts as if it had one.
 *
 * Source: Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019.
 *
 * @returns [items] log-Q
 * @throws TersorError ERR_TERSOR_DATA without interactions, ERR_TERSOR_OUT_OF_RANGE for an item outside 0..items−1
 *
 * @example
 * const train = { offsets: Int32Array.of(0, 2, 4), items: Int32Array.of(0, 1, 0, 2) };
 * console.log(Math.exp(logFrequencies(train, 3)[0])); // 0.5
 */
export function logFrequencies(train: UserItems, items: number): Float32Array {
  const total = train.items.length;
  if (total === 0) throw new TersorError('ERR_TERSOR_DATA', 'expected at least 1 interaction, got none, at train');
  return Float32Array.from(interactionCounts(train, items), (count) => Math.log(Math.max(count, 1) / total));
}
