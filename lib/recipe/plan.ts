import { TersorError } from '../errors';
import type { Architecture } from '../models';
import { matchWeights } from './match';
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
 * @throws ERR_TERSOR_RECIPE when a pattern selects nothing or a bias, a rank is too high, or training data is needed and missing
 */
export function planRecipe(
  recipe: Recipe,
  architecture: Architecture,
  { training }: { training: boolean },
): PlannedVariant[] {
  const matrices = architecture.weights.filter(({ role }) => role !== 'bias');
  const plan = (step: Step, where: string): PlannedStep => {
    const planned = describe(step);
    const weights =
      planned.patterns === null
        ? []
        : matchWeights(
            planned.patterns,
            matrices.map(({ name }) => name),
            where,
          );
    if ('factorize' in step)
      checkRank(
        step.factorize.rank,
        matrices.filter(({ name }) => weights.includes(name)),
        where,
      );
    if (planned.needsData && !training) {
      throw new TersorError(
        'ERR_TERSOR_RECIPE',
        `expected training data for a step that trains or calibrates, got none, at ${where}`,
      );
    }
    return { step, label: planned.label, weights, retrain: planned.retrain };
  };
  return recipe.variants.map(({ name, steps }) => ({
    name,
    steps: numberRepeats(steps.map((step, i) => plan(step, `step ${i + 1} of variant '${name}'`))),
  }));
}

/** Tells steps with the same label apart: 'retrain', 'retrain (2)'. */
function numberRepeats(steps: readonly PlannedStep[]): PlannedStep[] {
  return steps.map((planned, i) => {
    const before = steps.slice(0, i).filter(({ label }) => label === planned.label).length;
    return before === 0 ? planned : { ...planned, label: `${planned.label} (${before + 1})` };
  });
}

function describe(step: Step) {
  if ('prune' in step) {
    const { weights: patterns, sparsity, threshold, retrain } = step.prune;
    const label = sparsity === undefined ? `prune at ${threshold}` : `prune ${+(100 * sparsity).toFixed(2)} %`;
    return { label, patterns, retrain, needsData: retrain !== undefined };
  }
  if ('quantize' in step) {
    const { weights: patterns, bits, activations, retrain } = step.quantize;
    return { label: `int${bits}`, patterns, retrain, needsData: retrain !== undefined || activations !== undefined };
  }
  if ('factorize' in step) {
    const { weights: patterns, rank, energy, retrain } = step.factorize;
    const label = rank === undefined ? `svd ${+(100 * (energy ?? 1)).toFixed(2)} % energy` : `svd rank ${rank}`;
    return { label, patterns, retrain, needsData: retrain !== undefined };
  }
  return { label: 'retrain', patterns: null, retrain: step.retrain, needsData: true };
}

function checkRank(
  rank: number | undefined,
  specs: readonly { name: string; shape: readonly number[] }[],
  where: string,
): void {
  for (const { name, shape } of specs) {
    const [rows = 0, columns = 0] = shape;
    const limit = (rows * columns) / (rows + columns);
    if (rank === undefined || rank < limit) continue;
    throw new TersorError(
      'ERR_TERSOR_RECIPE',
      `expected a rank below ${+limit.toFixed(1)}, from which on the factors of '${name}' [${rows}, ${columns}] are no smaller, got ${rank}, at ${where}`,
    );
  }
}
