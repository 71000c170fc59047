/** Delimited files as typed columns, read chunk by chunk. */
import { extname } from 'node:path';
import { TersorError } from '../../errors';
import { BadRowCounter, type BadRows } from './bad-rows';
import { TableChunk } from './chunk';
import { type Column, type ColumnType, type ColumnValues, parseColumns, readNumber, show } from './columns';
import { type LineOptions, readLines } from './lines';
import { type RawRecord, recordReader } from './records';

/** Options of {@link openTable}. */
export interface TableOptions extends LineOptions {
  /** One character or more between fields. Default: `,` for a name that ends with .csv, else a tab. */
  readonly separator?: string;
  /** Whether fields may be quoted as in RFC 4180. Default: unless the separator is a tab. */
  readonly quotes?: boolean;
  /** Removes spaces around fields. Default false. */
  readonly trim?: boolean;
  /** Names of the columns, each with its type after a colon, such as `age:float`. Default: the first line. */
  readonly columns?: readonly string[];
  /** Whether the first line names columns; with `columns` it is passed over. Default: unless `columns` are given. */
  readonly header?: boolean;
  /** Types of columns whose names carry none, such as `{ rating: 'float' }`. */
  readonly types?: Readonly<Record<string, ColumnType>>;
  /** Separates the values of a sequence. Default a space. */
  readonly sequenceSeparator?: string;
  /** Texts that stand for no value: NaN in a float column, empty in a token column. Default none, so that they make a bad row. */
  readonly missing?: readonly string[];
  /** Throws at the first bad row, with its line and column. Default false: bad rows are left out and counted. */
  readonly strict?: boolean;
}

/** A file whose columns are known. */
export interface Table {
  readonly columns: readonly Column[];
  /** Rows that the latest pass left out; complete when that pass has ended. */
  readonly badRows: BadRows;
  /** Reads the file from its beginning; every call is a new pass. Chunks have at least 1 row. */
  chunks(): AsyncGenerator<TableChunk, void, void>;
}

/**
 * Opens a delimited text file. Its header may give types as RecBole's atomic files do (`user_id:token`, `rating:float`,
 * `genres:token_seq`); columns without a type are tokens. Lines end with LF or CRLF, a byte-order mark is left out, and so are empty
 * lines. A row is bad when it has another number of fields, a field that is no finite number in a float column, stray or unclosed
 * quotes, or bytes that are not UTF-8. Tokens stay text, so that ids of any length keep every digit.
 *
 * Source: RFC 4180 for quotes; RecBole's atomic files for typed headers.
 *
 * @throws TersorError ERR_TERSOR_DATA for an empty file, a header that cannot be used, and, when `strict`, the first bad row;
 *   ERR_TERSOR_IO when the file cannot be read; ERR_TERSOR_INVALID_ARGUMENT for options that exclude each other
 *
 * @example
 * const table = await openTable('ml-100k.inter');
 * for await (const chunk of table.chunks()) console.log(chunk.rows, chunk.tokens('item_id')[0], chunk.floats('rating')[0]);
 * console.log(describeBadRows(table.badRows));
 */
export async function openTable(path: string, options: TableOptions = {}): Promise<Table> {
  const { separator = extname(path).toLowerCase() === '.csv' ? ',' : '\t', strict = false, types = {} } = options;
  const { quotes = separator !== '\t', trim = false } = options;
  const header = options.header ?? options.columns === undefined;
  if (separator === '' || separator.includes('"') || separator.includes('\n')) {
    invalid('a separator without quotes and line ends', show(separator), 'separator');
  }
  if (!header && options.columns === undefined) invalid('columns for a file without header', 'none', 'columns');

  async function* records(): AsyncGenerator<RawRecord[], void, void> {
    const reader = recordReader({ separator, quotes, trim });
    for await (const { lines, last } of readLines(path, options)) yield reader.read(lines, last);
  }
  const first = await firstRecord(records());
  if (first === undefined) fail(header ? 'a header line' : 'at least 1 row', 'an empty file', path);
  const { fields, line } = first;
  if (header && typeof fields === 'string') {
    throw new TersorError('ERR_TERSOR_DATA', `expected ${fields}, at ${path}:${line}`);
  }
  const columns = parseColumns(options.columns ?? (fields as readonly string[]), types, `${path}:${line}`);

  const table = {
    columns,
    badRows: new BadRowCounter(path, strict),
    async *chunks(): AsyncGenerator<TableChunk, void, void> {
      const badRows = new BadRowCounter(path, strict);
      table.badRows = badRows;
      const read = rowReader(columns, options, badRows);
      let atHeader = header;
      for await (const block of records()) {
        const rows = atHeader ? block.slice(1) : block;
        atHeader &&= block.length === 0;
        const { values, lines } = read(rows);
        if (lines.length > 0) {
          yield new TableChunk(columns, values, lines.length, (row) => `${path}:${lines[row] as number}`);
        }
      }
    },
  };
  return table;
}

async function firstRecord(blocks: AsyncGenerator<RawRecord[], void, void>): Promise<RawRecord | undefined> {
  for await (const [first] of blocks) if (first !== undefined) return first;
  return undefined;
}

type Cell = string | number | readonly string[] | Float64Array;

/** Reads the rows that can be used into columns. */
function rowReader(columns: readonly Column[], options: TableOptions, badRows: BadRowCounter) {
  const { sequenceSeparator = ' ' } = options;
  const missing = new Set(options.missing);
  const readers = columns.map(({ type }) => cellReader(type, sequenceSeparator, missing));

  return (records: readonly RawRecord[]): { values: ColumnValues[]; lines: number[] } => {
    const cells: Cell[][] = columns.map(() => []);
    const lines: number[] = [];
    next: for (const { line, fields } of records) {
      if (typeof fields === 'string') {
        badRows.add(line, fields);
        continue;
      }
      if (fields.length !== columns.length) {
        badRows.add(line, `${columns.length} fields, got ${fields.length}`);
        continue;
      }
      const row: Cell[] = [];
      for (let c = 0; c < columns.length; c++) {
        const field = fields[c] as string;
        const cell = (readers[c] as (text: string) => Cell | undefined)(field);
        if (cell === undefined) {
          badRows.add(line, `a finite number, got ${show(field)}`, columns[c]?.name);
          continue next;
        }
        row.push(cell);
      }
      for (let c = 0; c < row.length; c++) cells[c]?.push(row[c] as Cell);
      lines.push(line);
    }
    const values = columns.map(({ type }, c) =>
      type === 'float' ? Float64Array.from(cells[c] as number[]) : (cells[c] as ColumnValues),
    );
    return { values, lines };
  };
}

function cellReader(
  type: ColumnType,
  separator: string,
  missing: ReadonlySet<string>,
): (text: string) => Cell | undefined {
  const parts = (text: string) => (missing.has(text) ? [] : text.split(separator).filter((part) => part !== ''));
  switch (type) {
    case 'token':
      return (text) => (missing.has(text) ? '' : text);
    case 'float':
      return (text) => (missing.has(text) ? Number.NaN : readNumber(text));
    case 'token_seq':
      return parts;
    case 'float_seq':
      return (text) => {
        const numbers = parts(text).map(readNumber);
        return numbers.includes(undefined) ? undefined : Float64Array.from(numbers as number[]);
      };
  }
}

function invalid(expected: string, got: string, where: string): never {
  throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected ${expected}, got ${got}, at ${where}`);
}

function fail(expected: string, got: string, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${got}, at ${where}`);
}
