import { type HistogramArguments, native } from '../native';
import { empty, keep, type Tensor, tensor, tidy, zeros } from '../tensor';

/** `TERSOR_HISTOGRAM_BINS`. */
const BINS = 4096;

/**
 * How many of the values seen lie where, in bins that grow with the range by merging pairs: what it holds depends on the values alone, not
 * on the batches that they came in. Owns its memory.
 */
export class Histogram {
  private readonly counts = keep(zeros([BINS], 'i64'));
  private readonly grid = keep(zeros([2], 'i32'));
  private readonly seen = keep(tensor(Float32Array.of(Number.NaN, Number.NaN)));

  /**
   * Counts the values of `x`.
   *
   * @param x f32, any shape; stays the caller's
   * @throws ERR_TERSOR_NOT_FINITE, and counts none of them; ERR_TERSOR_SHAPE when there are none
   */
  add(x: Tensor): void {
    native.histogramAdd(x.handle, ...this.arguments());
  }

  /**
   * The range [low, high] with 0 whose codes leave the least squared error.
   *
   * @param levels steps of the codes, 1..255
   * @throws ERR_TERSOR_INVALID_ARGUMENT before anything was counted
   */
  leastError(levels: number): [number, number] {
    return rangeBy((clipped) => native.histogramClip(...this.arguments(), levels, clipped.handle));
  }

  /**
   * The range [low, high] with 0 that `percentile` % of the values are not above, and as many not below.
   *
   * @param percentile 50..100
   * @throws ERR_TERSOR_OUT_OF_RANGE; ERR_TERSOR_INVALID_ARGUMENT before anything was counted
   */
  percentile(percentile: number): [number, number] {
    return rangeBy((clipped) => native.histogramPercentile(...this.arguments(), percentile, clipped.handle));
  }

  /** What training has to remember, by name. */
  state(): ReadonlyMap<string, Tensor> {
    return new Map([
      ['input_counts', this.counts],
      ['input_grid', this.grid],
      ['input_extremes', this.seen],
    ]);
  }

  dispose(): void {
    for (const part of [this.counts, this.grid, this.seen]) part.dispose();
  }

  private arguments(): HistogramArguments {
    return [this.counts.handle, this.grid.handle, this.seen.handle];
  }
}

function rangeBy(write: (clipped: Tensor) => void): [number, number] {
  return tidy(() => {
    const clipped = empty([2]);
    write(clipped);
    const [low, high] = clipped.toArray() as Float32Array as unknown as [number, number];
    return [low, high];
  });
}
