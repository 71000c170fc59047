import { TersorError } from '../errors';
import { Activation, type Epilogue, native } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { ACTIVATIONS, type ActivationName, activate, reluGradient } from './activations';
import { add } from './elementwise';
import { columnSums } from './reduce';
import { isTracked, record } from './tape';

/** What a linear map does after the product. */
export interface LinearOptions {
  /** f32 [out], added to every row. */
  readonly bias?: Tensor | null;
  /** Applied inside the same kernel, after the bias: see the functions of these names. */
  readonly activation?: ActivationName | null;
  /** f32 [n, out], added last. */
  readonly residual?: Tensor | null;
}

/** What a kernel is told of a product's end. */
export function epilogueArguments({ bias, activation, residual }: LinearOptions): Epilogue {
  const code = activation ? ACTIVATIONS[activation] : Activation.identity;
  return [bias?.handle ?? null, code, residual?.handle ?? null];
}

/**
 * y = activation(x · Wᵀ + bias) + residual: the fully connected layer, one fused kernel.
 *
 * @param x f32 [n, in]
 * @param weight f32 [out, in] (PyTorch convention)
 * @returns f32 [n, out]; differentiable in x, weight, bias and residual
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 * @example
 * const y = tersor.ops.linear(tersor.tensor([[1, 2]]), tersor.tensor([[3, 4], [5, 6]]))
 * console.log(y.toArray()) // 11, 17
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias = null, activation = null, residual = null } = options;
  if ([x, weight, bias, residual].some((input) => input !== null && isTracked(input))) {
    // The gradient of ReLU is told from its output, which a residual would hide; others need what they were applied to.
    if (residual !== null) return add(linear(x, weight, { bias, activation }), residual);
    if (activation !== null && activation !== 'relu') return activate(activation, linear(x, weight, { bias }));
  }
  const y = filled(empty([rowsOf(x, 'linear: x'), rowsOf(weight, 'linear: weight')]), (y) =>
    native.gemm(x.handle, false, weight.handle, true, ...epilogueArguments(options), false, y.handle),
  );
  return record(y, [x, weight, bias], (dy, wanted) => {
    if (activation === 'relu') reluGradient(y, dy);
    return [
      wanted[0] ? product(dy, false, weight, false, x.shape) : null,
      wanted[1] ? product(dy, true, x, false, weight.shape) : null,
      wanted[2] && bias !== null ? columnSums(dy, bias.shape) : null,
    ];
  });
}

/**
 * Matrix product a · b.
 *
 * @param a f32 [m, k]
 * @param b f32 [k, n]
 * @returns f32 [m, n]; differentiable in both
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const c = product(a, false, b, false, [rowsOf(a, 'matmul: a'), b.shape[1] ?? 0]);
  return record(c, [a, b], (dc, wanted) => [
    wanted[0] ? product(dc, false, b, true, a.shape) : null,
    wanted[1] ? product(a, true, dc, false, b.shape) : null,
  ]);
}

function product(a: Tensor, transposeA: boolean, b: Tensor, transposeB: boolean, shape: readonly number[]): Tensor {
  return filled(empty(shape), (c) =>
    native.gemm(a.handle, transposeA, b.handle, transposeB, null, Activation.identity, null, false, c.handle),
  );
}

export function rowsOf(x: Tensor, what: string): number {
  if (x.shape.length !== 2) {
    throw new TersorError('ERR_TERSOR_SHAPE', `expected a matrix, got shape [${x.shape.join(', ')}], at ${what}`);
  }
  return x.shape[0] as number;
}
