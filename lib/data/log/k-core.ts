/** The part of an interaction log in which everybody and everything has enough interactions. */
import { TersorError } from '../../errors';
import { filterInteractions, type InteractionLog } from './interaction-log';

/** Options of {@link kCore}. */
export interface KCoreOptions {
  /** Fewest interactions of a user that stays. Default 1. */
  readonly user?: number;
  /** Fewest interactions of an item that stays. Default 1. */
  readonly item?: number;
}

/**
 * Removes users and items with too few interactions, and again those that have too few without them, until none is left to remove:
 * the largest part in which each has enough. Users and items are numbered anew.
 *
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for a count below 1, ERR_TERSOR_DATA when nothing is left
 *
 * @example
 * const dense = kCore(await readInteractions('ml-100k.inter'), { user: 5, item: 5 });
 */
export function kCore(log: InteractionLog, { user = 1, item = 1 }: KCoreOptions): InteractionLog {
  for (const [name, count] of Object.entries({ user, item })) {
    if (Number.isInteger(count) && count >= 1) continue;
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an integer of at least 1, got ${count}, at ${name}`);
  }
  const { users, items } = log;
  let rows = Int32Array.from(users.keys());
  for (;;) {
    const ofUser = new Int32Array(log.userIds.size);
    const ofItem = new Int32Array(log.itemIds.size);
    for (const row of rows) {
      ofUser[users[row] as number]! += 1;
      (ofItem[items[row] as number] as number)++;
    }
    const kept = rows.filter(
      (row) => (ofUser[users[row] as number] as number) >= user && (ofItem[items[row] as number] as number) >= item,
    );
    if (kept.length === rows.length) break;
    rows = kept;
  }
  if (rows.length === 0) {
    throw new TersorError(
      'ERR_TERSOR_DATA',
      `expected users with ${user} and items with ${item} interactions, got none, at kCore`,
    );
  }
  const stays = new Uint8Array(users.length);
  for (const row of rows) stays[row] = 1;
  return filterInteractions(log, (row) => stays[row] === 1);
}
