/** Negatives that are drawn as often as they are popular. */
import { TersorError } from '../../errors';
import type { RandomStream } from '../../random';
import type { UserItems } from '../log/user-items';
import { aliasTable } from './alias';
import { positivesOf } from './positives';
import { type NegativeSampler, oneByOne } from './sampler';

/** Draws from all items before the popularity of those that a user has not is added up. */
const TRIES = 32;

/**
 * Draws each negative among the items that the user has not in `train`, with a probability proportional to count^exponent, where count is
 * the number of an item's interactions in `train`. Items without any are never drawn, unless the exponent is 0.
 *
 * Source: Mikolov et al., "Distributed representations of words and phrases and their compositionality", NeurIPS 2013 (exponent .75).
 *
 * @param train - What users have interacted with.
 * @param items - Number of items.
 * @param options.exponent - From 0 (uniform) on; default 0.75.
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an exponent, item, user, count or epoch out of range, ERR_TERSOR_DATA for a user who has
 *   all items that can be drawn
 *
 * @example
 * const train = { offsets: Int32Array.of(0, 2, 3), items: Int32Array.of(0, 1, 1) };
 * const negatives = popularityNegatives(train, 3, { exponent: 1 })(Int32Array.of(1), { seed: 0, epoch: 0 }); // [0]
 */
export function popularityNegatives(
  train: UserItems,
  items: number,
  { exponent = 0.75 }: { readonly exponent?: number } = {},
): NegativeSampler {
  if (!(exponent >= 0 && exponent <= 16)) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected a number in 0..16, got ${exponent}, at exponent`);
  }
  const positives = positivesOf(train, items);
  const weights = Float64Array.from(interactionCounts(train, items), (count) => count ** exponent);
  const draw = aliasTable(weights);

  /** What rejection would end with, drawn directly. */
  function drawAmongOthers(user: number, random: RandomStream): number {
    const others = items - positives.count(user);
    let total = 0;
    for (let rank = 0; rank < others; rank++) total += weights[positives.other(user, rank)] as number;
    if (total === 0) {
      throw new TersorError(
        'ERR_TERSOR_DATA',
        `expected a popular item that is no positive, got none, at user ${user}`,
      );
    }
    let left = random.uniform() * total;
    let last = -1;
    for (let rank = 0; rank < others; rank++) {
      const item = positives.other(user, rank);
      const weight = weights[item] as number;
      if (weight === 0) continue;
      last = item;
      left -= weight;
      if (left < 0) break;
    }
    return last;
  }

  return oneByOne(positives, 'popularityNegatives', (user, random) => {
    let item = draw(random);
    for (let tries = 1; tries < TRIES && positives.has(user, item); tries++) item = draw(random);
    return positives.has(user, item) ? drawAmongOthers(user, random) : item;
  });
}

/**
 * [items] how often each item is in the training part.
 *
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an item outside 0..items−1
 */
export function interactionCounts(train: UserItems, items: number): Int32Array {
  const counts = new Int32Array(items);
  for (const item of train.items) {
    const count = counts[item];
    if (count === undefined) {
      throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an item in 0..${items - 1}, got ${item}, at train`);
    }
    counts[item] = count + 1;
  }
  return counts;
}
