import { TersorError } from '../errors';
import { native } from '../native';
import { empty, type Tensor } from '../tensor';
import { Dense, type TrainableMatrix, type TrainableWeight, type Weight } from '../weights';
import { served } from '../weights/served';
import { type Architecture, listNames, matchWeights, type WeightSpec } from './architecture';

/** A model in the form in which it is stored and served: an architecture and a tree of named weights. */
export class Model {
  readonly architecture: Architecture;
  /** By name, in the architecture's order. */
  readonly weights: ReadonlyMap<string, Weight>;

  /**
   * @param weights one per spec of the architecture; taken over
   * @throws ERR_TERSOR_SHAPE when one is missing, has another shape, or is not wanted
   */
  constructor(architecture: Architecture, weights: ReadonlyMap<string, Weight>) {
    this.architecture = architecture;
    this.weights = matchWeights(architecture, weights);
  }

  /**
   * Runs the model on packed weights; inputs and output as the architecture says. Leaves nothing but the output in memory.
   *
   * @throws ERR_TERSOR_UNSUPPORTED inside `valueAndGradients` by an input: gradients need {@link trainable}
   */
  forward(...inputs: Tensor[]): Tensor {
    return served(inputs, () => this.architecture.forward((name) => find(this.weights, name), inputs));
  }

  /** Bytes of all weights, without a file's header. */
  bytes(): number {
    return total(this.weights, (weight) => weight.bytes());
  }

  /** Numbers held, zeros of masks included. */
  parameters(): number {
    return total(this.weights, (weight) => weight.parameters());
  }

  /** Numbers that may differ from zero. */
  nonzeros(): number {
    return total(this.weights, (weight) => weight.nonzeros());
  }

  /** Multiply-accumulates of the matrix products of one example. */
  macs(): number {
    return this.architecture.weights
      .filter(({ role }) => role === 'matmul')
      .reduce((sum, { name }) => sum + find(this.weights, name).macs(), 0);
  }

  /** A copy to train. */
  trainable(): TrainableModel {
    return new TrainableModel(
      this.architecture,
      new Map([...this.weights].map(([name, weight]) => [name, weight.trainable()])),
    );
  }

  /** Frees the native memory of every weight. */
  dispose(): void {
    for (const weight of this.weights.values()) weight.dispose();
  }
}

/** A model whose weights are being trained. */
export class TrainableModel {
  readonly architecture: Architecture;
  readonly weights: ReadonlyMap<string, TrainableWeight>;

  constructor(architecture: Architecture, weights: ReadonlyMap<string, TrainableWeight>) {
    this.architecture = architecture;
    this.weights = matchWeights(architecture, weights);
  }

  /** The same computation as {@link Model.forward}, on float weights behind masks and fake quantization; differentiable. */
  forward(...inputs: Tensor[]): Tensor {
    return this.architecture.forward((name) => find(this.weights, name), inputs);
  }

  /** Tensors for an optimizer. */
  parameters(): Tensor[] {
    return [...this.weights.values()].flatMap((weight) => weight.parameters());
  }

  /** Everything that a checkpoint must hold, by `<weight>/<part>`. */
  state(): ReadonlyMap<string, Tensor> {
    return new Map(
      [...this.weights].flatMap(([name, weight]) =>
        [...weight.state()].map(([part, t]) => [`${name}/${part}`, t] as const),
      ),
    );
  }

  /** Every matrix inside a named weight. */
  matrices(name?: string): TrainableMatrix[] {
    const weights = name === undefined ? [...this.weights.values()] : [find(this.weights, name)];
    return weights.flatMap((weight) => weight.matrices());
  }

  /** Whether activation ranges follow the batches (training, calibration) or stay (evaluation). */
  observe(observing: boolean): void {
    for (const matrix of this.matrices()) matrix.observe(observing);
  }

  /** The stored form; this model stays usable. */
  pack(): Model {
    return new Model(this.architecture, new Map([...this.weights].map(([name, weight]) => [name, weight.pack()])));
  }

  /** Frees the native memory of every weight. */
  dispose(): void {
    for (const weight of this.weights.values()) weight.dispose();
  }
}

/**
 * A fresh model: weights and biases of a layer uniform in ±1/√inputs (PyTorch's default for Linear), embeddings normal with
 * deviation 0.01, from a counter-based stream.
 *
 * @param options.seed integer from 0; default 0
 * @throws ERR_TERSOR_INVALID_ARGUMENT for another seed
 */
export function initialize(architecture: Architecture, { seed = 0 }: { seed?: number } = {}): Model {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected an integer seed of 0 or more, got ${seed}, at initialize`,
    );
  }
  const specs = new Map(architecture.weights.map((spec) => [spec.name, spec]));
  let offset = 0n;
  const weights = architecture.weights.map((spec) => {
    const values = empty(spec.shape);
    if (spec.role === 'embedding') native.randomNormal(BigInt(seed), offset, 0, 0.01, values.handle);
    else {
      const bound = 1 / Math.sqrt(inputsOf(spec, specs));
      native.randomUniform(BigInt(seed), offset, -bound, bound, values.handle);
    }
    offset += BigInt(values.size);
    return [spec.name, new Dense(values)] as const;
  });
  return new Model(architecture, new Map(weights));
}

/** Inputs of the layer that a weight belongs to; a bias takes its matrix's. */
function inputsOf(spec: WeightSpec, specs: ReadonlyMap<string, WeightSpec>): number {
  const matrix = spec.role === 'bias' ? specs.get(spec.name.replace(/bias$/, 'weight')) : spec;
  return matrix?.shape[1] ?? 1;
}

function find<W>(weights: ReadonlyMap<string, W>, name: string): W {
  const weight = weights.get(name);
  if (weight !== undefined) return weight;
  throw new TersorError('ERR_TERSOR_SHAPE', `expected a weight '${name}', got only ${listNames(weights.keys())}`);
}

function total(weights: ReadonlyMap<string, Weight>, count: (weight: Weight) => number): number {
  return [...weights.values()].reduce((sum, weight) => sum + count(weight), 0);
}
