/** What a weight will be after each step of a recipe: the rules of which representations go together, judged before any work. */
import { largestRank } from '../compress/factorize/svd';
import { TersorError } from '../errors';
import type { WeightRole } from '../models';
import { LowRank, type QuantizationScheme, type Weight } from '../weights';
import { assertIntegerProduct, assertIntegerScheme } from '../weights/scheme';
import type { FactorizeStep, QuantizeStep, Step } from './schema';

/** A weight as the steps so far leave it. */
export interface PlannedWeight {
  readonly role: WeightRole;
  readonly shape: readonly number[];
  /** The weight itself, or its two factors. */
  readonly matrices: readonly PlannedMatrix[];
}

interface PlannedMatrix {
  readonly shape: readonly number[];
  readonly sparse: boolean;
  readonly scheme: QuantizationScheme | null;
  /** Its inputs are quantized. */
  readonly integer: boolean;
}

/** Starts from what a weight is. */
export function plannedWeight(role: WeightRole, weight: Weight): PlannedWeight {
  return { role, shape: weight.shape, matrices: matricesOf(weight) };
}

/**
 * The weight after a step that names it.
 *
 * @throws ERR_TERSOR_UNSUPPORTED or ERR_TERSOR_OUT_OF_RANGE when the step cannot be applied to what the weight is by then
 */
export function planWeight(weight: PlannedWeight, step: Step): PlannedWeight {
  if ('prune' in step) return { ...weight, matrices: weight.matrices.map(pruned) };
  if ('quantize' in step) return quantized(weight, step.quantize);
  if ('factorize' in step) return factorized(weight, step.factorize);
  return weight;
}

/** The codes that a step asks for. */
export function schemeOf({ bits, scheme, granularity, groupSize }: QuantizeStep): QuantizationScheme {
  return { bits, scheme, granularity, ...(groupSize === undefined ? {} : { groupSize }) };
}

function pruned(matrix: PlannedMatrix): PlannedMatrix {
  if (matrix.scheme !== null) assertIntegerScheme(matrix.scheme, 'a sparse weight');
  return { ...matrix, sparse: true };
}

function quantized(weight: PlannedWeight, step: QuantizeStep): PlannedWeight {
  if (step.activations !== undefined && weight.role === 'embedding') {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      'expected no activations beside an embedding table, whose rows are looked up, not multiplied; got activations',
    );
  }
  const scheme = schemeOf(step);
  const matrices = weight.matrices.map((matrix) => {
    const integer = matrix.integer || step.activations !== undefined;
    if (matrix.sparse) assertIntegerScheme(scheme, 'a sparse weight');
    if (integer) assertIntegerProduct(scheme, matrix.shape);
    return { ...matrix, scheme, integer };
  });
  return { ...weight, matrices };
}

function factorized({ role, shape, matrices }: PlannedWeight, { rank }: FactorizeStep): PlannedWeight {
  const already = matrices.length > 1 ? 'low-rank' : matrices.some(({ sparse }) => sparse) ? 'sparse' : 'quantized';
  if (matrices.length > 1 || matrices.some(({ sparse, scheme }) => sparse || scheme !== null)) {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      `expected a dense weight to factorize, got a ${already} one: factorize before other steps`,
    );
  }
  const [rows, columns] = shape as readonly [number, number];
  const limit = largestRank(rows, columns);
  if ((rank ?? 1) > limit) {
    const expected = limit === 0 ? 'a larger matrix' : `a rank of at most ${limit}`;
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected ${expected}, above which the factors of [${rows}, ${columns}] are no smaller, got ${rank === undefined ? 'this one' : `rank ${rank}`}`,
    );
  }
  // How many an energy keeps is known only later; at least 1.
  const inner = rank ?? 1;
  return { role, shape, matrices: [dense([rows, inner]), dense([inner, columns])] };
}

function dense(shape: readonly number[]): PlannedMatrix {
  return { shape, sparse: false, scheme: null, integer: false };
}

function matricesOf(weight: Weight): PlannedMatrix[] {
  if (weight instanceof LowRank) return [weight.left, weight.right].flatMap(matricesOf);
  if (weight.kind === 'dense') return [dense(weight.shape)];
  const { descriptor } = weight.store();
  const { scheme, input } = descriptor === null || descriptor.kind === 'low-rank' ? {} : descriptor;
  return [
    { shape: weight.shape, sparse: weight.kind === 'sparse', scheme: scheme ?? null, integer: input !== undefined },
  ];
}
