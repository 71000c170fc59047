/** Random division of every user's interactions. */
import { dataStream } from '../streams';
import type { InteractionLog } from './interaction-log';
import { type InteractionSplit, portion, type Ratios, shares, splitByUser } from './split';

/** Options of {@link randomSplit}. */
export interface RandomSplitOptions {
  /** Default 8:1:1. */
  readonly ratios?: Ratios;
  readonly seed: number | bigint;
}

/**
 * Divides each user's interactions at random: of n, floor(n · share) go to valid and to test, the rest to train. Within a part they keep
 * the order of the log.
 *
 * Source: RecBole's `eval_args: { split: { RS: [8, 1, 1] }, group_by: user }`.
 *
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for ratios below 0 or without train, ERR_TERSOR_INVALID_ARGUMENT for the seed
 *
 * @example
 * const { train, test } = randomSplit(await readInteractions('ml-100k.inter'), { seed: 0 });
 * console.log(train.items.length, test.items.length); // 80808 9596
 */
export function randomSplit(log: InteractionLog, { ratios = [8, 1, 1], seed }: RandomSplitOptions): InteractionSplit {
  const share = shares(ratios);
  const random = dataStream(seed, 'userSplit', 0);
  return splitByUser(log, (rows) => {
    const order = random.permutation(rows.length);
    const test = rows.length - portion(rows.length, share.test);
    const valid = test - portion(rows.length, share.valid);
    const part = (from: number, to: number) =>
      order
        .subarray(from, to)
        .sort()
        .map((position) => rows[position] as number);
    return [part(0, valid), part(valid, test), part(test, rows.length)];
  });
}
