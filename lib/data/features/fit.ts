/** Learns features from the training part of a table. */
import type { z } from 'zod';
import { TersorError } from '../../errors';
import { Growing } from '../log/growing';
import type { TableChunk } from '../table/chunk';
import { type FeatureEncoder, featureEncoder, numbersOf, tokenListsOf } from './encoder';
import { quantileEdges } from './quantile-bins';
import { type FeatureSpec, type FittedFeature, specSchema } from './spec';

/**
 * Learns what features need to know: mean and standard deviation, edges of bins, vocabularies. Give it the training part alone; everything
 * else is encoded as if it came later. Bins keep a column's numbers in memory until the end, other features do not.
 *
 * @param spec - Features by name; several may be made of one column.
 * @param chunks - The training part, such as `table.chunks()` or a list of {@link tableChunk}s.
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for a spec that cannot be; ERR_TERSOR_DATA without rows, for a column that is not
 *   there, of another type or without any number; and as the chunks throw
 *
 * @example
 * const train = [tableChunk({ age: Float64Array.of(20, 40), work: ['state', 'private'] })];
 * const encoder = await fitFeatures({ age: { kind: 'numeric', column: 'age' }, work: { kind: 'categorical', column: 'work' } }, train);
 * console.log(encoder.encode(tableChunk({ age: Float64Array.of(30), work: ['none'] }))); // age 0, work 0
 */
export async function fitFeatures(
  spec: Readonly<Record<string, FeatureSpec>>,
  chunks: AsyncIterable<TableChunk> | Iterable<TableChunk>,
): Promise<FeatureEncoder> {
  const checked = specSchema.safeParse(spec);
  if (!checked.success) throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', describe(checked.error, 'spec'));
  const learners = Object.entries(spec).map(([name, feature]) => [name, learnerOf(feature)] as const);
  let rows = 0;
  for await (const chunk of chunks) {
    for (const [, learner] of learners) learner.see(chunk);
    rows += chunk.rows;
  }
  if (rows === 0) throw new TersorError('ERR_TERSOR_DATA', 'expected at least 1 row, got 0, at fitFeatures');
  return featureEncoder(Object.fromEntries(learners.map(([name, learner]) => [name, learner.result()])));
}

/** Says what is wrong with a value that a schema refused. */
export function describe(error: z.ZodError, where: string): string {
  const [issue] = error.issues;
  return `expected features as documented, got ${issue?.message}, at ${[where, ...(issue?.path ?? [])].join('.')}`;
}

interface Learner {
  see(chunk: TableChunk): void;
  result(): FittedFeature;
}

function learnerOf(feature: FeatureSpec): Learner {
  switch (feature.kind) {
    case 'numeric':
      return numericLearner(feature.column, feature.log1p ?? false);
    case 'bins': {
      const { column, bins, zeroInflated = false } = feature;
      const values = new Growing((length) => new Float64Array(length));
      return {
        see(chunk) {
          for (const value of chunk.floats(column)) if (!Number.isNaN(value)) values.push(value);
        },
        result() {
          const seen = values.values();
          if (seen.length === 0) noNumbers(column);
          return { kind: 'bins', column, edges: quantileEdges(seen, bins, zeroInflated) };
        },
      };
    }
    case 'categorical': {
      const { column, separator, minCount = 1 } = feature;
      const counts = new Map<string, number>();
      return {
        see(chunk) {
          for (const tokens of tokenListsOf(chunk, column, separator)) {
            for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
          }
        },
        result() {
          const tokens = [...counts].filter(([, count]) => count >= minCount).map(([token]) => token);
          return { kind: 'categorical', column, separator, tokens };
        },
      };
    }
    case 'hashed': {
      const { column, separator, buckets } = feature;
      return {
        see(chunk) {
          tokenListsOf(chunk, column, separator);
        },
        result: () => ({ kind: 'hashed', column, separator, buckets }),
      };
    }
  }
}

/**
 * Mean and population standard deviation of one pass; 1 in place of 0, so that a constant becomes 0.
 *
 * Source: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4(3), 1962.
 */
function numericLearner(column: string, log1p: boolean): Learner {
  let count = 0;
  let mean = 0;
  let squares = 0;
  return {
    see(chunk) {
      for (const value of numbersOf(chunk, column, log1p)) {
        if (Number.isNaN(value)) continue;
        count++;
        const difference = value - mean;
        mean += difference / count;
        squares += difference * (value - mean);
      }
    },
    result() {
      if (count === 0) noNumbers(column);
      return { kind: 'numeric', column, log1p, mean, sd: Math.sqrt(squares / count) || 1 };
    },
  };
}

function noNumbers(column: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected at least 1 number, got none, at column ${column}`);
}
