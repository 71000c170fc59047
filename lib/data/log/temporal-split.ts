/** Division at two moments, the same for everybody: what is tested on is later than everything that was learned from. */
import { TersorError } from '../../errors';
import type { InteractionLog } from './interaction-log';
import { byTime, type InteractionSplit, portion, type Ratios, shares, splitByUser, timesOf } from './split';

/** Where {@link temporalSplit} cuts: at two moments in the log's unit of time, or by shares of the interactions. */
export type TemporalSplitOptions =
  | { readonly validFrom: number; readonly testFrom: number }
  | { readonly ratios: Ratios };

/**
 * Interactions before `validFrom` train, those from `testFrom` on test, those between validate; a user's come in order of time. With
 * `ratios` the moments are the times of the interactions at these shares of all, in order of time: what happens at the same moment
 * stays together, in the later part.
 *
 * @throws TersorError ERR_TERSOR_DATA for a log without times, or when nothing is left to train on; ERR_TERSOR_OUT_OF_RANGE for moments
 *   in the wrong order and for ratios below 0 or without train
 *
 * @example
 * const { train, test } = temporalSplit(await readInteractions('ml-100k.inter'), { ratios: [8, 1, 1] });
 */
export function temporalSplit(log: InteractionLog, options: TemporalSplitOptions): InteractionSplit {
  const times = timesOf(log);
  const { validFrom, testFrom } = 'ratios' in options ? momentsOf(times, options.ratios) : options;
  if (!(validFrom <= testFrom)) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected validFrom <= testFrom, got ${validFrom} and ${testFrom}, at temporalSplit`,
    );
  }
  if (!times.some((time) => time < validFrom)) {
    throw new TersorError('ERR_TERSOR_DATA', `expected interactions before ${validFrom}, got none, at temporalSplit`);
  }
  return splitByUser(log, (rows) => {
    const ordered = byTime(rows, times);
    const before = (moment: number) => {
      const first = ordered.findIndex((row) => (times[row] as number) >= moment);
      return first < 0 ? ordered.length : first;
    };
    const [valid, test] = [before(validFrom), before(testFrom)];
    return [ordered.subarray(0, valid), ordered.subarray(valid, test), ordered.subarray(test)];
  });
}

function momentsOf(times: Float64Array, ratios: Ratios): { validFrom: number; testFrom: number } {
  const share = shares(ratios);
  const sorted = times.toSorted();
  const test = sorted.length - portion(sorted.length, share.test);
  const valid = test - portion(sorted.length, share.valid);
  const at = (position: number) => sorted[position] ?? Number.POSITIVE_INFINITY;
  return { validFrom: at(valid), testFrom: at(test) };
}
