import { Activation, native } from '../native';
import type { SparsePattern } from '../sparse/pattern';
import { empty, type Tensor, tidy } from '../tensor';
import { filled } from '../tensor/tensor';
import { activate, reluGradient } from './activations';
import { add } from './elementwise';
import { epilogueArguments, type LinearOptions, rowsOf } from './linear';
import { columnSums } from './reduce';
import { isTracked, record } from './tape';

/**
 * y = activation(x · Wᵀ + bias) + residual with a sparse W: the products and both gradients cost what its nonzeros cost, so that a pruned
 * layer is retrained without ever being dense. The gradient of the values is the sampled dense-dense product (SDDMM) of dy and x.
 *
 * @param x f32 [n, in]
 * @param values f32 [nonzeros], in row-major order of the pattern
 * @param pattern of W [out, in]
 * @returns f32 [n, out]; differentiable in x, values, bias and residual
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 * @example
 * const pattern = tersor.SparsePattern.of(tersor.tensor([[0, 2], [3, 0]]))
 * const values = tersor.tensor([2, 3])
 * console.log(tersor.ops.sparseLinear(tersor.tensor([[1, 10]]), values, pattern).toArray()) // 20, 3
 */
export function sparseLinear(x: Tensor, values: Tensor, pattern: SparsePattern, options: LinearOptions = {}): Tensor {
  const { bias = null, activation = null, residual = null } = options;
  if ([x, values, bias, residual].some(isTracked)) {
    // The gradient of ReLU is told from its output, which a residual would hide; others need what they were applied to.
    if (residual !== null) return add(sparseLinear(x, values, pattern, { bias, activation }), residual);
    if (activation !== null && activation !== 'relu') {
      return activate(activation, sparseLinear(x, values, pattern, { bias }));
    }
  }
  const [rows, columns] = pattern.shape;
  const y = filled(empty([rowsOf(x, 'sparseLinear: x'), rows]), (y) =>
    tidy(() => {
      const weight = pattern.pack(values);
      native.csrGemm(x.handle, weight.handle, rows, columns, ...epilogueArguments(options), y.handle);
    }),
  );
  return record(y, [x, values, bias], (dy, wanted) => {
    if (activation === 'relu') reluGradient(y, dy);
    return [
      wanted[0] ? inputGradient(dy, values, pattern, x.shape) : null,
      wanted[1] ? valueGradient(dy, x, values, pattern) : null,
      wanted[2] && bias !== null ? columnSums(dy, bias.shape) : null,
    ];
  });
}

/** dx = dy · W. */
function inputGradient(dy: Tensor, values: Tensor, pattern: SparsePattern, shape: readonly number[]): Tensor {
  const [rows, columns] = pattern.shape;
  return filled(empty(shape), (dx) =>
    tidy(() => {
      const weight = pattern.packTransposed(values);
      native.csrGemm(dy.handle, weight.handle, columns, rows, null, Activation.identity, null, dx.handle);
    }),
  );
}

/** dyᵀ · x at the nonzeros. */
function valueGradient(dy: Tensor, x: Tensor, values: Tensor, pattern: SparsePattern): Tensor {
  return filled(empty(values.shape), (gradient) =>
    native.csrSddmm(dy.handle, x.handle, ...pattern.layout(), gradient.handle),
  );
}
