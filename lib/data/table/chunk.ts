/** Some rows of a table, column by column. */
import { TersorError } from '../../errors';
import { type Column, type ColumnType, type ColumnValues, findColumn } from './columns';

/** Rows that follow each other. */
export class TableChunk {
  readonly columns: readonly Column[];
  readonly rows: number;
  readonly #values: readonly ColumnValues[];
  readonly #place: (row: number) => string;

  /** @param place - How an error names a row. */
  constructor(
    columns: readonly Column[],
    values: readonly ColumnValues[],
    rows: number,
    place: (row: number) => string,
  ) {
    this.columns = columns;
    this.rows = rows;
    this.#values = values;
    this.#place = place;
  }

  /** Values of a `token` column. @throws TersorError ERR_TERSOR_DATA for a column that is not there or of another type */
  tokens(name: string): readonly string[] {
    return this.#column(name, 'token') as readonly string[];
  }

  /** Values of a `float` column; NaN where it is missing. @throws TersorError as {@link tokens} */
  floats(name: string): Float64Array {
    return this.#column(name, 'float') as Float64Array;
  }

  /** Values of a `token_seq` column. @throws TersorError as {@link tokens} */
  tokenSequences(name: string): readonly (readonly string[])[] {
    return this.#column(name, 'token_seq') as readonly (readonly string[])[];
  }

  /** Values of a `float_seq` column. @throws TersorError as {@link tokens} */
  floatSequences(name: string): readonly Float64Array[] {
    return this.#column(name, 'float_seq') as readonly Float64Array[];
  }

  /** Names a row in an error, such as `adult.csv:17`. */
  place(row: number): string {
    return this.#place(row);
  }

  #column(name: string, type: ColumnType): ColumnValues {
    const index = findColumn(this.columns, name, 'table');
    const column = this.columns[index] as Column;
    if (column.type === type) return this.#values[index] as ColumnValues;
    throw new TersorError('ERR_TERSOR_DATA', `expected type ${type}, got ${column.type}, at column ${name}`);
  }
}

/**
 * Makes a chunk of values that are in memory: arrays of text are tokens, Float64Array are floats, arrays of those are sequences. An
 * empty array is tokens.
 *
 * @throws TersorError ERR_TERSOR_SHAPE when columns differ in length
 *
 * @example
 * const people = tableChunk({ age: Float64Array.of(39, 50), work: ['state', 'self'] });
 * console.log(people.rows, people.tokens('work'));
 */
export function tableChunk(values: Readonly<Record<string, ColumnValues>>): TableChunk {
  const names = Object.keys(values);
  const rows = values[names[0] ?? '']?.length ?? 0;
  const columns = names.map((name): Column => {
    const column = values[name] as ColumnValues;
    if (column.length !== rows) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected ${rows} values as in ${names[0]}, got ${column.length}, at ${name}`,
      );
    }
    return { name, type: typeOf(column) };
  });
  return new TableChunk(columns, Object.values(values), rows, (row) => `row ${row}`);
}

function typeOf(values: ColumnValues): ColumnType {
  if (values instanceof Float64Array) return 'float';
  const [first] = values;
  if (first === undefined || typeof first === 'string') return 'token';
  return first instanceof Float64Array ? 'float_seq' : 'token_seq';
}
