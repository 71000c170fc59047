/** Labelled examples in memory, and their checks. */
import { TersorError } from '../errors';

/** Examples with one class each. */
export interface ClassificationData {
  /** [n, features], row-major. */
  readonly inputs: Float32Array;
  /** [n], each 0..classes−1. */
  readonly labels: Int32Array;
  readonly features: number;
  readonly classes: number;
}

/** A training and a test part with the same features and classes. */
export interface ClassificationSets {
  readonly train: ClassificationData;
  readonly test: ClassificationData;
}

/**
 * Refuses data that cannot be trained on or scored: no examples, lengths that do not fit, a label out of range, NaN or infinity.
 *
 * @param data - The examples.
 * @param where - How an error names the data, such as `digits.safetensors: train`.
 * @returns the same data
 * @throws TersorError ERR_TERSOR_DATA, with the first offending row
 *
 * @example
 * checkClassification({ inputs: new Float32Array([0, 1]), labels: new Int32Array([0]), features: 2, classes: 1 }, 'toy');
 */
export function checkClassification(data: ClassificationData, where: string): ClassificationData {
  const { inputs, labels, features, classes } = data;
  if (!Number.isInteger(features) || features < 1) fail('at least 1 feature', features, where);
  if (!Number.isInteger(classes) || classes < 1) fail('at least 1 class', classes, where);
  if (labels.length === 0) fail('at least 1 example', 0, where);
  if (inputs.length !== labels.length * features) {
    fail(`${labels.length * features} inputs (${labels.length} labels x ${features} features)`, inputs.length, where);
  }
  for (const [row, label] of labels.entries()) {
    if (label < 0 || label >= classes) fail(`a label in 0..${classes - 1}`, label, `${where}.labels[${row}]`);
  }
  const index = inputs.findIndex((value) => !Number.isFinite(value));
  if (index >= 0) {
    fail('a finite input', inputs[index], `${where}.inputs[${Math.floor(index / features)}, ${index % features}]`);
  }
  return data;
}

/**
 * Copies the examples at `indices`, in that order; an index may come more than once.
 *
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an index outside 0..n−1
 *
 * @example
 * const digits = { inputs: new Float32Array(3 * 784), labels: new Int32Array(3), features: 784, classes: 10 };
 * const batch = selectExamples(digits, [2, 0]); // inputs [2, 784]
 */
export function selectExamples(data: ClassificationData, indices: ArrayLike<number>): ClassificationData {
  const { features, classes } = data;
  const inputs = new Float32Array(indices.length * features);
  const labels = new Int32Array(indices.length);
  for (let row = 0; row < indices.length; row++) {
    const index = indices[row] as number;
    const label = data.labels[index];
    if (label === undefined) {
      throw new TersorError(
        'ERR_TERSOR_OUT_OF_RANGE',
        `expected an index in 0..${data.labels.length - 1}, got ${index}, at indices[${row}]`,
      );
    }
    labels[row] = label;
    inputs.set(data.inputs.subarray(index * features, (index + 1) * features), row * features);
  }
  return { inputs, labels, features, classes };
}

function fail(expected: string, got: unknown, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${String(got)}, at ${where}`);
}
