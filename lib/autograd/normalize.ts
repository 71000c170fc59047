import { native } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/** Options of {@link layerNorm} and {@link rmsNorm}. */
export interface NormOptions {
  /** Added to the variance, so that a row of equal numbers does not divide by 0. Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * Layer norm (Ba, Kiros and Hinton 2016): (x − mean) / √(variance + ε) ∘ weight + bias over the last dimension, with the
 * variance of the row itself (divided by its length).
 *
 * @param x f32 [..., n], n > 0
 * @param weight f32 [n], or null for 1
 * @param bias f32 [n], or null for 0
 * @returns of x's shape; differentiable in x, weight and bias
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE; ERR_TERSOR_OUT_OF_RANGE for an epsilon below 0
 * @example
 * const y = tersor.ops.layerNorm(tersor.tensor([[1, 3]]), null, null)
 * console.log(y.toArray()) // -0.999995, 0.999995
 */
export function layerNorm(x: Tensor, weight: Tensor | null, bias: Tensor | null, options: NormOptions = {}): Tensor {
  return normalize(x, weight, bias, options, true);
}

/**
 * RMS norm (Zhang and Sennrich 2019): x / √(mean of x² + ε) ∘ weight over the last dimension.
 *
 * @param x f32 [..., n], n > 0
 * @param weight f32 [n], or null for 1
 * @returns of x's shape; differentiable in x and weight
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE; ERR_TERSOR_OUT_OF_RANGE for an epsilon below 0
 */
export function rmsNorm(x: Tensor, weight: Tensor | null, options: NormOptions = {}): Tensor {
  return normalize(x, weight, null, options, false);
}

function normalize(
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  { epsilon = 1e-5 }: NormOptions,
  center: boolean,
): Tensor {
  const norm = [weight?.handle ?? null, bias?.handle ?? null, epsilon, center] as const;
  const y = filled(empty(x.shape), (y) => native.normalize(x.handle, ...norm, y.handle));
  return record(y, [x, weight, bias], (dy, wanted) => {
    const dx = wanted[0] ? empty(x.shape) : null;
    const dweight = wanted[1] && weight !== null ? empty(weight.shape) : null;
    const dbias = wanted[2] && bias !== null ? empty(bias.shape) : null;
    native.normalizeGradient(
      x.handle,
      ...norm,
      dy.handle,
      dx?.handle ?? null,
      dweight?.handle ?? null,
      dbias?.handle ?? null,
    );
    return [dx, dweight, dbias];
  });
}
