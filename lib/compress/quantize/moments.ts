import { TersorError } from '../../errors';
import type { Model } from '../../models';
import { native } from '../../native';
import { empty, keep, type Tensor, tidy, zeros } from '../../tensor';
import type { TrainingTask } from '../../train/task';
import type { LinearOperator } from '../../weights';
import type { CalibrateOptions } from './calibrate';

/**
 * Runs training examples through a model and sums XᵀX of the inputs that each named weight multiplies: what `gptq` and `sparseGpt` weigh errors by.
 *
 * @param names weights that the model multiplies by
 * @returns f32 [columns, columns] by name, divided by the number of inputs; the caller's
 * @throws ERR_TERSOR_INVALID_ARGUMENT for a weight that the model does not have or never multiplies by; `signal.reason` when aborted
 * @example
 * const data = { inputs: Float32Array.of(-1, 1), labels: Int32Array.of(0, 1), features: 1, classes: 2 }
 * const model = tersor.initialize(tersor.mlp([1, 8, 2])), name = 'layers.1.weight'
 * const moments = await tersor.inputMoments(model, [name], tersor.classificationTask(data))
 * console.log(moments.get(name).shape) // 8, 8
 */
export async function inputMoments(
  model: Model,
  names: readonly string[],
  task: TrainingTask,
  options: CalibrateOptions = {},
): Promise<Map<string, Tensor>> {
  const { batchSize = 128, batches = 16, seed = 0, signal } = options;
  const sums = new Map<string, Moments>();
  const source = (name: string): LinearOperator => {
    const weight = model.weights.get(name);
    if (weight === undefined) throw unknown(name);
    return names.includes(name) ? watched(weight, (x) => add(sums, name, x)) : weight;
  };
  try {
    for (const name of names) if (!model.weights.has(name)) throw unknown(name);
    const steps = Math.min(batches, task.stepsPerEpoch(batchSize));
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      tidy(() => {
        model.architecture.forward(source, [...task.batch(step, { batchSize, seed }).inputs]);
      });
      await new Promise(setImmediate);
    }
    return new Map(names.map((name) => [name, averaged(sums, name)]));
  } catch (error) {
    for (const { sum } of sums.values()) sum.dispose();
    throw error;
  }
}

interface Moments {
  readonly sum: Tensor;
  inputs: number;
}

/** The weight, with a look at what it multiplies. */
function watched(weight: LinearOperator, look: (x: Tensor) => void): LinearOperator {
  return {
    shape: weight.shape,
    matmul: (x, options) => {
      look(x);
      return weight.matmul(x, options);
    },
    gather: (ids) => weight.gather(ids),
    bag: (bags) => weight.bag(bags),
    dense: () => weight.dense(),
    dispose: () => weight.dispose(),
  };
}

function add(sums: Map<string, Moments>, name: string, x: Tensor): void {
  const [inputs, columns] = x.shape as readonly [number, number];
  const moments = sums.get(name) ?? { sum: keep(zeros([columns, columns])), inputs: 0 };
  sums.set(name, moments);
  moments.inputs += inputs;
  native.gram(x.handle, true, false, moments.sum.handle);
}

function averaged(sums: Map<string, Moments>, name: string): Tensor {
  const moments = sums.get(name);
  if (moments !== undefined && moments.inputs > 0) {
    const { sum, inputs } = moments;
    // The other half of the sums, which are symmetric.
    tidy(() => native.gram(empty([0, sum.shape[1] as number]).handle, true, true, sum.handle));
    native.scale(sum.handle, 1 / inputs, sum.handle);
    return moments.sum;
  }
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected a weight that the model multiplies inputs by, got none, at weight '${name}'`,
  );
}

function unknown(name: string): TersorError {
  return new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected a weight of the model, got '${name}'`);
}
