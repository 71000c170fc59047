import type { LinearOptions } from '../autograd';
import type { Tensor } from '../tensor';
import type { LinearOperator } from '../weights';

/** The weights of a model by name, served or in training. */
export type WeightSource = (name: string) => LinearOperator;

/**
 * Fully connected layer: activation(x · Wᵀ + b) with `<layer>.weight` [out, in] and `<layer>.bias` [out] in any representation.
 *
 * @param x f32 [n, in], or what the layer before made for this one
 * @param options.next the layer that reads the result, and nobody else; it may get codes
 * @returns f32 [n, out], or codes that `next` takes
 */
export function linearLayer(
  weights: WeightSource,
  layer: string,
  x: Tensor,
  { activation = null, next }: Pick<LinearOptions, 'activation'> & { next?: string | undefined } = {},
): Tensor {
  const reader = next === undefined ? null : (weights(`${next}.weight`).input ?? null);
  return weights(`${layer}.weight`).matmul(x, { bias: weights(`${layer}.bias`).dense(), activation, reader });
}
