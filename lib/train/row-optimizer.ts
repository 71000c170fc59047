import type { RowGradient } from '../autograd';
import { native, RowRule } from '../native';
import { keep, type Tensor, zeros } from '../tensor';

/** Updates the rows of a table that have a gradient, and leaves the others alone. */
export interface RowOptimizer {
  /**
   * @param gradient as `ops.embeddingBagGradient` gives it
   * @param step 1-based number of this update
   * @throws ERR_TERSOR_INVALID_ARGUMENT for ids that do not ascend; ERR_TERSOR_OUT_OF_RANGE for one outside the table, and for a rate or step
   *   outside its range; ERR_TERSOR_SHAPE
   */
  update(gradient: RowGradient, learningRate: number, step: number): void;
  /** Tensors that a checkpoint must hold, by name. */
  state(): ReadonlyMap<string, Tensor>;
  /** Frees the state. */
  dispose(): void;
}

/** Options of {@link rowOptimizer}. */
export interface RowOptimizerOptions {
  /**
   * 'sgd'; 'adagrad' (Duchi et al. 2011) with a sum of squares for each element; 'rowwise-adagrad' with one for each row, which adds the
   * mean over the row and takes 1 / columns of the memory (Mudigere et al. 2022); 'adam', whose moments move only when their row does.
   */
  readonly method: 'sgd' | 'adagrad' | 'rowwise-adagrad' | 'adam';
  /** Of Adam. Default 0.9. */
  readonly beta1?: number;
  /** Of Adam. Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
}

const RULES = {
  sgd: RowRule.sgd,
  adagrad: RowRule.adagrad,
  'rowwise-adagrad': RowRule.rowwiseAdagrad,
  adam: RowRule.adam,
};

/**
 * An optimizer for an embedding table that is too large to have a gradient of its size. A training step takes the bags before the tape,
 * differentiates by them, and hands their gradient on.
 *
 * @param table f32 [rows, columns]; stays the caller's
 * @example
 * const table = tersor.tensor([[1, 2], [3, 4], [5, 6]])
 * const optimizer = tersor.rowOptimizer(table, { method: 'sgd' })
 * const bags = { ids: tersor.tensor(Int32Array.of(0, 2)), offsets: tersor.tensor(Int32Array.of(0)) }
 * const y = tersor.ops.embeddingBag(table, bags)
 * const { gradients } = tersor.valueAndGradients(() => tersor.ops.sum(y), [y])
 * optimizer.update(tersor.ops.embeddingBagGradient(table, bags, gradients[0]), 0.5, 1)
 * console.log(table.toArray()) // 0.5, 1.5, 3, 4, 4.5, 5.5
 */
export function rowOptimizer(
  table: Tensor,
  { method, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: RowOptimizerOptions,
): RowOptimizer {
  const rowwise = method === 'rowwise-adagrad';
  const first = method === 'sgd' ? null : keep(zeros(rowwise ? [table.shape[0] ?? 0] : table.shape));
  const second = method === 'adam' ? keep(zeros(table.shape)) : null;
  return {
    update({ ids, rows }, learningRate, step) {
      const state = [first?.handle ?? null, second?.handle ?? null] as const;
      const rates = [learningRate, beta1, beta2, epsilon, step] as const;
      native.updateRows(table.handle, ids.handle, rows.handle, ...state, RULES[method], ...rates);
    },
    state() {
      const named = [
        ['first', first],
        ['second', second],
      ] as const;
      return new Map(named.flatMap(([name, t]) => (t === null ? [] : [[name, t] as const])));
    },
    dispose() {
      first?.dispose();
      second?.dispose();
    },
  };
}
