import type { Tensor } from './index';

/**
 * How integer codes stand for real numbers: x̂ = scale · (code − zero point), or x̂ = scale · code + bias.
 * Parameters are [rows or 1, groups]; a group is `groupSize` consecutive columns of a row.
 */
export interface Affine {
  /** f32 [rows or 1, groups], all > 0. */
  readonly scales: Tensor;
  /** i32, shaped as the scales; null means 0. */
  readonly zeroPoints: Tensor | null;
  /** f32, shaped as the scales; excludes zero points. */
  readonly biases: Tensor | null;
  /** Smallest code. */
  readonly codeMin: number;
  /** Largest code. */
  readonly codeMax: number;
  /** Columns per group; at least the number of columns means one group. */
  readonly groupSize: number;
}

/** The affine parameters in the argument order of the addon. */
export function affineArguments(affine: Affine) {
  const { scales, zeroPoints, biases, codeMin, codeMax, groupSize } = affine;
  return [scales.handle, zeroPoints?.handle ?? null, biases?.handle ?? null, codeMin, codeMax, groupSize] as const;
}
