/** Columns of a table as features of a model. */
import { TersorError } from '../../errors';
import { Vocabulary } from '../log/vocabulary';
import type { TableChunk } from '../table/chunk';
import { murmur3 } from './murmur3';
import { binOf } from './quantile-bins';
import type { FittedFeature, FittedFeatures } from './spec';

/** Values of a feature: a number, an id, or several ids for each row. */
export type EncodedFeature =
  | { readonly kind: 'dense' /** [rows] */; readonly values: Float32Array }
  | { readonly kind: 'ids' /** [rows], 0..size−1 */; readonly ids: Int32Array; readonly size: number }
  | {
      readonly kind: 'bags';
      /** [rows + 1]; the ids of row r are `ids[offsets[r]]` … `ids[offsets[r + 1] − 1]`. */
      readonly offsets: Int32Array;
      readonly ids: Int32Array;
      readonly size: number;
    };

/** Makes features as they were learned from the training part. */
export interface FeatureEncoder {
  /** What was learned; JSON. */
  readonly fitted: FittedFeatures;
  /**
   * Features of some rows.
   *
   * @throws TersorError ERR_TERSOR_DATA for a column that is not there or of another type, and for a number at most −1 of which the
   *   logarithm is taken, with its row
   */
  encode(chunk: TableChunk): Readonly<Record<string, EncodedFeature>>;
}

/** Encoder of learned features. */
export function featureEncoder(fitted: FittedFeatures): FeatureEncoder {
  const encoders = Object.entries(fitted).map(([name, feature]) => [name, encoderOf(feature)] as const);
  return {
    fitted,
    encode: (chunk) => Object.fromEntries(encoders.map(([name, encode]) => [name, encode(chunk)])),
  };
}

function encoderOf(feature: FittedFeature): (chunk: TableChunk) => EncodedFeature {
  const { column } = feature;
  switch (feature.kind) {
    case 'numeric':
      return (chunk) => ({
        kind: 'dense',
        values: Float32Array.from(numbersOf(chunk, column, feature.log1p), (value) =>
          Number.isNaN(value) ? 0 : (value - feature.mean) / feature.sd,
        ),
      });
    case 'bins':
      return (chunk) => ({
        kind: 'ids',
        ids: Int32Array.from(chunk.floats(column), (value) => binOf(feature.edges, value)),
        size: feature.edges.length + 1,
      });
    case 'categorical': {
      const vocabulary = new Vocabulary(feature.tokens);
      const idOf = (token: string) => (vocabulary.id(token) ?? -1) + 1;
      return (chunk) => encodeTokens(chunk, column, feature.separator, vocabulary.size + 1, idOf);
    }
    case 'hashed': {
      const idOf = (token: string) => murmur3(token) % feature.buckets;
      return (chunk) => encodeTokens(chunk, column, feature.separator, feature.buckets, idOf);
    }
  }
}

function encodeTokens(
  chunk: TableChunk,
  column: string,
  separator: string | undefined,
  size: number,
  idOf: (token: string) => number,
): EncodedFeature {
  if (!isMultiHot(chunk, column, separator))
    return { kind: 'ids', ids: Int32Array.from(chunk.tokens(column), idOf), size };
  const rows = tokenListsOf(chunk, column, separator);
  const offsets = new Int32Array(rows.length + 1);
  for (const [row, tokens] of rows.entries()) offsets[row + 1] = (offsets[row] as number) + tokens.length;
  return { kind: 'bags', offsets, ids: Int32Array.from(rows.flat(), idOf), size };
}

function isMultiHot(chunk: TableChunk, column: string, separator: string | undefined): boolean {
  return separator !== undefined || chunk.columns.some(({ name, type }) => name === column && type === 'token_seq');
}

/** Tokens of each row: one, or several of a multi-hot column. */
export function tokenListsOf(
  chunk: TableChunk,
  column: string,
  separator: string | undefined,
): readonly (readonly string[])[] {
  if (separator !== undefined) {
    return chunk.tokens(column).map((text) => text.split(separator).filter((token) => token !== ''));
  }
  return isMultiHot(chunk, column, separator)
    ? chunk.tokenSequences(column)
    : chunk.tokens(column).map((token) => [token]);
}

/** Numbers of a column, or their log(1 + x). */
export function numbersOf(chunk: TableChunk, column: string, log1p: boolean): Float64Array {
  const values = chunk.floats(column);
  if (!log1p) return values;
  const row = values.findIndex((value) => value <= -1);
  if (row < 0) return values.map(Math.log1p);
  throw new TersorError(
    'ERR_TERSOR_DATA',
    `expected a number above -1 for its logarithm, got ${values[row]}, at ${chunk.place(row)}, column ${column}`,
  );
}
