/** Batches of indices in a fresh order every epoch. */
import { TersorError } from '../errors';
import { dataStream } from './streams';

/** Options of {@link batches}. */
export interface BatchOptions {
  /** Examples in a batch; the last batch of an epoch may be smaller. */
  readonly batchSize: number;
  readonly seed: number | bigint;
  /** Which epoch, from 0. Its order depends on seed and epoch alone, so that a resumed run sees the same batches. */
  readonly epoch: number;
}

/** Number of batches that {@link batches} gives. */
export function batchCount(count: number, batchSize: number): number {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected a whole number of at least 1, got ${batchSize}, at batchSize`,
    );
  }
  return Math.ceil(count / batchSize);
}

/**
 * Shuffles 0..count−1 and cuts the order into batches; every index comes once an epoch.
 *
 * @param count - Number of examples, at least 1.
 * @returns views of one array, each at most `batchSize` long
 * @throws TersorError ERR_TERSOR_DATA without examples, ERR_TERSOR_OUT_OF_RANGE for a batch size or epoch out of range
 *
 * @example
 * for (const indices of batches(8_000, { batchSize: 32, seed: 0, epoch: 0 })) console.log(indices.length); // 250 times 32
 */
export function batches(count: number, { batchSize, seed, epoch }: BatchOptions): Int32Array[] {
  const length = batchCount(count, batchSize);
  if (count === 0) throw new TersorError('ERR_TERSOR_DATA', 'expected at least 1 example, got 0, at count');
  const order = dataStream(seed, 'batches', epoch).permutation(count);
  return Array.from({ length }, (_, i) => order.subarray(i * batchSize, (i + 1) * batchSize));
}
