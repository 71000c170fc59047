/** Bins of a number that hold about equally many training examples. */
import { quantile } from '../../quantile';

/**
 * Edges between `bins` bins: the inner quantiles q/bins, q = 1 … bins−1, each once, as `numpy.unique(numpy.quantile(values, …))` gives them.
 * Equal quantiles make fewer bins.
 *
 * @param values - Finite; sorted in place.
 * @param zeroInflated - Takes the quantiles of the values that are not 0, and an edge at 0.5 that parts these from the zeros.
 */
export function quantileEdges(values: Float64Array, bins: number, zeroInflated: boolean): number[] {
  const counted = (zeroInflated ? values.filter((value) => value !== 0) : values).sort();
  const edges = new Set<number>(zeroInflated ? [0.5] : []);
  if (counted.length > 0) for (let q = 1; q < bins; q++) edges.add(quantile(counted, q / bins));
  return [...edges].sort((a, b) => a - b);
}

/** Number of edges below a value, which is its bin; a value on an edge belongs to the bin below. NaN is in the last one. */
export function binOf(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((edges[middle] as number) >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}
