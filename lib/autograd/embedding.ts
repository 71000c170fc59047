import { native } from '../native';
import { empty, type Tensor, zeros } from '../tensor';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/**
 * Rows of an embedding table.
 *
 * @param table f32 [rows, columns], or f16 or bf16, which are not differentiated
 * @param ids i32 [n], each in [0, rows)
 * @returns f32 [n, columns]; differentiable in the table (gradients of equal ids are added)
 * @throws ERR_TERSOR_OUT_OF_RANGE for an id outside the table, naming its position
 */
export function gather(table: Tensor, ids: Tensor): Tensor {
  const y = filled(empty([ids.size, table.shape[1] ?? 0]), (y) => native.gather(table.handle, ids.handle, y.handle));
  return record(y, [table], (dy) => {
    const gradient = zeros(table.shape);
    native.scatterAdd(dy.handle, ids.handle, gradient.handle);
    return [gradient];
  });
}
