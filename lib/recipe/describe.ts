import type {
  FactorizeStep,
  ProductQuantizeStep,
  PruneStep,
  QuantizationCorrection,
  QuantizeStep,
  Recipe,
  Retrain,
  Step,
} from './schema';

/**
 * Says in plain English what a recipe does, one line for each step; with several variants, each is headed by its name.
 *
 * @example
 * describeRecipe(validateRecipe({ recipe: 1, steps: [{ prune: { weights: ['*'], sparsity: 0.8 } }] }));
 * // ['1. Prune *: remove the 80 % of smallest magnitude, at once.']
 */
export function describeRecipe(recipe: Recipe): string[] {
  const alone = recipe.variants.length === 1;
  return recipe.variants.flatMap(({ name, steps }) => [
    ...(alone ? [] : [`${name}:`]),
    ...steps.map((step, i) => `${alone ? '' : '  '}${i + 1}. ${describeStep(step)}.`),
  ]);
}

/** One step as a sentence without its full stop. */
export function describeStep(step: Step): string {
  if ('prune' in step) return describePrune(step.prune);
  if ('quantize' in step) return describeQuantize(step.quantize);
  if ('productQuantize' in step) return describeProductQuantize(step.productQuantize);
  if ('factorize' in step) return describeFactorize(step.factorize);
  return `Retrain: ${describeRetrain(step.retrain)}`;
}

function describePrune({
  weights,
  method,
  sparsity,
  threshold,
  pattern,
  blocks,
  schedule,
  retrain,
}: PruneStep): string {
  if (method === 'sparsegpt') {
    return `Prune ${weights.join(', ')} by SparseGPT: remove ${percent(sparsity ?? 0)}, the rest makes up for it`;
  }
  const what =
    pattern !== undefined
      ? `all but the largest elements of every group (${pattern})`
      : sparsity === undefined
        ? `every element of magnitude up to ${threshold}`
        : `the ${percent(sparsity)} of ${blocks === undefined ? 'smallest magnitude' : `${blocks} blocks of smallest norm`}`;
  const when = schedule
    ? `in steps of ${schedule.every} batches over the first ${percent(schedule.end)} of the retraining (${schedule.kind})`
    : 'at once';
  return `Prune ${weights.join(', ')}: remove ${what}, ${when}${retrain ? `; retrain the rest for ${describeRetrain(retrain)}` : ''}`;
}

function describeQuantize({
  weights,
  method,
  bits,
  scheme,
  granularity,
  groupSize,
  activations,
  correction,
  retrain,
}: QuantizeStep): string {
  const scope = granularity === 'group' ? `group of ${groupSize}` : granularity;
  const observer = activations?.percentile ? `percentile ${activations.percentile}` : activations?.observer;
  const inputs = activations ? `, inputs to ${plural(activations.bits, 'bit')} (${observer})` : '';
  const how = retrain ? `; retrain with the rounding for ${describeRetrain(retrain)}` : ', after training';
  const rounding = method === 'gptq' ? ' by GPTQ' : '';
  return `Quantize ${weights.join(', ')}${rounding} to ${plural(bits, 'bit')}, ${codesOf(scheme)}, one scale per ${scope}${inputs}${how}${correction ? describeCorrection(correction) : ''}`;
}

function codesOf(scheme: QuantizeStep['scheme']): string {
  if (scheme === 'nf4') return 'the values of NF4';
  return scheme === 'kmeans' ? 'values learned by k-means' : scheme;
}

function describeFactorize({ weights, method, rank, energy, retrain }: FactorizeStep): string {
  const size = rank === undefined ? `the rank that keeps ${percent(energy ?? 1)} of the energy` : `rank ${rank}`;
  return `Factorize ${weights.join(', ')} by ${method.toUpperCase()} to ${size}${retrain ? `; retrain the factors for ${describeRetrain(retrain)}` : ''}`;
}

function describeCorrection({ rank, energy }: QuantizationCorrection): string {
  const size = rank === undefined ? `the rank that holds ${percent(energy ?? 1)} of its energy` : `rank ${rank}`;
  return `; add the error by SVD to ${size}`;
}

function describeProductQuantize({ weights, subspaces, bits, retrain }: ProductQuantizeStep): string {
  const codes = `${plural(subspaces, 'product code')} a row of ${plural(bits, 'bit')} each`;
  const how = retrain ? `; retrain with the rounding for ${describeRetrain(retrain)}` : ', after training';
  return `Quantize ${weights.join(', ')} to ${codes}, centroids by k-means${how}`;
}

function describeRetrain(retrain: Retrain): string {
  const { epochs, batchSize, optimizer, learningRate, lrSchedule, warmupSteps, distill } = retrain;
  const schedule =
    warmupSteps === undefined ? lrSchedule : `${lrSchedule} after ${plural(warmupSteps, 'step')} of warm-up`;
  const teacher = distill
    ? `, taught by the original model (temperature ${distill.temperature}, alpha ${distill.alpha})`
    : '';
  return `${plural(epochs, 'epoch')} of ${optimizer}, batches of ${batchSize}, learning rate ${learningRate} (${schedule})${teacher}`;
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(4))} %`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
