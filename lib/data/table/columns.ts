/** Typed columns: names and types as RecBole's atomic files write them, and the values of a field. */
import { TersorError } from '../../errors';

/** `token`: text. `float`: a number. `token_seq`, `float_seq`: several of them, separated by spaces. */
export type ColumnType = 'token' | 'token_seq' | 'float' | 'float_seq';

/** A column of a table. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** Values of one column, row by row. */
export type ColumnValues = readonly string[] | Float64Array | readonly (readonly string[])[] | readonly Float64Array[];

const TYPES: readonly string[] = ['token', 'token_seq', 'float', 'float_seq'] satisfies ColumnType[];
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const SHOWN = 60;

/**
 * Reads names such as `rating:float`; a name without a type is a token.
 *
 * Source: RecBole's atomic files, https://recbole.io/docs/user_guide/data/atomic_files.html.
 *
 * @param names - One per column, in order.
 * @param types - Types for names that carry none, or another one.
 * @param where - How an error names the place.
 * @throws TersorError ERR_TERSOR_DATA for no name, an empty or repeated name, an unknown type, and a name in `types` that no column has
 */
export function parseColumns(
  names: readonly string[],
  types: Readonly<Record<string, ColumnType>>,
  where: string,
): Column[] {
  const seen = new Set<string>();
  const columns = names.map((text, index): Column => {
    const colon = text.lastIndexOf(':');
    const name = colon < 0 ? text : text.slice(0, colon);
    const type = colon < 0 ? 'token' : text.slice(colon + 1);
    if (name === '') fail('a column name', "''", `${where}, column ${index + 1}`);
    if (seen.has(name)) fail('distinct column names', `'${name}' twice`, where);
    seen.add(name);
    return { name, type: checkType(types[name] ?? type, `${where}, column ${name}`) };
  });
  for (const name of Object.keys(types)) if (!seen.has(name)) missing(name, columns, `${where}, types`);
  return columns;
}

/** Index of a column. */
export function findColumn(columns: readonly Column[], name: string, where: string): number {
  const index = columns.findIndex((column) => column.name === name);
  return index >= 0 ? index : missing(name, columns, where);
}

/** Reads a finite decimal number; undefined for everything else, hexadecimal, NaN and infinity among it. */
export function readNumber(text: string): number | undefined {
  if (!NUMBER.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** Shows a piece of a field in a message. */
export function show(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}

function checkType(type: string, where: string): ColumnType {
  return TYPES.includes(type) ? (type as ColumnType) : fail(`a type among ${TYPES.join(', ')}`, `'${type}'`, where);
}

function missing(name: string, columns: readonly Column[], where: string): never {
  return fail(`a column '${name}'`, columns.map((column) => column.name).join(', ') || 'none', where);
}

function fail(expected: string, got: unknown, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${String(got)}, at ${where}`);
}
