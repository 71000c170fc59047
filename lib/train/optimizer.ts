import { TersorError } from '../errors';
import { type NativeTensor, native } from '../native';
import { keep, type Tensor, zeros } from '../tensor';

/** Updates parameters in place from their gradients. */
export interface Optimizer {
  /**
   * @param gradients one per parameter, in their order
   * @param step 1-based number of this update
   * @throws ERR_TERSOR_SHAPE for another number of gradients; ERR_TERSOR_OUT_OF_RANGE and ERR_TERSOR_NOT_FINITE for an option, a rate
   *   or a step outside its range
   */
  update(gradients: readonly Tensor[], learningRate: number, step: number): void;
  /** Tensors that a checkpoint must hold, by name. */
  state(): ReadonlyMap<string, Tensor>;
  /** Frees the state. */
  dispose(): void;
}

/** Options of {@link sgd}. */
export interface SgdOptions {
  /** Share of the last update that is added to the next, 0 ≤ momentum < 1. Default 0. */
  readonly momentum?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Look ahead along the momentum (Sutskever et al. 2013). Default false. */
  readonly nesterov?: boolean;
  /**
   * Length that all gradients together, as one vector, are scaled down to when they are longer (Pascanu et al. 2013), in the same
   * call. Default 0: they are left as they are.
   */
  readonly maxGradientNorm?: number;
}

/**
 * Stochastic gradient descent, with momentum when asked; PyTorch's update rule.
 *
 * @throws ERR_TERSOR_INVALID_ARGUMENT for nesterov without momentum
 * @example
 * const w = tersor.tensor([1, 2]), optimizer = tersor.sgd([w])
 * optimizer.update([tersor.tensor([10, 10])], 0.1, 1)
 * console.log(w.toArray()) // 0, 1
 */
export function sgd(
  parameters: readonly Tensor[],
  { momentum = 0, weightDecay = 0, nesterov = false, maxGradientNorm = 0 }: SgdOptions = {},
): Optimizer {
  if (nesterov && momentum === 0) {
    throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', 'expected a momentum above 0 with nesterov, got 0, at sgd');
  }
  const velocities = momentum === 0 ? [] : zerosLike(parameters);
  return {
    update(gradients, learningRate) {
      if (expectPairs(parameters, gradients) === 0) return;
      native.sgdStep(
        handles(parameters),
        handles(gradients),
        handles(velocities),
        learningRate,
        momentum,
        weightDecay,
        nesterov,
        maxGradientNorm,
      );
    },
    state: () => numbered('velocity', velocities),
    dispose: () => disposeAll(velocities),
  };
}

/** Options of {@link adam}; defaults are the paper's. */
export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** L2 penalty added to the gradient, or taken from the weight directly when `decoupled`. Default 0. */
  readonly weightDecay?: number;
  /** AdamW (Loshchilov and Hutter 2019). Default false. */
  readonly decoupled?: boolean;
  /** As in {@link SgdOptions}. */
  readonly maxGradientNorm?: number;
}

/** Adam (Kingma and Ba 2015) and AdamW; PyTorch's update rules. */
export function adam(
  parameters: readonly Tensor[],
  {
    beta1 = 0.9,
    beta2 = 0.999,
    epsilon = 1e-8,
    weightDecay = 0,
    decoupled = false,
    maxGradientNorm = 0,
  }: AdamOptions = {},
): Optimizer {
  const first = zerosLike(parameters);
  const second = zerosLike(parameters);
  return {
    update(gradients, learningRate, step) {
      if (expectPairs(parameters, gradients) === 0) return;
      native.adamStep(
        handles(parameters),
        handles(gradients),
        handles(first),
        handles(second),
        learningRate,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        decoupled,
        step,
        maxGradientNorm,
      );
    },
    state: () => new Map([...numbered('first', first), ...numbered('second', second)]),
    dispose: () => disposeAll([...first, ...second]),
  };
}

/** How many there are. */
function expectPairs(parameters: readonly Tensor[], gradients: readonly Tensor[]): number {
  if (gradients.length === parameters.length) return parameters.length;
  throw new TersorError(
    'ERR_TERSOR_SHAPE',
    `expected ${parameters.length} gradients, one per parameter, got ${gradients.length}, at update`,
  );
}

function handles(tensors: readonly Tensor[]): NativeTensor[] {
  return tensors.map(({ handle }) => handle);
}

function zerosLike(parameters: readonly Tensor[]): Tensor[] {
  return parameters.map((parameter) => keep(zeros(parameter.shape)));
}

function numbered(name: string, tensors: readonly Tensor[]): Map<string, Tensor> {
  return new Map(tensors.map((t, i) => [`${name}.${i}`, t]));
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const t of tensors) t.dispose();
}
