/** Division of an interaction log into parts to train, to choose and to test on: what the three ways have in common. */
import { TersorError } from '../../errors';
import type { InteractionLog } from './interaction-log';
import { rowsByUser, type UserItems } from './user-items';

/** An interaction log in three parts; every interaction is in one of them. */
export interface InteractionSplit {
  /** Number of users; each has a row in every part, which may be empty. */
  readonly users: number;
  /** Number of items. */
  readonly items: number;
  readonly train: UserItems;
  readonly valid: UserItems;
  readonly test: UserItems;
}

/** Shares of train, valid and test; their sum counts as 1. */
export type Ratios = readonly [train: number, valid: number, test: number];

/** Rows of one user's interactions by part. */
export type Parts = readonly [train: ArrayLike<number>, valid: ArrayLike<number>, test: ArrayLike<number>];

/** Divides a log user by user: `divide` gets a user's rows in the order of the log, and gives them back in three parts. */
export function splitByUser(log: InteractionLog, divide: (rows: Int32Array, user: number) => Parts): InteractionSplit {
  const users = log.userIds.size;
  const grouped = rowsByUser(log.users, users);
  const parts = [0, 1, 2].map(() => ({ offsets: new Int32Array(users + 1), items: new Int32Array(log.users.length) }));
  for (let user = 0; user < users; user++) {
    const rows = grouped.items.subarray(grouped.offsets[user], grouped.offsets[user + 1]);
    for (const [p, chosen] of divide(rows, user).entries()) {
      const { offsets, items } = parts[p] as UserItems;
      let at = offsets[user] as number;
      for (let i = 0; i < chosen.length; i++) items[at++] = log.items[chosen[i] as number] as number;
      offsets[user + 1] = at;
    }
  }
  const [train, valid, test] = parts.map(({ offsets, items }) => ({ offsets, items: items.slice(0, offsets[users]) }));
  return { users, items: log.itemIds.size, train, valid, test } as InteractionSplit;
}

/** Checks shares, and gives those of valid and test as parts of 1. */
export function shares(ratios: Ratios): { readonly valid: number; readonly test: number } {
  const total = ratios[0] + ratios[1] + ratios[2];
  if (!(ratios[0] > 0) || !(ratios[1] >= 0) || !(ratios[2] >= 0) || !Number.isFinite(total)) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected a positive share of train, others of at least 0, got ${ratios.join(':')}, at ratios`,
    );
  }
  return { valid: ratios[1] / total, test: ratios[2] / total };
}

/** `share` of `count`, rounded down; products that are whole but for rounding stay whole. */
export function portion(count: number, share: number): number {
  return Math.floor(count * share * (1 + 1e-9));
}

/** The log's times. @throws TersorError ERR_TERSOR_DATA when it has none */
export function timesOf(log: InteractionLog): Float64Array {
  if (log.timestamps !== undefined) return log.timestamps;
  throw new TersorError('ERR_TERSOR_DATA', 'expected a log with times, got one without, at timestamps');
}

/** Rows by time, earliest first; of equal times the one that comes first in the log. */
export function byTime(rows: Int32Array, times: Float64Array): Int32Array {
  return rows.toSorted((a, b) => (times[a] as number) - (times[b] as number) || a - b);
}
