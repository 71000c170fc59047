import { native } from '../native';
import { empty, type Tensor } from '../tensor';
import { type Affine, affineArguments } from '../tensor/affine';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/**
 * Quantize and dequantize in one step with scales that are learned (LSQ, Esser et al. 2020).
 *
 * @param x f32 [rows, columns]
 * @param affine scales and zero points of the codes; `affine.scales` may be a parameter in training, and must stay above 0
 * @returns as {@link fakeQuantize}; the gradient of a scale is the sum over its group of dy · (round(x/s) − x/s), or dy · the outermost
 *   step where x was clipped, times 1/√(elements of the group · largest step), so that scales move as slowly as weights
 * @throws as {@link fakeQuantize}
 * @example
 * const x = tersor.tensor([[0.9, -0.4]]), scales = tersor.tensor([[0.1]])
 * const affine = { scales, zeroPoints: null, biases: null, codeMin: -8, codeMax: 7, groupSize: 2 }
 * const loss = (s) => tersor.ops.sum(tersor.ops.learnedFakeQuantize(x, { ...affine, scales: s }))
 * console.log(tersor.valueAndGradients(() => loss(scales), [scales]).gradients[0].item().toFixed(2)) // 1.87: 7 of the clipped 0.9, 0 of −0.4, over √14
 */
export function learnedFakeQuantize(x: Tensor, affine: Affine): Tensor {
  const parameters = affineArguments(affine);
  const y = filled(empty(x.shape), (y) => native.fakeQuantize(x.handle, ...parameters, y.handle));
  return record(y, [x, affine.scales], (dy) => {
    const scales = filled(empty(affine.scales.shape), (ds) =>
      native.lsqGradient(x.handle, ...parameters, dy.handle, ds.handle),
    );
    native.fakeQuantizeGradient(x.handle, ...parameters, dy.handle, dy.handle);
    return [dy, scales];
  });
}
