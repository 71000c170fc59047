/** What a weight will be after each step of a recipe: the rules of which representations go together, judged before any work. */
import { largestRank } from '../compress/factorize/svd';
import { TersorError } from '../errors';
import type { WeightRole } from '../models';
import { LowRank, type QuantizationScheme, Sum, type Weight } from '../weights';
import { assertPackable, type Compression } from '../weights/trainable';
import type { FactorizeStep, ProductQuantizeStep, QuantizationCorrection, QuantizeStep, Step } from './schema';

/** A weight as the steps so far leave it. */
export interface PlannedWeight {
  readonly role: WeightRole;
  readonly shape: readonly number[];
  /** The weight itself, or those that it is made of; none of product codes. */
  readonly matrices: readonly PlannedMatrix[];
  /** How they make it up, when there are several. */
  readonly made?: 'low-rank' | 'sum' | 'product-quantized';
}

interface PlannedMatrix extends Compression {
  readonly shape: readonly number[];
}

/** Starts from what a weight is. */
export function plannedWeight(role: WeightRole, weight: Weight): PlannedWeight {
  const { kind, shape } = weight;
  const matrices = matricesOf(weight);
  return kind === 'low-rank' || kind === 'sum' || kind === 'product-quantized'
    ? { role, shape, matrices, made: kind }
    : { role, shape, matrices };
}

/**
 * The weight after a step that names it.
 *
 * @throws ERR_TERSOR_UNSUPPORTED or ERR_TERSOR_OUT_OF_RANGE when the step cannot be applied to what the weight is by then
 */
export function planWeight(weight: PlannedWeight, step: Step): PlannedWeight {
  if (kindOf(weight) === 'product-quantized' && !('retrain' in step)) {
    throw new TersorError('ERR_TERSOR_UNSUPPORTED', 'expected only retrain after productQuantize, got another step');
  }
  if ('prune' in step) {
    if (step.prune.method === 'sparsegpt') assertMultiplied(weight, 'sparsegpt');
    return changed(weight, { masked: true });
  }
  if ('quantize' in step) return quantized(weight, step.quantize);
  if ('factorize' in step) return factorized(weight, step.factorize);
  if ('productQuantize' in step) return productQuantized(weight, step.productQuantize);
  return weight;
}

/** The codes that a step asks for. */
export function schemeOf({ bits, scheme, granularity, groupSize }: QuantizeStep): QuantizationScheme {
  return { bits, scheme, granularity, ...(groupSize === undefined ? {} : { groupSize }) };
}

/** Whether the ranges of the inputs have to be observed before the model can run. */
export function calibrates({ activations }: QuantizeStep): boolean {
  return activations !== undefined && activations.observer !== 'dynamic';
}

function changed(weight: PlannedWeight, change: Partial<Compression>): PlannedWeight {
  const matrices = weight.matrices.map((matrix) => ({ ...matrix, ...change }));
  for (const matrix of matrices) assertPackable(matrix.shape, matrix);
  return { ...weight, matrices };
}

function quantized(weight: PlannedWeight, step: QuantizeStep): PlannedWeight {
  const scheme = schemeOf(step);
  if (step.method === 'gptq') assertMultiplied(weight, 'gptq');
  if (step.correction !== undefined) return corrected(quantized(weight, withoutCorrection(step)), step.correction);
  if (step.activations === undefined) return changed(weight, { scheme });
  if (weight.role === 'embedding') {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      'expected no activations beside an embedding table, whose rows are looked up, not multiplied; got activations',
    );
  }
  return changed(weight, { scheme, inputs: true });
}

function withoutCorrection({ correction: _, ...step }: QuantizeStep): QuantizeStep {
  return step;
}

/** The weight with factors of what rounding took from it. */
function corrected(weight: PlannedWeight, { rank }: QuantizationCorrection): PlannedWeight {
  if (weight.made !== undefined) {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      `expected a weight that is no product or sum to correct, got a ${weight.made} one`,
    );
  }
  return { ...weight, matrices: [...weight.matrices, ...factorsOf(weight.shape, rank)], made: 'sum' };
}

/** @throws ERR_TERSOR_UNSUPPORTED unless it is a dense weight that inputs are multiplied by */
function assertMultiplied(weight: PlannedWeight, method: string): void {
  const { role } = weight;
  const kind = kindOf(weight);
  if (role === 'matmul' && kind === 'dense') return;
  throw new TersorError(
    'ERR_TERSOR_UNSUPPORTED',
    `expected a dense weight that inputs are multiplied by for method ${method}, got ${role === 'matmul' ? `a ${kind} one` : 'an embedding table'}`,
  );
}

function factorized(weight: PlannedWeight, { rank }: FactorizeStep): PlannedWeight {
  const { role, shape } = weight;
  const kind = kindOf(weight);
  if (kind !== 'dense') {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      `expected a dense weight to factorize, got a ${kind} one: factorize before other steps`,
    );
  }
  return { role, shape, matrices: factorsOf(shape, rank), made: 'low-rank' };
}

/** @throws ERR_TERSOR_OUT_OF_RANGE for a rank that saves nothing, and a matrix too small for any */
function factorsOf(shape: readonly number[], rank: number | undefined): PlannedMatrix[] {
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
  return [dense([rows, inner]), dense([inner, columns])];
}

function productQuantized(weight: PlannedWeight, { subspaces }: ProductQuantizeStep): PlannedWeight {
  const { role, shape } = weight;
  const kind = kindOf(weight);
  if (role !== 'embedding' || kind !== 'dense') {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      `expected a dense embedding table to quantize by products, got ${role === 'embedding' ? `a ${kind} one` : 'a weight that inputs are multiplied by'}`,
    );
  }
  const [rows, columns] = shape as readonly [number, number];
  if (columns % subspaces !== 0 || rows === 0) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected subspaces that divide ${columns} columns of a table with rows, got ${subspaces} for [${rows}, ${columns}]`,
    );
  }
  return { role, shape, matrices: [], made: 'product-quantized' };
}

function kindOf({ matrices, made }: PlannedWeight): Weight['kind'] {
  if (made !== undefined) return made;
  if (matrices.some(({ masked }) => masked)) return 'sparse';
  return matrices.some(({ scheme }) => scheme !== null) ? 'quantized' : 'dense';
}

function dense(shape: readonly number[]): PlannedMatrix {
  return { shape, masked: false, scheme: null, inputs: false };
}

function matricesOf(weight: Weight): PlannedMatrix[] {
  if (weight instanceof LowRank) return [weight.left, weight.right].flatMap(matricesOf);
  if (weight instanceof Sum) return [weight.weight, weight.correction].flatMap(matricesOf);
  if (weight.kind === 'product-quantized') return [];
  if (weight.kind === 'dense') return [dense(weight.shape)];
  const { descriptor } = weight.store();
  const { scheme, input } = descriptor !== null && 'scheme' in descriptor ? descriptor : {};
  const masked = ['sparse', 'semi-structured', 'block-sparse'].includes(weight.kind);
  return [{ shape: weight.shape, masked, scheme: scheme ?? null, inputs: input !== undefined }];
}
