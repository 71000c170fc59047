import { type BagArguments, BagMode, native } from '../native';
import { empty, type Tensor, tensor, tidy, zeros } from '../tensor';
import { bitsOf } from '../tensor/dtype';
import { filled } from '../tensor/tensor';
import { gather } from './embedding';
import { record } from './tape';

/** Bags of look-ups in an embedding table: bag b holds `ids` from `offsets[b]` up to `offsets[b + 1]`; the last one ends with the ids. */
export interface Bags {
  /** i32 [n], each a row of the table. */
  readonly ids: Tensor;
  /** i32 or i64 [bags]: where each bag begins; the first is 0, and none is less than the one before. Equal ones are empty bags. */
  readonly offsets: Tensor;
  /** f32 [n]: a factor for each look-up; only with mode 'sum'. No gradient passes to them. */
  readonly weights?: Tensor | null;
  /** How the rows of a bag become one. Default 'sum'. */
  readonly mode?: 'sum' | 'mean' | 'max';
  /** The offsets have one more element, which is n. Default false. */
  readonly includeLastOffset?: boolean;
}

/** Gradient of a table that is zero outside of a few rows. */
export interface RowGradient {
  /** i32 [rows], ascending, each once. */
  readonly ids: Tensor;
  /** f32 [rows, columns]. */
  readonly rows: Tensor;
}

const MODES = { sum: BagMode.sum, mean: BagMode.mean, max: BagMode.max };

/** Bags in the argument order of the addon. */
export function bagArguments({ ids, offsets, weights, mode = 'sum', includeLastOffset = false }: Bags): BagArguments {
  return [ids.handle, offsets.handle, weights?.handle ?? null, includeLastOffset, MODES[mode]];
}

/** Number of bags that the offsets describe. */
export function bagCount({ offsets, includeLastOffset = false }: Bags): number {
  return Math.max(offsets.size - (includeLastOffset ? 1 : 0), 0);
}

/**
 * Sum, mean or maximum of the rows of an embedding table, for each bag of ids (PyTorch's `EmbeddingBag`). An empty bag gives zeros; NaN
 * among a bag's rows gives NaN.
 *
 * @param table f32 [rows, columns], or f16 or bf16, which are not differentiated
 * @returns f32 [bags, columns]; differentiable in the table: the gradient is as large as the table, so see {@link embeddingBagGradient} for
 *   large ones
 * @throws ERR_TERSOR_OUT_OF_RANGE for an id outside the table or offsets that decrease or pass the ids, naming the position;
 *   ERR_TERSOR_DTYPE, ERR_TERSOR_SHAPE; ERR_TERSOR_INVALID_ARGUMENT for weights with another mode than 'sum'
 * @example
 * const table = tersor.tensor([[1, 2], [3, 4], [5, 6]])
 * const ids = tersor.tensor(Int32Array.of(0, 2, 1)), offsets = tersor.tensor(Int32Array.of(0, 2))
 * console.log(tersor.ops.embeddingBag(table, { ids, offsets }).toArray()) // [6, 8] and [3, 4]
 */
export function embeddingBag(table: Tensor, bags: Bags): Tensor {
  const columns = table.shape[1] ?? 0;
  const y = filled(empty([bagCount(bags), columns]), (y) =>
    native.embeddingBag(table.handle, columns, bitsOf(table.dtype), ...bagArguments(bags), y.handle),
  );
  return record(y, [table], (dy) => {
    const gradient = zeros(table.shape);
    tidy(() => {
      const { unique, rows } = uniqueRows(table, bags, dy);
      native.scatterAdd(rows.handle, unique.handle, gradient.handle);
    });
    return [gradient];
  });
}

/**
 * The gradient of a table from that of its bags, for the rows that were looked up and no others: what an update of those rows alone takes.
 *
 * @param table f32 [rows, columns]
 * @param bagGradient f32 [bags, columns]
 * @throws as {@link embeddingBag}
 * @example
 * const table = tersor.tensor([[1, 2], [3, 4], [5, 6]])
 * const bags = { ids: tersor.tensor(Int32Array.of(2, 2)), offsets: tersor.tensor(Int32Array.of(0)) }
 * const { ids, rows } = tersor.ops.embeddingBagGradient(table, bags, tersor.tensor([[1, 10]]))
 * console.log(ids.toArray(), rows.toArray()) // [2], [2, 20]
 */
export function embeddingBagGradient(table: Tensor, bags: Bags, bagGradient: Tensor): RowGradient {
  return tidy(() => {
    const { unique, rows, found } = uniqueRows(table, bags, bagGradient);
    const ids = (unique.toArray() as Int32Array).subarray(0, found);
    return { ids: tensor(ids), rows: gather(rows, tensor(Int32Array.from(ids.keys()))) };
  });
}

/** One place for each look-up; what is beyond `found` is id 0 with a gradient of 0. */
function uniqueRows(table: Tensor, bags: Bags, bagGradient: Tensor) {
  const count = bags.ids.size;
  const unique = empty([count], 'i32');
  const rows = empty([count, table.shape[1] ?? 0]);
  const found = empty([1], 'i32');
  const outputs = [unique.handle, rows.handle, found.handle] as const;
  native.embeddingBagGradient(table.handle, ...bagArguments(bags), bagGradient.handle, ...outputs);
  return { unique, rows, found: found.item() };
}
