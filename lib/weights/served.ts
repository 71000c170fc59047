import { isTracked } from '../autograd/tape';
import { TersorError } from '../errors';
import { type Tensor, tidy } from '../tensor';

/**
 * Runs a computation of packed weights, which keep no trace of how a result came about, and frees all but the result.
 *
 * @throws ERR_TERSOR_UNSUPPORTED when a gradient is being recorded for an input: it would come out as zero
 */
export function served(inputs: readonly Tensor[], compute: () => Tensor): Tensor {
  if (inputs.some(isTracked)) {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      'expected inputs without a gradient for packed weights, got one that is being differentiated by: use trainable() of the weight or model',
    );
  }
  return tidy(compute);
}
