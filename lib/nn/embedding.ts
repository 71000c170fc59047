import type { Tensor } from '../tensor';
import type { WeightSource } from './linear';

/**
 * Embedding look-up in `<layer>.weight` [rows, columns] in any representation.
 *
 * @param ids i32 [n]
 * @returns f32 [n, columns]
 * @throws ERR_TERSOR_OUT_OF_RANGE for an id outside the table
 */
export function embeddingLayer(weights: WeightSource, layer: string, ids: Tensor): Tensor {
  return weights(`${layer}.weight`).gather(ids);
}
