/**
 * Which random stream each use of randomness takes, so that no two uses share numbers: the use in the top byte, the
 * epoch or step in the rest.
 */
import { TersorError } from '../errors';
import { philox, type RandomStream } from '../random';

const USES = {
  split: 1,
  batches: 2,
  shift: 3,
  userSplit: 4,
  uniformNegatives: 5,
  popularityNegatives: 6,
  hardNegatives: 7,
  clicks: 8,
  clickFactors: 9,
} as const;
const INDEX_LIMIT = 2 ** 24;

/**
 * Opens the stream of one use at one epoch or step.
 *
 * @param seed - As {@link philox} takes it.
 * @param use - What the numbers are for.
 * @param index - Epoch or step, 0..2²⁴−1; 0 for a use that happens once.
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an index out of range, ERR_TERSOR_INVALID_ARGUMENT for the seed
 *
 * @example
 * const first = dataStream(0, 'batches', 3).uniform();
 */
export function dataStream(seed: number | bigint, use: keyof typeof USES, index: number): RandomStream {
  if (!Number.isInteger(index) || index < 0 || index >= INDEX_LIMIT) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected an epoch or step in 0..${INDEX_LIMIT - 1}, got ${index}, at ${use}`,
    );
  }
  return philox(seed, USES[use] * INDEX_LIMIT + index);
}
