/** Who interacted with what: users and items as numbers, with rating and time where they are known. */
import { TersorError } from '../../errors';
import type { BadRows } from '../table/bad-rows';
import { type ColumnType, findColumn } from '../table/columns';
import { openTable, type Table, type TableOptions } from '../table/table';
import { Growing } from './growing';
import { Vocabulary } from './vocabulary';

/** Interactions in the order of their file. */
export interface InteractionLog {
  /** [n] user of each interaction, 0..users−1. */
  readonly users: Int32Array;
  /** [n] item of each interaction, 0..items−1. */
  readonly items: Int32Array;
  /** [n], or undefined when the file has none; NaN where it is missing. */
  readonly ratings: Float32Array | undefined;
  /** [n], in the unit of the file, or undefined when it has none. */
  readonly timestamps: Float64Array | undefined;
  /** The users' ids in the file; every one has an interaction. */
  readonly userIds: Vocabulary;
  /** The items' ids in the file; every one has an interaction. */
  readonly itemIds: Vocabulary;
}

/** An {@link InteractionLog} and what could not be read. */
export interface ReadInteractions extends InteractionLog {
  readonly badRows: BadRows;
}

/** Options of {@link readInteractions}. */
export interface InteractionOptions extends TableOptions {
  /** Column of users. Default `user_id`. */
  readonly user?: string;
  /** Column of items. Default `item_id`. */
  readonly item?: string;
  /** Column of ratings. Default `rating`, if the file has it. */
  readonly rating?: string;
  /** Column of times. Default `timestamp`, if the file has it. */
  readonly timestamp?: string;
  /** Leaves out interactions with a lower rating, or with none. Default: keeps all. */
  readonly minRating?: number;
}

/**
 * Reads an interaction log. Users and items get numbers in the order in which they first come; other columns are not kept.
 *
 * @throws TersorError ERR_TERSOR_DATA for a column that is not there, a missing time, and when no interaction is left; and as
 *   {@link openTable}
 *
 * @example
 * const log = await readInteractions('ml-100k.inter', { minRating: 4 });
 * console.log(log.users.length, log.userIds.size, log.itemIds.token(log.items[0]));
 */
export async function readInteractions(path: string, options: InteractionOptions = {}): Promise<ReadInteractions> {
  const { user = 'user_id', item = 'item_id', minRating } = options;
  const plain = await openTable(path, options);
  const rating = optionalColumn(plain, options.rating, 'rating', path);
  const timestamp = optionalColumn(plain, options.timestamp, 'timestamp', path);
  const types: Record<string, ColumnType> = { ...options.types };
  for (const name of [user, item]) {
    findColumn(plain.columns, name, path);
    types[name] = 'token';
  }
  for (const name of [rating, timestamp]) if (name !== undefined) types[name] = 'float';
  if (minRating !== undefined && rating === undefined) fail('a column of ratings for minRating', 'none', path);

  const table = await openTable(path, { ...options, types });
  const userIds = new Vocabulary();
  const itemIds = new Vocabulary();
  const users = new Growing((length) => new Int32Array(length));
  const items = new Growing((length) => new Int32Array(length));
  const ratings = new Growing((length) => new Float32Array(length));
  const timestamps = new Growing((length) => new Float64Array(length));
  for await (const chunk of table.chunks()) {
    const userTokens = chunk.tokens(user);
    const itemTokens = chunk.tokens(item);
    const scores = rating === undefined ? undefined : chunk.floats(rating);
    const times = timestamp === undefined ? undefined : chunk.floats(timestamp);
    for (let row = 0; row < chunk.rows; row++) {
      const score = scores?.[row] ?? Number.NaN;
      if (minRating !== undefined && !(score >= minRating)) continue;
      if (times !== undefined && Number.isNaN(times[row])) fail('a time', 'a missing value', chunk.place(row));
      users.push(userIds.add(userTokens[row] as string));
      items.push(itemIds.add(itemTokens[row] as string));
      if (scores !== undefined) ratings.push(score);
      if (times !== undefined) timestamps.push(times[row] as number);
    }
  }
  const log = users.values();
  if (log.length === 0) fail('at least 1 interaction', `none (${table.badRows.count} bad rows)`, path);
  return {
    users: log,
    items: items.values(),
    ratings: rating === undefined ? undefined : ratings.values(),
    timestamps: timestamp === undefined ? undefined : timestamps.values(),
    userIds,
    itemIds,
    badRows: table.badRows,
  };
}

/**
 * Keeps some interactions, in their order; users and items that have none left lose their numbers, and the others are numbered anew.
 *
 * @param keep - Says for the position of each interaction whether it stays.
 *
 * @example
 * const log = await readInteractions('ml-100k.inter');
 * const recent = filterInteractions(log, (row) => log.timestamps[row] >= 885_000_000);
 */
export function filterInteractions(log: InteractionLog, keep: (row: number) => boolean): InteractionLog {
  const rows = Int32Array.from(log.users.keys()).filter(keep);
  const users = renumber(log.users, log.userIds, rows);
  const items = renumber(log.items, log.itemIds, rows);
  return {
    users: users.ids,
    items: items.ids,
    ratings: log.ratings && Float32Array.from(rows, (row) => log.ratings?.[row] as number),
    timestamps: log.timestamps && Float64Array.from(rows, (row) => log.timestamps?.[row] as number),
    userIds: users.vocabulary,
    itemIds: items.vocabulary,
  };
}

function renumber(ids: Int32Array, tokens: Vocabulary, rows: Int32Array): { ids: Int32Array; vocabulary: Vocabulary } {
  const vocabulary = new Vocabulary();
  return { ids: rows.map((row) => vocabulary.add(tokens.token(ids[row] as number))), vocabulary };
}

function optionalColumn(table: Table, asked: string | undefined, usual: string, path: string): string | undefined {
  if (asked !== undefined) return table.columns[findColumn(table.columns, asked, path)]?.name;
  return table.columns.some(({ name }) => name === usual) ? usual : undefined;
}

function fail(expected: string, got: string, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${got}, at ${where}`);
}
