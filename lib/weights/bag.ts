import { type Bags, bagArguments, bagCount, embeddingBag, matmul } from '../autograd';
import { native } from '../native';
import { type Affine, affineArguments, empty, keep, type Tensor, tensor } from '../tensor';
import { bitsOf } from '../tensor/dtype';
import type { LinearOperator } from './weight';

/** Bags of a weight that can only be gathered from: of the gathered rows, one for each look-up. */
export function bagOfGathered(weight: Pick<LinearOperator, 'gather'>, bags: Bags): Tensor {
  return embeddingBag(weight.gather(bags.ids), {
    ...bags,
    ids: tensor(Int32Array.from({ length: bags.ids.size }, (_, i) => i)),
  });
}

/** Bags of left · right: a sum or mean goes through the product, a maximum does not. */
export function bagOfFactors(left: LinearOperator, right: LinearOperator, bags: Bags): Tensor {
  if (bags.mode !== 'max') return matmul(left.bag(bags), right.dense());
  return bagOfGathered({ gather: (ids) => matmul(left.gather(ids), right.dense()) }, bags);
}

/** Rows of codes that end in their scale and bias: a look-up then touches one place of memory instead of three. */
export interface FusedRows {
  bag(bags: Bags): Tensor;
  /** Frees the rows. */
  dispose(): void;
}

/**
 * Copies a table of codes into fused rows.
 *
 * @param codes i8, u8 or u1..u4 [rows, columns]; stay the caller's, as the affine does
 * @param affine one group a row, or one in all
 */
export function fuseRows(codes: Tensor, affine: Affine): FusedRows {
  const [count, columns] = codes.shape as readonly [number, number];
  const bits = widthOf(bitsOf(codes.dtype));
  const rows = empty([count, Math.ceil((columns * bits) / 8) + PARAMETER_BYTES], 'u8', codes.device);
  native.fuseRows(codes.handle, ...affineArguments(affine), bits, rows.handle);
  keep(rows);
  return {
    bag(bags) {
      const y = empty([bagCount(bags), columns]);
      native.embeddingBag(rows.handle, columns, bits, ...bagArguments(bags), y.handle);
      return y;
    },
    dispose() {
      rows.dispose();
    },
  };
}

/** A scale and a bias in f32. */
const PARAMETER_BYTES = 8;

/** The kernels read 2, 4 and 8 bits: codes of 1 and 3 bits take one more. */
function widthOf(bits: number): number {
  return bits === 8 ? 8 : bits > 2 ? 4 : 2;
}
