import { native } from '../native';
import { empty, type Tensor } from '../tensor';
import { type Affine, affineArguments } from '../tensor/affine';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/**
 * The same with codes of a codebook.
 *
 * @param rounded what x is rounded to: the values that its codes stand for; taken over
 * @returns `rounded`; its gradient is the straight-through estimator, which passes all of dy: the codebook's scales cover every x
 */
export function straightThrough(x: Tensor, rounded: Tensor): Tensor {
  return record(rounded, [x], (dy) => [dy]);
}

/**
 * Quantize and dequantize in one step, so that training sees the rounding that the packed weight will have.
 *
 * @param x f32 [rows, columns]
 * @param affine scales and zero points of the codes
 * @returns x̂ of x's shape, bit for bit what the packed codes dequantize to; its gradient is the straight-through estimator
 *   (Bengio et al. 2013; Jacob et al. 2018): dy where the rounded code of x lies in the range of codes, 0 where it was clipped
 * @throws ERR_TERSOR_NOT_FINITE for NaN or infinity in x, naming its place
 */
export function fakeQuantize(x: Tensor, affine: Affine): Tensor {
  const parameters = affineArguments(affine);
  const y = filled(empty(x.shape), (y) => native.fakeQuantize(x.handle, ...parameters, y.handle));
  return record(y, [x], (dy) => {
    native.fakeQuantizeGradient(x.handle, ...parameters, dy.handle, dy.handle);
    return [dy];
  });
}
