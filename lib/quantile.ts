/**
 * Quantile of sorted values by linear interpolation between the two nearest ranks (type 7 of Hyndman and Fan,
 * "Sample quantiles in statistical packages", 1996: the default of NumPy and R), in NumPy's order of operations.
 *
 * @param sorted ascending, at least one value
 * @param q 0..1
 *
 * @example
 * quantile([1, 2, 3, 4], 0.5) === 2.5
 */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  const share = position - below;
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}
