import { TersorError } from '../../errors';
import { CodeScales } from '../../native';
import { type Affine, affineArguments, empty, full, keep, runAsync, type Tensor, tidy, zeros } from '../../tensor';
import { type QuantizationScheme, Quantized, type WeightRange } from '../../weights';
import {
  affineFor,
  assertScheme,
  codeRange,
  describeScheme,
  groupSizeOf,
  hasCodebook,
  parameterShape,
} from '../../weights/scheme';

/** Options of {@link gptq}. */
export interface GptqOptions {
  /** Share of the mean of the moments' diagonal that is added to it; it grows until they are positive definite. Default 0.01. */
  readonly damping?: number;
  /** Round the columns whose inputs are largest first, while many are left to make up for the error. Default true. */
  readonly activationOrder?: boolean;
  /**
   * What the scales cover, see {@link WeightRange}. With 'min-max', in groups and without `activationOrder`, each group's scales are found
   * when its turn comes, from the weights as they are by then, as in the paper. Default 'mse', which with `activationOrder` errs least.
   */
  readonly range?: WeightRange;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Rounds a matrix so that the layer's outputs, not the weights, change least: columns are rounded one by one, and those to come make up for
 * the error (GPTQ, Frantar et al. 2023). A column that no input used is rounded to nearest.
 *
 * @param w f32 [rows, columns], at least one column; stays the caller's
 * @param moments f32 [columns, columns], XᵀX of the layer's inputs times any positive number: see `inputMoments`; stays the caller's
 * @throws ERR_TERSOR_UNSUPPORTED for a scheme with a codebook; ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE; ERR_TERSOR_INVALID_ARGUMENT for moments that are none (a negative diagonal, far from
 *   positive semi-definite); ERR_TERSOR_OUT_OF_RANGE for a negative damping; `signal.reason` when aborted
 * @example
 * const w = tersor.tensor([[0.9, 0.1], [0.4, 0.6]]), moments = tersor.tensor([[2, 1], [1, 2]])
 * const packed = await tersor.gptq(w, moments, { bits: 4, scheme: 'symmetric', granularity: 'channel' })
 * console.log(packed.bytes()) // 10: two rows of two codes, two scales
 */
export async function gptq(
  w: Tensor,
  moments: Tensor,
  scheme: QuantizationScheme,
  options: GptqOptions = {},
): Promise<Quantized> {
  const { damping = 0.01, activationOrder = true, range = 'mse', signal } = options;
  assertScheme(scheme, w.shape);
  if (hasCodebook(scheme)) {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      `expected symmetric or asymmetric codes for gptq, got ${describeScheme(scheme)}`,
    );
  }
  const found = scheme.bits > 1 && scheme.granularity === 'group' && range === 'min-max' && !activationOrder;
  const { affine, codes } = tidy(() => {
    const parameters = found ? roomForAffine(w, scheme) : affineFor(w, scheme, range);
    for (const part of [parameters.scales, parameters.zeroPoints, parameters.biases]) if (part !== null) keep(part);
    return { affine: parameters, codes: keep(empty(w.shape, codeRange(scheme).dtype)) };
  });
  try {
    const scales = found
      ? scheme.scheme === 'symmetric'
        ? CodeScales.symmetric
        : CodeScales.asymmetric
      : CodeScales.given;
    await runAsync(
      'gptq',
      [w.handle, moments.handle, damping, activationOrder, scales, ...affineArguments(affine), codes.handle],
      { signal },
    );
    return new Quantized({ scheme, codes, affine });
  } catch (error) {
    for (const part of [codes, affine.scales, affine.zeroPoints, affine.biases]) part?.dispose();
    throw error;
  }
}

/** Parameters that the operation writes; a fixed zero point is in place. */
function roomForAffine(w: Tensor, scheme: QuantizationScheme): Affine {
  const [rows, columns] = w.shape as readonly [number, number];
  const { min, max, zeroPoint } = codeRange(scheme);
  const shape = parameterShape(scheme, rows, columns);
  const zeroPoints = zeroPoint === 0 ? null : full(shape, zeroPoint ?? 0, 'i32');
  const groupSize = groupSizeOf(scheme, columns);
  return { scales: zeros(shape), zeroPoints, biases: null, codeMin: min, codeMax: max, groupSize };
}
