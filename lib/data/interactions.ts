/**
 * The leave-one-out protocol's files, as published with "Neural Collaborative Filtering" (He et al., WWW 2017): for every test case
 * one held-out item and the same number of sampled negatives.
 */
import { TersorError } from '../errors';
import { readText } from '../formats/io';

/** Test cases of the leave-one-out protocol. */
export interface LeaveOneOutData {
  /** [n] user of each case. */
  readonly users: Int32Array;
  /** [n] the item held out. */
  readonly positives: Int32Array;
  /** [n, k] items to rank it among; the positive may be one of them. */
  readonly negatives: Int32Array;
  /** Negatives of each case. */
  readonly k: number;
}

/** Longest text that the engine can hold in one string. */
const TEXT_LIMIT = 2 ** 29 - 24;
const LARGEST_ID = 2 ** 31 - 1;
const NAMED_LINES = 5;

/**
 * Reads a ratings file (`user⇥item⇥rating⇥timestamp`; rating and timestamp may be left out and are not used) and the negatives that
 * belong to it (`(user,item)⇥negative⇥negative…`, line by line the same cases, everywhere equally many). Lines end with LF or CRLF.
 *
 * @param ratingsPath - The held-out items.
 * @param negativesPath - The items to rank each of them among.
 * @throws TersorError ERR_TERSOR_DATA for an empty file, for lines that cannot be read (the first with the reason, the others by
 *   number), for files that disagree; ERR_TERSOR_IO and ERR_TERSOR_CORRUPT_FILE when a file cannot be read or is no text
 *
 * @example
 * const { users, k } = readLeaveOneOut('ml-1m.test.rating', 'ml-1m.test.negative');
 * console.log(`${users.length} cases with ${k} negatives each`);
 */
export function readLeaveOneOut(ratingsPath: string, negativesPath: string): LeaveOneOutData {
  const ratings = linesOf(ratingsPath);
  const users = new Int32Array(ratings.length);
  const positives = new Int32Array(ratings.length);
  eachLine(ratingsPath, ratings, (line, row) => {
    const fields = line.split('\t');
    if (fields.length < 2 || fields.length > 4)
      return `user, item, rating and timestamp, got ${fields.length} field(s)`;
    const user = readId(fields[0]);
    const item = readId(fields[1]);
    if (user === undefined || item === undefined) return `ids in 0..${LARGEST_ID}, got ${show(line)}`;
    users[row] = user;
    positives[row] = item;
    return undefined;
  });

  const lines = linesOf(negativesPath);
  if (lines.length !== ratings.length) {
    fail(`${ratings.length} lines as in ${ratingsPath}`, lines.length, negativesPath);
  }
  const k = (lines[0] as string).split('\t').length - 1;
  if (k === 0) fail('at least 1 negative', 0, `${negativesPath}:1`);
  const negatives = new Int32Array(lines.length * k);
  eachLine(negativesPath, lines, (line, row) => {
    const [pair, ...items] = line.split('\t');
    const expected = `(${users[row]},${positives[row]})`;
    if (pair !== expected) return `${expected} as in ${ratingsPath}:${row + 1}, got ${show(pair ?? '')}`;
    if (items.length !== k) return `${k} negatives as on line 1, got ${items.length}`;
    for (const [column, text] of items.entries()) {
      const item = readId(text);
      if (item === undefined) return `ids in 0..${LARGEST_ID}, got ${show(text)}`;
      negatives[row * k + column] = item;
    }
    return undefined;
  });
  return { users, positives, negatives, k };
}

function linesOf(path: string): string[] {
  const lines = readText(path, TEXT_LIMIT).split(/\r?\n/);
  while (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) fail('at least 1 line', 'an empty file', path);
  return lines;
}

/** Gives every line to `read`, which says what it expected (and got) when it cannot use one; then stops, with all such lines. */
function eachLine(
  path: string,
  lines: readonly string[],
  read: (line: string, row: number) => string | undefined,
): void {
  let reason = '';
  const bad: number[] = [];
  for (const [row, line] of lines.entries()) {
    const problem = read(line, row);
    if (problem === undefined) continue;
    if (bad.length === 0) reason = problem;
    bad.push(row + 1);
  }
  if (bad.length === 0) return;
  const others = bad.slice(1, NAMED_LINES).join(', ');
  const more = bad.length > NAMED_LINES ? ', …' : '';
  const rest = bad.length > 1 ? ` (${bad.length} bad lines; also ${others}${more})` : '';
  throw new TersorError('ERR_TERSOR_DATA', `expected ${reason}, at ${path}:${bad[0]}${rest}`);
}

function readId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= LARGEST_ID ? id : undefined;
}

function show(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function fail(expected: string, got: unknown, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${String(got)}, at ${where}`);
}
