import type { Tensor } from '../tensor';
import type { LinearOperator } from '../weights';

/** The weights of a model by name, served or in training. */
export type WeightSource = (name: string) => LinearOperator;

/**
 * Fully connected layer: x · Wᵀ + b, then ReLU when asked, with `<layer>.weight` [out, in] and `<layer>.bias` [out] in any representation.
 *
 * @param x f32 [n, in]
 * @returns f32 [n, out]
 */
export function linearLayer(weights: WeightSource, layer: string, x: Tensor, { relu = false } = {}): Tensor {
  return weights(`${layer}.weight`).matmul(x, { bias: weights(`${layer}.bias`).dense(), relu });
}
