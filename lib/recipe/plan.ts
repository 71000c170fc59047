import { TersorError } from '../errors';
import type { Model } from '../models';
import { matchWeights } from './match';
import { calibrates, type PlannedWeight, plannedWeight, planWeight } from './planned-weight';
import type { Recipe, Retrain, Step } from './schema';

/** A step with the weights it acts on. */
export interface PlannedStep {
  readonly step: Step;
  /** Short text for tables: 'prune 80 %'. */
  readonly label: string;
  /** Names in the model's order; empty for a step that only trains. */
  readonly weights: readonly string[];
  readonly retrain: Retrain | undefined;
}

/** A variant with its steps resolved against a model. */
export interface PlannedVariant {
  readonly name: string;
  readonly steps: readonly PlannedStep[];
}

/**
 * Resolves a recipe against a model and finds what cannot work before any time is spent.
 *
 * @param options.training whether there is training data
 * @throws ERR_TERSOR_RECIPE, naming step and weight, when a pattern selects nothing or a bias, a representation does not fit what
 *   a weight is by then, a rank is too high, or training data is needed and missing
 */
export function planRecipe(
  recipe: Recipe,
  model: Pick<Model, 'architecture' | 'weights'>,
  { training }: { readonly training: boolean },
): PlannedVariant[] {
  const compressible = new Map<string, PlannedWeight>();
  for (const { name, role } of model.architecture.weights) {
    const weight = model.weights.get(name);
    if (role !== 'bias' && weight !== undefined) compressible.set(name, plannedWeight(role, weight));
  }
  return recipe.variants.map(({ name, steps }) => {
    const weights = new Map(compressible);
    const planned = steps.map((step, i) => planStep(step, weights, training, `step ${i + 1} of variant '${name}'`));
    return { name, steps: numberRepeats(planned) };
  });
}

/** @param weights as the steps before leave them; replaced by what this step makes of them */
function planStep(step: Step, weights: Map<string, PlannedWeight>, training: boolean, where: string): PlannedStep {
  const { label, patterns, retrain, needsData } = outline(step);
  if (needsData && !training) {
    throw new TersorError(
      'ERR_TERSOR_RECIPE',
      `expected training data for a step that trains or calibrates, got none, at ${where}`,
    );
  }
  const names = patterns === null ? [] : matchWeights(patterns, [...weights.keys()], where);
  for (const name of names) {
    const weight = weights.get(name) as PlannedWeight;
    weights.set(
      name,
      at(`weight '${name}' in ${where}`, () => planWeight(weight, step)),
    );
  }
  return { step, label, weights: names, retrain };
}

function at<R>(where: string, plan: () => R): R {
  try {
    return plan();
  } catch (cause) {
    if (!(cause instanceof TersorError)) throw cause;
    throw new TersorError('ERR_TERSOR_RECIPE', `${cause.message}, at ${where}`, { cause });
  }
}

/** Tells steps with the same label apart: 'retrain', 'retrain (2)'. */
function numberRepeats(steps: readonly PlannedStep[]): PlannedStep[] {
  return steps.map((planned, i) => {
    const before = steps.slice(0, i).filter(({ label }) => label === planned.label).length;
    return before === 0 ? planned : { ...planned, label: `${planned.label} (${before + 1})` };
  });
}

function outline(step: Step) {
  if ('prune' in step) {
    const { weights: patterns, method, sparsity, threshold, pattern, blocks, retrain } = step.prune;
    const how = `prune ${pattern ?? (sparsity === undefined ? `at ${threshold}` : percent(sparsity))}${blocks === undefined ? '' : ` in ${blocks}`}`;
    const byOutputs = method === 'sparsegpt';
    return {
      label: byOutputs ? `${how} sparsegpt` : how,
      patterns,
      retrain,
      needsData: retrain !== undefined || byOutputs,
    };
  }
  if ('quantize' in step) {
    const { weights: patterns, method, bits, scheme, correction, retrain } = step.quantize;
    const codes = scheme === 'nf4' ? 'nf4' : scheme === 'kmeans' ? `kmeans ${2 ** bits}` : `int${bits}`;
    const rounded = method === 'gptq' ? `${codes} gptq` : codes;
    const label = correction === undefined ? rounded : `${rounded} + ${lowRankLabel(correction)}`;
    const needsData = retrain !== undefined || calibrates(step.quantize) || method === 'gptq';
    return { label, patterns, retrain, needsData };
  }
  if ('factorize' in step) {
    const { weights: patterns, rank, energy, retrain } = step.factorize;
    return { label: `svd ${lowRankLabel({ rank, energy })}`, patterns, retrain, needsData: retrain !== undefined };
  }
  if ('productQuantize' in step) {
    const { weights: patterns, subspaces, bits, retrain } = step.productQuantize;
    return { label: `product ${subspaces} x int${bits}`, patterns, retrain, needsData: retrain !== undefined };
  }
  return { label: 'retrain', patterns: null, retrain: step.retrain, needsData: true };
}

function lowRankLabel({ rank, energy }: { rank?: number | undefined; energy?: number | undefined }): string {
  return rank === undefined ? `${percent(energy ?? 1)} energy` : `rank ${rank}`;
}

function percent(fraction: number): string {
  return `${+(100 * fraction).toPrecision(4)} %`;
}
