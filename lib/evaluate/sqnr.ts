import { TersorError } from '../errors';

/**
 * Signal-to-quantization-noise ratio in decibels: 10 log10(Σ w² / Σ (w − ŵ)²), over the whole weight.
 *
 * About 6.02 dB per bit for uniform quantization. −Infinity when the original is all zeros and the approximation is not.
 *
 * @param original values w
 * @param approximation ŵ, as many values
 * @returns decibels; null when the approximation is exact, as JSON has no infinity
 * @throws TersorError ERR_TERSOR_SHAPE for different lengths, ERR_TERSOR_NOT_FINITE for NaN or infinite values
 *
 * @example
 * sqnrDb([1, -1, 1, -1], [0.9, -0.9, 0.9, -0.9]); // 20 dB, up to rounding
 */
export function sqnrDb(original: ArrayLike<number>, approximation: ArrayLike<number>): number | null {
  if (original.length !== approximation.length) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected ${original.length} values, got ${approximation.length}, at approximation`,
    );
  }
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < original.length; i++) {
    const value = original[i]!;
    const error = value - approximation[i]!;
    if (!Number.isFinite(error)) {
      throw new TersorError(
        'ERR_TERSOR_NOT_FINITE',
        `expected finite values, got ${value} and ${approximation[i]}, at ${i}`,
      );
    }
    signal += value * value;
    noise += error * error;
  }
  return noise === 0 ? null : 10 * Math.log10(signal / noise);
}
