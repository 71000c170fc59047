import type { Array64 } from './array64';

/**
 * Gradient of a float64 function by central differences. Exact but for rounding where the function is at most quadratic in each
 * element; otherwise wrong by about its third derivative times step² / 6.
 */
export function centralDifferences(
  f: (inputs: readonly Array64[]) => number,
  inputs: readonly Array64[],
  step = 1e-4,
): Array64[] {
  return inputs.map(({ shape, data }, k) => ({
    shape,
    data: data.map((value, i) => {
      const valueAt = (x: number) => {
        const moved = Float64Array.from(data);
        moved[i] = x;
        return f(inputs.map((input, j) => (j === k ? { shape, data: moved } : input)));
      };
      return (valueAt(value + step) - valueAt(value - step)) / (2 * step);
    }),
  }));
}
