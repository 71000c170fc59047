/** Draws from any distribution over 0..n−1 in constant time. */
import { TersorError } from '../../errors';
import type { RandomStream } from '../../random';

/**
 * Prepares an alias table: each of n equally likely columns holds one outcome and its alias.
 *
 * Source: Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE TSE 17(9), 1991.
 *
 * @param weights - Not negative, finite, at least one of them positive; their sum counts as 1.
 * @returns a function that draws an index; indices of weight 0 are never drawn
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for other weights
 *
 * @example
 * const draw = aliasTable([1, 2, 1]);
 * console.log(draw(philox(0))); // 1 in half of all draws
 */
export function aliasTable(weights: ArrayLike<number>): (random: RandomStream) => number {
  const n = weights.length;
  let total = 0;
  for (let i = 0; i < n; i++) {
    const weight = weights[i] as number;
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY))
      fail('a finite weight of at least 0', weight, `weights[${i}]`);
    total += weight;
  }
  if (!(total > 0 && total < Number.POSITIVE_INFINITY)) fail('weights with a positive finite sum', total, 'weights');

  const share = Float64Array.from(weights, (weight) => (weight / total) * n);
  const alias = Int32Array.from(share.keys());
  const small: number[] = [];
  const large: number[] = [];
  for (let i = 0; i < n; i++) ((share[i] as number) < 1 ? small : large).push(i);
  while (small.length > 0 && large.length > 0) {
    const low = small.pop() as number;
    const high = large[large.length - 1] as number;
    alias[low] = high;
    share[high] = (share[high] as number) - (1 - (share[low] as number));
    if ((share[high] as number) < 1) {
      large.pop();
      small.push(high);
    }
  }
  // What is left is 1 but for rounding, unless its weight is 0: then it takes the most likely outcome.
  const likeliest = likeliestOf(weights);
  for (const i of small) {
    if (weights[i] === 0) alias[i] = likeliest;
    else share[i] = 1;
  }
  for (const i of large) share[i] = 1;

  return (random) => {
    const column = random.integer(n);
    return random.uniform() < (share[column] as number) ? column : (alias[column] as number);
  };
}

function likeliestOf(weights: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < weights.length; i++) if ((weights[i] as number) > (weights[best] as number)) best = i;
  return best;
}

function fail(expected: string, got: number, where: string): never {
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected ${expected}, got ${got}, at ${where}`);
}
