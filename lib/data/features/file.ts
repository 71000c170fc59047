/** Learned features in a JSON file. */
import { TersorError } from '../../errors';
import { writeFileAtomic } from '../../formats/atomic';
import { readText } from '../../formats/io';
import { type FeatureEncoder, featureEncoder } from './encoder';
import { describe } from './fit';
import { fittedSchema } from './spec';

const SIZE_LIMIT = 2 ** 29 - 24;

/**
 * Saves what was learned; the file appears whole or not at all.
 *
 * @throws TersorError ERR_TERSOR_IO when it cannot be written
 *
 * @example
 * saveFeatures('features.json', await fitFeatures({ work: { kind: 'hashed', column: 'work', buckets: 100 } }, table.chunks()));
 */
export function saveFeatures(path: string, encoder: FeatureEncoder): void {
  writeFileAtomic(path, [Buffer.from(`${JSON.stringify(encoder.fitted, null, 1)}\n`)]);
}

/**
 * Loads features that {@link saveFeatures} wrote; they encode to the same bits.
 *
 * @throws TersorError ERR_TERSOR_IO when the file cannot be read, ERR_TERSOR_CORRUPT_FILE when it holds no features
 *
 * @example
 * const encoder = loadFeatures('features.json');
 */
export function loadFeatures(path: string): FeatureEncoder {
  const text = readText(path, SIZE_LIMIT);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected JSON, got ${String(cause)}, at ${path}`, { cause });
  }
  const checked = fittedSchema.safeParse(content);
  if (!checked.success) throw new TersorError('ERR_TERSOR_CORRUPT_FILE', describe(checked.error, path));
  return featureEncoder(checked.data);
}
