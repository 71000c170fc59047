import { calibrate, gradualPruning, pruneByMagnitude, softLabels, truncatedSvd } from '../compress';
import { TersorError } from '../errors';
import { Model, type TrainableModel } from '../models';
import { tidy } from '../tensor';
import { type FitOptions, type FitProgress, fit, type TrainingTask } from '../train';
import { DEFAULT_OBSERVER, type QuantizationScheme, type Weight } from '../weights';
import type { PlannedStep } from './plan';
import type { FactorizeStep, PruneStep, QuantizeStep, Retrain } from './schema';

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
  /** By name, the float weights that this step's representation stands for: those before it, or those it trained. */
  readonly references: ReadonlyMap<string, Float32Array>;
}

/**
 * Applies one step of a recipe: change the representation of the chosen weights, train when the step says so, pack.
 *
 * @param model stays usable
 * @throws `signal.reason` when aborted; ERR_TERSOR_RECIPE for a representation that does not fit what a weight already is
 */
export async function applyStep(model: Model, planned: PlannedStep, context: StepContext): Promise<StepResult> {
  const { step, weights, retrain } = planned;
  const before = floats(model.weights, weights);
  const trainable = 'factorize' in step ? await factorized(model, weights, step.factorize, context) : model.trainable();
  try {
    const matrices = weights.flatMap((name) => trainable.matrices(name));
    const afterStep = 'prune' in step ? prune(matrices, step.prune) : undefined;
    if ('quantize' in step) quantize(matrices, step.quantize);
    if (retrain !== undefined) {
      await train(trainable, retrain, { ...context, afterStep });
    } else if ('quantize' in step && step.quantize.activations !== undefined) {
      await calibrate(trainable, trainingOf(context), { seed: context.seed, signal: context.signal });
    }
    const references = retrain === undefined ? before : unrounded(trainable, weights);
    return { model: trainable.pack(), references };
  } finally {
    trainable.dispose();
  }
}

type Matrices = ReturnType<TrainableModel['matrices']>;

/** Prunes at once, or returns the hook that prunes during training. */
function prune(matrices: Matrices, { sparsity, threshold, schedule }: PruneStep): FitOptions['afterStep'] {
  if (sparsity !== undefined && schedule !== undefined) return gradualPruning(matrices, { sparsity, ...schedule });
  pruneByMagnitude(matrices, sparsity === undefined ? { threshold: threshold ?? 0 } : { sparsity });
  return undefined;
}

function quantize(matrices: Matrices, step: QuantizeStep): void {
  const { bits, scheme, granularity, groupSize, activations } = step;
  const codes: QuantizationScheme = { bits, scheme, granularity, ...(groupSize === undefined ? {} : { groupSize }) };
  for (const matrix of matrices) {
    matrix.quantize(codes);
    if (activations !== undefined) matrix.quantizeInputs({ ...DEFAULT_OBSERVER, ...activations });
  }
}

async function factorized(
  model: Model,
  names: readonly string[],
  { rank, energy }: FactorizeStep,
  { signal }: StepContext,
): Promise<TrainableModel> {
  const weights = new Map<string, Weight>(model.weights);
  const factors: Weight[] = [];
  try {
    for (const name of names) {
      const weight = weights.get(name) as Weight;
      if (weight.kind !== 'dense') {
        throw new TersorError(
          'ERR_TERSOR_RECIPE',
          `expected a dense weight to factorize, got ${weight.representation}, at weight '${name}': factorize before other steps`,
        );
      }
      const target = rank === undefined ? { energy: energy ?? 1 } : { rank };
      const lowRank = await truncatedSvd(weight.dense(), target, { signal, name });
      factors.push(lowRank);
      weights.set(name, lowRank);
    }
    return new Model(model.architecture, weights).trainable();
  } finally {
    for (const factor of factors) factor.dispose();
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

function floats(weights: ReadonlyMap<string, Weight>, names: readonly string[]): Map<string, Float32Array> {
  return new Map(
    names.map((name) => [name, tidy(() => (weights.get(name) as Weight).dense().toArray() as Float32Array)]),
  );
}

function unrounded(model: TrainableModel, names: readonly string[]): Map<string, Float32Array> {
  return new Map(
    names.map((name) => [name, tidy(() => model.weights.get(name)?.unrounded().toArray() as Float32Array)]),
  );
}
