/** Items of every user in compressed rows (CSR). */

/** The items of user u are `items[offsets[u]]` … `items[offsets[u + 1] − 1]`. */
export interface UserItems {
  /** [users + 1], from 0 to the number of interactions. */
  readonly offsets: Int32Array;
  /** [interactions] items, 0..n−1. */
  readonly items: Int32Array;
}

/** Items of one user; a view. */
export function itemsOf({ offsets, items }: UserItems, user: number): Int32Array {
  return items.subarray(offsets[user], offsets[user + 1]);
}

/** Rows of a log grouped by user, each user's in the order of the log: {@link UserItems} with rows in place of items. */
export function rowsByUser(users: Int32Array, userCount: number): UserItems {
  const offsets = new Int32Array(userCount + 1);
  for (const user of users) offsets[user + 1] = (offsets[user + 1] as number) + 1;
  for (let user = 0; user < userCount; user++)
    offsets[user + 1] = (offsets[user + 1] as number) + (offsets[user] as number);
  const next = offsets.slice();
  const rows = new Int32Array(users.length);
  for (let row = 0; row < users.length; row++) {
    const user = users[row] as number;
    const at = next[user] as number;
    rows[at] = row;
    next[user] = at + 1;
  }
  return { offsets, items: rows };
}
