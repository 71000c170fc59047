/** Every user's last interaction to test on, the one before it to choose by. */
import type { InteractionLog } from './interaction-log';
import { byTime, type InteractionSplit, splitByUser, timesOf } from './split';

/**
 * Orders each user's interactions by time (of equal times the one that comes first in the log is earlier): the last one tests, the last
 * but one validates, the rest trains, in that order. A user with two has none to validate, one with a single one only trains.
 *
 * Source: the leave-one-out protocol of He et al., "Neural Collaborative Filtering", WWW 2017.
 *
 * @throws TersorError ERR_TERSOR_DATA for a log without times
 *
 * @example
 * const { train, test } = leaveOneOutSplit(await readInteractions('ml-100k.inter'));
 * console.log(test.items.length); // 943, one for each user
 */
export function leaveOneOutSplit(log: InteractionLog): InteractionSplit {
  const times = timesOf(log);
  return splitByUser(log, (rows) => {
    const ordered = byTime(rows, times);
    const test = Math.max(ordered.length - 1, 1);
    const valid = Math.max(test - 1, 1);
    return [ordered.subarray(0, valid), ordered.subarray(valid, test), ordered.subarray(test)];
  });
}
