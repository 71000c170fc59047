import { native } from '../native';
import { empty, type Tensor } from '../tensor';
import type { Affine } from '../tensor/affine';
import { affineArguments } from '../tensor/affine';
import { record } from './tape';

/**
 * Quantize and dequantize in one step, so that training sees the rounding that the packed weight will have.
 *
 * @param x f32 [rows, columns]
 * @param affine scales and zero points of the codes
 * @returns x̂ of x's shape, bit for bit what the packed codes dequantize to; its gradient is the straight-through estimator
 *   (Bengio et al. 2013; Jacob et al. 2018): dy where x lies inside the representable range, 0 where it was clipped
 */
export function fakeQuantize(x: Tensor, affine: Affine): Tensor {
  const y = empty(x.shape);
  native.fakeQuantize(x.handle, ...affineArguments(affine), y.handle);
  return record(y, [x], (dy) => {
    const dx = empty(x.shape);
    native.fakeQuantizeGradient(x.handle, ...affineArguments(affine), dy.handle, dx.handle);
    return [dx];
  });
}
