/** Augmentation of small grey images. */
import { TersorError } from '../errors';
import { dataStream } from './streams';

/** Options of {@link shiftImages}. */
export interface ShiftOptions {
  readonly height: number;
  readonly width: number;
  /** Largest shift in pixels, along each axis and in both directions; 0 copies. */
  readonly shift: number;
  readonly seed: number | bigint;
  /** Training step, from 0: the shifts depend on seed and step alone. */
  readonly step: number;
}

/**
 * Shifts every image by its own whole dx and dy, uniform in −shift..shift; what moves in from outside is 0.
 *
 * @param images - [n, height·width], row-major; left as it is.
 * @returns the shifted images, [n, height·width]
 * @throws TersorError ERR_TERSOR_SHAPE when the length is no multiple of height·width, ERR_TERSOR_OUT_OF_RANGE for a size or shift
 *   out of range
 *
 * @example
 * const digits = new Float32Array(32 * 784);
 * const shifted = shiftImages(digits, { height: 28, width: 28, shift: 1, seed: 0, step: 0 });
 */
export function shiftImages(images: Float32Array, options: ShiftOptions): Float32Array {
  const { height, width, shift, seed, step } = options;
  checkInteger(height, 1, 'height');
  checkInteger(width, 1, 'width');
  checkInteger(shift, 0, 'shift');
  const pixels = height * width;
  if (images.length % pixels !== 0) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected a multiple of ${height} x ${width} pixels, got ${images.length}, at images`,
    );
  }
  const random = dataStream(seed, 'shift', step);
  const shifted = new Float32Array(images.length);
  for (let start = 0; start < images.length; start += pixels) {
    const dy = random.integer(2 * shift + 1) - shift;
    const dx = random.integer(2 * shift + 1) - shift;
    const length = width - Math.abs(dx);
    if (length <= 0) continue;
    const from = Math.max(-dx, 0);
    const to = Math.max(dx, 0);
    for (let row = Math.max(dy, 0); row < height + Math.min(dy, 0); row++) {
      const source = start + (row - dy) * width + from;
      shifted.set(images.subarray(source, source + length), start + row * width + to);
    }
  }
  return shifted;
}

function checkInteger(value: number, smallest: number, name: string): void {
  if (!Number.isInteger(value) || value < smallest || value > 2 ** 20) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected an integer in ${smallest}..${2 ** 20}, got ${value}, at ${name}`,
    );
  }
}
