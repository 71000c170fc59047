import { TersorError } from '../errors';
import { type MomentLists, type NativeTensor, native } from '../native';
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
  return byMoments(parameters, (lists, learningRate, step) =>
    native.adamStep(...lists, learningRate, beta1, beta2, epsilon, weightDecay, decoupled, step, maxGradientNorm),
  );
}

/** Options of {@link lamb}; defaults are the paper's. */
export interface LambOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  /** Default 1e-6. */
  readonly epsilon?: number;
  /** Taken from the weight directly, inside the part that is scaled. Default 0. */
  readonly weightDecay?: number;
  /** As in {@link SgdOptions}. */
  readonly maxGradientNorm?: number;
}

/**
 * LAMB (You et al. 2020): Adam whose step for each parameter is as long as the learning rate times the parameter itself, for batches of
 * thousands.
 *
 * @example
 * const w = tersor.tensor([3, 4]), optimizer = tersor.lamb([w])
 * optimizer.update([tersor.tensor([1, 1])], 0.1, 1)
 * console.log(w.toArray()) // a step of 0.1 x |w| = 0.5 along (1, 1): 2.65, 3.65
 */
export function lamb(
  parameters: readonly Tensor[],
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-6, weightDecay = 0, maxGradientNorm = 0 }: LambOptions = {},
): Optimizer {
  return byMoments(parameters, (lists, learningRate, step) =>
    native.lambStep(...lists, learningRate, beta1, beta2, epsilon, weightDecay, step, maxGradientNorm),
  );
}

/** An optimizer that keeps two moments of each element. */
function byMoments(
  parameters: readonly Tensor[],
  update: (lists: MomentLists, learningRate: number, step: number) => void,
): Optimizer {
  const first = zerosLike(parameters);
  const second = zerosLike(parameters);
  return {
    update(gradients, learningRate, step) {
      if (expectPairs(parameters, gradients) === 0) return;
      update([handles(parameters), handles(gradients), handles(first), handles(second)], learningRate, step);
    },
    state: () => new Map([...numbered('first', first), ...numbered('second', second)]),
    dispose: () => disposeAll([...first, ...second]),
  };
}

/** Options of {@link adagrad}. */
export interface AdagradOptions {
  /** Added to the root of the sum of squares. Default 1e-10. */
  readonly epsilon?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** As in {@link SgdOptions}. */
  readonly maxGradientNorm?: number;
}

/**
 * Adagrad (Duchi, Hazan and Singer 2011): the rate of each element falls with the sum of its squared gradients; PyTorch's update rule.
 * For embedding tables of which a batch touches few rows see `rowOptimizer`.
 *
 * @example
 * const w = tersor.tensor([1, 2]), optimizer = tersor.adagrad([w])
 * optimizer.update([tersor.tensor([10, -0.1])], 0.5, 1)
 * console.log(w.toArray()) // 0.5, 2.5
 */
export function adagrad(
  parameters: readonly Tensor[],
  { epsilon = 1e-10, weightDecay = 0, maxGradientNorm = 0 }: AdagradOptions = {},
): Optimizer {
  return byRootOfSquares(parameters, 1, { epsilon, weightDecay, maxGradientNorm });
}

/** Options of {@link rmsprop}. */
export interface RmspropOptions extends AdagradOptions {
  /** Of the moving mean of squares, 0 ≤ decay < 1. Default 0.99. */
  readonly decay?: number;
  /** Added to the root of the mean of squares. Default 1e-8. */
  readonly epsilon?: number;
}

/**
 * RMSprop (Tieleman and Hinton 2012): each element's gradient is divided by the root of a moving mean of its squares; PyTorch's update rule
 * without momentum.
 *
 * @throws ERR_TERSOR_OUT_OF_RANGE for a decay outside 0 ≤ decay < 1
 * @example
 * const w = tersor.tensor([1, 2]), optimizer = tersor.rmsprop([w])
 * optimizer.update([tersor.tensor([10, -0.1])], 0.01, 1)
 * console.log(w.toArray()) // 0.9, 2.1: a first step of 0.01 / sqrt(1 - 0.99)
 */
export function rmsprop(
  parameters: readonly Tensor[],
  { decay = 0.99, epsilon = 1e-8, weightDecay = 0, maxGradientNorm = 0 }: RmspropOptions = {},
): Optimizer {
  if (!(decay >= 0 && decay < 1)) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected a number in [0, 1), got ${decay}, at decay of rmsprop`);
  }
  return byRootOfSquares(parameters, decay, { epsilon, weightDecay, maxGradientNorm });
}

function byRootOfSquares(
  parameters: readonly Tensor[],
  decay: number,
  { epsilon, weightDecay, maxGradientNorm }: Required<AdagradOptions>,
): Optimizer {
  const squares = zerosLike(parameters);
  return {
    update(gradients, learningRate) {
      if (expectPairs(parameters, gradients) === 0) return;
      const lists = [handles(parameters), handles(gradients), handles(squares)] as const;
      native.rmsStep(...lists, learningRate, decay, epsilon, weightDecay, maxGradientNorm);
    },
    state: () => numbered('squares', squares),
    dispose: () => disposeAll(squares),
  };
}

/** Optimizers that have a name. */
export const OPTIMIZERS = ['adam', 'adamw', 'sgd', 'adagrad', 'rmsprop', 'lamb'] as const;

/** An optimizer by name; 'adamw' is Adam with decoupled weight decay. */
export type OptimizerName = (typeof OPTIMIZERS)[number];

/** The optimizer of a name, with its defaults for what is not given. */
export function makeOptimizer(
  parameters: readonly Tensor[],
  {
    optimizer,
    momentum,
    weightDecay,
  }: { readonly optimizer: OptimizerName; readonly momentum: number; readonly weightDecay: number },
): Optimizer {
  switch (optimizer) {
    case 'adam':
      return adam(parameters, { weightDecay });
    case 'adamw':
      return adam(parameters, { weightDecay, decoupled: true });
    case 'sgd':
      return sgd(parameters, { momentum, weightDecay });
    case 'adagrad':
      return adagrad(parameters, { weightDecay });
    case 'rmsprop':
      return rmsprop(parameters, { weightDecay });
    case 'lamb':
      return lamb(parameters, { weightDecay });
  }
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
