import fc from 'fast-check';
import { type InteractionLog, Vocabulary } from '../../../lib/data/log';

/** A log of (user, item, time) whose users and items are numbered as readInteractions does. */
export function logOf(rows: readonly (readonly [user: string, item: string, time?: number])[]): InteractionLog {
  const userIds = new Vocabulary();
  const itemIds = new Vocabulary();
  return {
    users: Int32Array.from(rows, ([user]) => userIds.add(user)),
    items: Int32Array.from(rows, ([, item]) => itemIds.add(item)),
    ratings: undefined,
    timestamps: rows.every(([, , time]) => time !== undefined)
      ? Float64Array.from(rows, ([, , time]) => time as number)
      : undefined,
    userIds,
    itemIds,
  };
}

/** Logs of a few users and items, with many equal times; every row has an item of its own name when asked. */
export const logs = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 5 })), {
    minLength: 1,
    maxLength: 80,
  })
  .map((rows) => rows.map(([user, item, time]) => [`u${user}`, `i${item}`, time] as const));
