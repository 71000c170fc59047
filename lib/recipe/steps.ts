import {
  calibrate,
  gptq,
  gradualPruning,
  inputMoments,
  lowRankCorrection,
  productCentroids,
  pruneByMagnitude,
  softLabels,
  sparseGpt,
  truncatedSvd,
} from '../compress';
import { TersorError } from '../errors';
import { Model, type TrainableModel } from '../models';
import { keep, type Tensor, tensor, tidy } from '../tensor';
import { type FitOptions, type FitProgress, fit, type TrainingTask } from '../train';
import { type ObserverOptions, ProductQuantized, restoreWeight, type TrainableWeight, type Weight } from '../weights';
import type { PlannedStep } from './plan';
import { calibrates, schemeOf } from './planned-weight';
import type {
  ActivationQuantization,
  FactorizeStep,
  ProductQuantizeStep,
  PruneStep,
  QuantizationCorrection,
  QuantizeStep,
  Retrain,
} from './schema';

/** What the steps of a recipe share. */
export interface StepContext {
  /** The model as loaded: whose answers a student learns. */
  readonly teacher: Model;
  readonly training: TrainingTask | undefined;
  readonly seed: number;
  /** Where training continues from and keeps its state. */
  readonly checkpoint?: FitOptions['checkpoint'];
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: FitProgress) => void) | undefined;
}

/** A compressed model and what it was rounded from. */
export interface StepResult {
  readonly model: Model;
  /** By name, the floats that a compressed weight stands for: those that training led to, or those before it was compressed. */
  readonly references: ReadonlyMap<string, Float32Array>;
}

/**
 * Applies one step of a recipe: change the representation of the chosen weights, train when the step says so, pack.
 *
 * @param before what the steps before left; stays usable
 * @param planned a step that `planRecipe` found to fit
 * @throws `signal.reason` when aborted; what training and the singular value decomposition throw
 */
export async function applyStep(before: StepResult, planned: PlannedStep, context: StepContext): Promise<StepResult> {
  const { step, weights } = planned;
  const compressed = await compress(before, planned, context);
  if (!('quantize' in step) || step.quantize.correction === undefined) return compressed;
  try {
    return await corrected(compressed, weights, step.quantize.correction, context);
  } finally {
    compressed.model.dispose();
  }
}

async function compress(before: StepResult, planned: PlannedStep, context: StepContext): Promise<StepResult> {
  const { step, weights, retrain } = planned;
  if ('quantize' in step && step.quantize.method === 'gptq') {
    return byOutputs(before, weights, context, (w, moments) => gptq(w, moments, schemeOf(step.quantize), context));
  }
  if ('prune' in step && step.prune.method === 'sparsegpt') {
    const target = { sparsity: step.prune.sparsity ?? 0 };
    return byOutputs(before, weights, context, (w, moments) => sparseGpt(w, moments, target, context));
  }
  const trainable = await replaced(before.model, planned, context);
  try {
    const matrices = weights.flatMap((name) => trainable.matrices(name));
    const afterStep = 'prune' in step ? prune(matrices, step.prune) : undefined;
    if ('quantize' in step) quantize(matrices, step.quantize);
    if (retrain !== undefined) {
      await train(trainable, retrain, { ...context, afterStep });
    } else if ('quantize' in step && calibrates(step.quantize)) {
      await calibrate(trainable, trainingOf(context), { seed: context.seed, signal: context.signal });
    }
    return pack(before, trainable, planned);
  } finally {
    trainable.dispose();
  }
}

type Matrices = ReturnType<TrainableModel['matrices']>;

/** Prunes at once, or returns the hook that prunes during training. */
function prune(
  matrices: Matrices,
  { sparsity, threshold, pattern, blocks, schedule }: PruneStep,
): FitOptions['afterStep'] {
  if (sparsity !== undefined && schedule !== undefined)
    return gradualPruning(matrices, { sparsity, blocks, ...schedule });
  if (pattern !== undefined) pruneByMagnitude(matrices, { pattern });
  else
    pruneByMagnitude(
      matrices,
      sparsity === undefined ? { threshold: threshold ?? 0 } : { sparsity, ...(blocks && { blocks }) },
    );
  return undefined;
}

function quantize(matrices: Matrices, step: QuantizeStep): void {
  for (const matrix of matrices) {
    matrix.quantize(schemeOf(step));
    if (step.activations !== undefined) matrix.quantizeInputs(observerOf(step.activations));
  }
}

function observerOf({ observer, momentum, percentile }: ActivationQuantization): ObserverOptions | 'dynamic' {
  if (observer === 'dynamic') return observer;
  return { observer, ...(momentum !== undefined && { momentum }), ...(percentile !== undefined && { percentile }) };
}

/** A trainable model in which a step that gives weights another form has done so. */
async function replaced(
  model: Model,
  { step, weights: names }: PlannedStep,
  { signal, seed }: StepContext,
): Promise<TrainableModel> {
  const replace =
    'factorize' in step
      ? (w: Tensor, name: string) => truncatedSvd(w, targetOf(step.factorize), { signal, name, seed })
      : 'productQuantize' in step
        ? (w: Tensor) => productQuantized(w, step.productQuantize, { signal, seed })
        : null;
  if (replace === null) return model.trainable();
  const others = new Map<string, Weight>();
  try {
    for (const name of names) {
      const weight = model.weights.get(name) as Weight;
      others.set(name, await replace(weight.dense(), name));
    }
    return new Model(model.architecture, new Map([...model.weights, ...others])).trainable();
  } finally {
    disposeAll(others);
  }
}

function targetOf({ rank, energy }: Pick<FactorizeStep, 'rank' | 'energy'>) {
  return rank === undefined ? { energy: energy ?? 1 } : { rank };
}

async function productQuantized(
  w: Tensor,
  { subspaces, bits }: ProductQuantizeStep,
  options: Pick<StepContext, 'signal' | 'seed'>,
): Promise<ProductQuantized> {
  const centroids = await productCentroids(w, { ...options, subspaces, bits });
  return tidy(() => ProductQuantized.from(w, centroids));
}

/**
 * Compresses weights one after another, each by what its inputs are in the model as compressed so far: later layers make up for what
 * earlier ones changed.
 */
async function byOutputs(
  before: StepResult,
  names: readonly string[],
  context: StepContext,
  compress: (w: Tensor, moments: Tensor) => Promise<Weight>,
): Promise<StepResult> {
  const { seed, signal } = context;
  const weights = new Map([...before.model.weights].map(([name, weight]) => [name, copyOf(name, weight)]));
  const references = new Map(before.references);
  try {
    for (const name of names) {
      const weight = weights.get(name) as Weight;
      const model = new Model(before.model.architecture, weights);
      const moments = await inputMoments(model, [name], trainingOf(context), { seed, signal });
      try {
        // A dense weight's own tensor: the plan lets no other kind through.
        const w = weight.dense();
        references.set(name, w.toArray() as Float32Array);
        weights.set(name, await compress(w, moments.get(name) as Tensor));
        weight.dispose();
      } finally {
        disposeAll(moments);
      }
    }
    return { model: new Model(before.model.architecture, weights), references };
  } catch (error) {
    disposeAll(weights);
    throw error;
  }
}

/** Gives the named weights back, in factors of low rank, what they lack of the floats that they stand for. */
async function corrected(
  { model, references }: StepResult,
  names: readonly string[],
  correction: QuantizationCorrection,
  { signal, seed }: StepContext,
): Promise<StepResult> {
  const weights = new Map([...model.weights].map(([name, weight]) => [name, copyOf(name, weight)]));
  try {
    for (const name of names) {
      const codes = weights.get(name) as Weight;
      const w = keep(tensor(references.get(name) as Float32Array, codes.shape));
      try {
        weights.set(name, await lowRankCorrection(w, codes, targetOf(correction), { signal, name, seed }));
      } finally {
        w.dispose();
      }
    }
    return { model: new Model(model.architecture, weights), references };
  } catch (error) {
    disposeAll(weights);
    throw error;
  }
}

async function train(
  model: TrainableModel,
  { distill, ...options }: Retrain,
  { afterStep, ...context }: StepContext & Pick<FitOptions, 'afterStep'>,
): Promise<void> {
  const { teacher, seed, checkpoint, signal, onProgress } = context;
  const objective = distill === undefined ? undefined : softLabels(teacher, distill);
  await fit(model, trainingOf(context), { ...options, seed, objective, afterStep, checkpoint, signal, onProgress });
}

function trainingOf({ training }: StepContext): TrainingTask {
  if (training !== undefined) return training;
  throw new TersorError('ERR_TERSOR_RECIPE', 'expected training data for a step that trains or calibrates, got none');
}

/** Training changes every weight; without it, those that the step does not name keep their bits and what they stand for. */
function pack(before: StepResult, trainable: TrainableModel, { weights: named, retrain }: PlannedStep): StepResult {
  const weights = new Map<string, Weight>();
  const references = new Map<string, Float32Array>();
  try {
    for (const [name, weight] of before.model.weights) {
      const trained = trainable.weights.get(name) as TrainableWeight;
      const changed = retrain !== undefined || named.includes(name);
      const packed = changed ? trained.pack() : copyOf(name, weight);
      weights.set(name, packed);
      if (packed.kind === 'dense') continue;
      const reference = changed
        ? floatsOf(() => (retrain === undefined ? weight.dense() : trained.unrounded()))
        : before.references.get(name);
      if (reference !== undefined) references.set(name, reference);
    }
    return { model: new Model(before.model.architecture, weights), references };
  } catch (error) {
    disposeAll(weights);
    throw error;
  }
}

/** The same weight in memory of its own. Packing a trainable copy would choose the scales anew. */
function copyOf(name: string, weight: Weight): Weight {
  const { tensors, descriptor } = weight.store();
  const blobs = [...tensors].map(([blob, entry]) => [blob === '' ? name : `${name}.${blob}`, entry] as const);
  return restoreWeight(name, new Map(blobs), descriptor);
}

function floatsOf(values: () => Tensor): Float32Array {
  return tidy(() => values().toArray() as Float32Array);
}

function disposeAll(owners: ReadonlyMap<string, { dispose(): void }>): void {
  for (const owner of owners.values()) owner.dispose();
}
