/** Negatives of which every item is as likely as any other. */
import type { UserItems } from '../log/user-items';
import { positivesOf } from './positives';
import { type NegativeSampler, oneByOne } from './sampler';

/**
 * Draws each negative uniformly among the items that the user has not in `train`. One random number gives the rank of the negative among
 * them: nothing is drawn again, however many positives a user has.
 *
 * Source: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009.
 *
 * @param train - What a user has interacted with; items that are in no training part may be drawn, as they must be.
 * @param items - Number of items.
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an item, user, count or epoch out of range, ERR_TERSOR_DATA for a user who has all items
 *
 * @example
 * const train = { offsets: Int32Array.of(0, 2, 3), items: Int32Array.of(0, 1, 2) };
 * const negatives = uniformNegatives(train, 4)(Int32Array.of(0, 0, 1), { count: 2, seed: 0, epoch: 3 }); // [3, 2]
 */
export function uniformNegatives(train: UserItems, items: number): NegativeSampler {
  const positives = positivesOf(train, items);
  return oneByOne(positives, 'uniformNegatives', (user, random) =>
    positives.other(user, random.integer(items - positives.count(user))),
  );
}
