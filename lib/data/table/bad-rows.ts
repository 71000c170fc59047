/** Rows that could not be used: counted, the first ones kept with their line and the reason. */
import { TersorError } from '../../errors';

/** A row that could not be used. */
export interface BadRow {
  /** Line it starts on, from 1. */
  readonly line: number;
  /** What was expected and what was there. */
  readonly reason: string;
}

/** How many rows could not be used, and the first of them. */
export interface BadRows {
  readonly count: number;
  /** At most 20, in the order of the file. */
  readonly first: readonly BadRow[];
}

const KEPT = 20;
const NAMED = 5;

/** Collects bad rows of one file; a strict one throws at the first. */
export class BadRowCounter implements BadRows {
  readonly first: BadRow[] = [];
  count = 0;
  readonly #path: string;
  readonly #strict: boolean;

  constructor(path: string, strict: boolean) {
    this.#path = path;
    this.#strict = strict;
  }

  /** @param column - Where in the row, when it is one column. */
  add(line: number, expected: string, column?: string): void {
    const at = column === undefined ? '' : `, column ${column}`;
    if (this.#strict) throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, at ${this.#path}:${line}${at}`);
    this.count++;
    if (this.first.length < KEPT) this.first.push({ line, reason: `expected ${expected}${at}` });
  }
}

/**
 * Says in one line how many rows were left out and where the first ones are; the empty text when there are none.
 *
 * @example
 * console.log(describeBadRows({ count: 1, first: [{ line: 7, reason: 'expected 4 fields, got 3' }] }));
 * // 1 bad row: line 7: expected 4 fields, got 3
 */
export function describeBadRows({ count, first }: BadRows): string {
  if (count === 0) return '';
  const named = first.slice(0, NAMED).map(({ line, reason }) => `line ${line}: ${reason}`);
  const more = count > NAMED ? '; …' : '';
  return `${count} bad row${count === 1 ? '' : 's'}: ${named.join('; ')}${more}`;
}
