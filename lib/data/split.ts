/** Seeded division of a data set into a training and a test part. */
import { TersorError } from '../errors';
import { dataStream } from './streams';

/** Indices of the examples in each part, in random order; together every index once. */
export interface Split {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/**
 * Divides `count` examples at random: the first part of one permutation trains, the rest tests.
 *
 * @param count - Number of examples, at least 2.
 * @param testCount - How many of them test, 1..count−1.
 * @param seed - Other seeds give other parts.
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE when a part would be empty
 *
 * @example
 * const { train, test } = splitIndices(10_000, 2_000, 0); // 8,000 and 2,000 indices
 */
export function splitIndices(count: number, testCount: number, seed: number | bigint): Split {
  if (!Number.isInteger(testCount) || testCount < 1 || testCount >= count) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected 1..${count - 1} of ${count} examples for the test part, got ${testCount}, at testCount`,
    );
  }
  const order = dataStream(seed, 'split', 0).permutation(count);
  return { train: order.slice(0, count - testCount), test: order.slice(count - testCount) };
}
