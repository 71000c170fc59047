import { subtract } from '../../autograd';
import { keep, type Tensor, tidy } from '../../tensor';
import { Sum, type Weight } from '../../weights';
import { type RankTarget, truncatedSvd } from './svd';

/**
 * Gives back what compression took: `weight` plus the best approximation of w − weight of some rank, in two f32 factors (low-rank
 * compensation: Yao et al. 2023, [2303.08302](https://arxiv.org/abs/2303.08302); Zhang et al. 2024,
 * [2402.02446](https://arxiv.org/abs/2402.02446)). Quantize and retrain the factors as those of any weight.
 *
 * @param w f32 [rows, columns]: what `weight` stands for; stays the caller's
 * @param weight quantized, sparse or both; the result takes it over
 * @throws ERR_TERSOR_SHAPE when the shapes differ; as {@link truncatedSvd}
 * @example
 * const w = tersor.tensor([[1, 2, 3], [2, 4, 6], [3, 6, 9]])
 * const signs = tersor.quantizeMatrix(w, { bits: 1, scheme: 'symmetric', granularity: 'tensor' })
 * const corrected = await tersor.lowRankCorrection(w, signs, { rank: 1 })
 * console.log(corrected.representation) // int1 per tensor + rank 1 (f32)
 */
export async function lowRankCorrection(
  w: Tensor,
  weight: Weight,
  target: RankTarget,
  options: { signal?: AbortSignal | undefined; name?: string; seed?: number } = {},
): Promise<Sum> {
  const error = keep(tidy(() => subtract(w, weight.dense())));
  try {
    return new Sum(weight, await truncatedSvd(error, target, options));
  } finally {
    error.dispose();
  }
}
