/** A small classifier and its data, which train in milliseconds. */
import { type ClassificationData, selectExamples } from '../../lib/data/classification';
import type { LatencyOptions } from '../../lib/evaluate/latency';
import { initialize, type Model, mlp } from '../../lib/models';
import { philox } from '../../lib/random';
import { classificationTask, fit, type TrainingTask } from '../../lib/train';

const FEATURES = 12;
const CLASSES = 3;

/** Too short to say anything about speed, which is not what these tests are about. */
export const QUICK: LatencyOptions = { warmup: 0, minSamples: 1, minMs: 0 };

/** Points around one centre for each class, wide enough to overlap. */
export function points(count: number, seed = 1): ClassificationData {
  const random = philox(seed);
  const centres = Float32Array.from({ length: CLASSES * FEATURES }, () => random.uniform());
  const labels = Int32Array.from({ length: count }, () => random.integer(CLASSES));
  const inputs = Float32Array.from({ length: count * FEATURES }, (_, i) => {
    const label = labels[Math.floor(i / FEATURES)] as number;
    return (centres[label * FEATURES + (i % FEATURES)] as number) + 2 * random.uniform() - 1;
  });
  return { inputs, labels, features: FEATURES, classes: CLASSES };
}

/** 200 points to train on and 300 to test on. */
export function smallData(): { train: ClassificationData; test: ClassificationData } {
  const all = points(500);
  const range = (begin: number, end: number) => Int32Array.from({ length: end - begin }, (_, i) => begin + i);
  return { train: selectExamples(all, range(0, 200)), test: selectExamples(all, range(200, 500)) };
}

/** A perceptron 12-16-8-3 that has learned a little. */
export async function smallModel(): Promise<Model> {
  const fresh = initialize(mlp([FEATURES, 16, 8, CLASSES]), { seed: 3 });
  const model = fresh.trainable();
  fresh.dispose();
  try {
    await fit(model, classificationTask(smallData().train), { epochs: 3, learningRate: 0.01 });
    return model.pack();
  } finally {
    model.dispose();
  }
}

/** A task that tells of every batch before it is made. */
export function watched(task: TrainingTask, onBatch: (step: number, seed: number) => void): TrainingTask {
  return {
    ...task,
    batch(step, options) {
      onBatch(step, options.seed);
      return task.batch(step, options);
    },
  };
}

/** The error that a promise is rejected with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection, got none');
}
