import type { LinearOptions } from '../autograd';
import type { Tensor } from '../tensor';
import type { LinearOperator } from '../weights';

/** The weights of a model by name, served or in training. */
export type WeightSource = (name: string) => LinearOperator;

/**
 * Fully connected layer: activation(x · Wᵀ + b) with `<layer>.weight` [out, in] and `<layer>.bias` [out] in any representation.
 *
 * @param x f32 [n, in]
 * @returns f32 [n, out]
 */
export function linearLayer(
  weights: WeightSource,
  layer: string,
  x: Tensor,
  { activation = null }: Pick<LinearOptions, 'activation'> = {},
): Tensor {
  return weights(`${layer}.weight`).matmul(x, { bias: weights(`${layer}.bias`).dense(), activation });
}
