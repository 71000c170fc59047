/** A small problem, a small network, and what training made of it. */
import { createHash } from 'node:crypto';
import { gradualPruning, pruneByMagnitude } from '../../lib/compress';
import type { ClassificationData } from '../../lib/data/classification';
import { initialize, mlp, type TrainableModel } from '../../lib/models';
import { philox } from '../../lib/random';
import { tensor, tidy } from '../../lib/tensor';
import { type FitOptions, type TrainingTask, fit as train } from '../../lib/train';
import { DEFAULT_OBSERVER } from '../../lib/weights';

const FEATURES = 6;
const CLASSES = 3;

/** Points around one centre per class: a straight line tells any two classes apart. */
export function separable(count: number, seed: number): ClassificationData {
  const random = philox(seed);
  const labels = Int32Array.from({ length: count }, () => random.integer(CLASSES));
  const inputs = Float32Array.from({ length: count * FEATURES }, (_, i) => {
    const feature = i % FEATURES;
    const centre = feature % CLASSES === labels[Math.floor(i / FEATURES)] ? 1 : -1;
    return centre + 0.8 * (2 * random.uniform() - 1);
  });
  return { inputs, labels, features: FEATURES, classes: CLASSES };
}

/** An untrained network for {@link separable}. */
export function network(seed = 0): TrainableModel {
  const model = initialize(mlp([FEATURES, 16, CLASSES]), { seed });
  try {
    return model.trainable();
  } finally {
    model.dispose();
  }
}

/** Share of the examples whose label has the largest logit. */
export function accuracy(model: TrainableModel, { inputs, labels, features, classes }: ClassificationData): number {
  const logits = tidy(() => model.forward(tensor(inputs, [labels.length, features])).toArray() as Float32Array);
  const hits = labels.filter((label, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    return scores.every((score, k) => k === label || score < (scores[label] as number));
  });
  return hits.length / labels.length;
}

/** Text that is the same only for the same bits in every tensor of a model: weights, masks, input ranges. */
export function bitsOf(model: TrainableModel): string {
  const hash = createHash('sha256');
  for (const [name, t] of model.state()) hash.update(name).update(new Uint8Array(t.toArray().buffer));
  return hash.digest('hex');
}

/** Bits of a fresh network after training; `prepare` compresses it before and may return a hook. */
export async function trainedBits(
  task: TrainingTask,
  options: FitOptions,
  prepare: (model: TrainableModel) => FitOptions['afterStep'] = () => undefined,
): Promise<string> {
  const model = network();
  try {
    const afterStep = prepare(model);
    await train(model, task, { ...options, afterStep });
    return bitsOf(model);
  } finally {
    model.dispose();
  }
}

/** Masks that grow while the network trains, int8 codes for what is left, and observed uint8 inputs. */
export function compressGradually(model: TrainableModel): FitOptions['afterStep'] {
  const matrices = model.matrices('layers.0.weight');
  for (const matrix of matrices) {
    matrix.quantize({ bits: 8, scheme: 'symmetric', granularity: 'channel' });
    matrix.quantizeInputs(DEFAULT_OBSERVER);
  }
  return gradualPruning(matrices, { sparsity: 0.75, every: 4 });
}

/** uint8 inputs whose range a histogram gives. */
export function observeHistogram(model: TrainableModel): undefined {
  for (const matrix of model.matrices('layers.0.weight')) {
    matrix.quantize({ bits: 8, scheme: 'symmetric', granularity: 'channel' });
    matrix.quantizeInputs({ observer: 'histogram' });
  }
}

/** Half of each matrix removed at once. */
export function pruneHalf(model: TrainableModel): undefined {
  pruneByMagnitude(matricesOf(model), { sparsity: 0.5 });
}

/** The weight matrices of the network, without biases. */
export function matricesOf(model: TrainableModel) {
  return model.matrices().filter(({ shape }) => shape.length === 2);
}
