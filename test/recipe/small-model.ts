/** A small classifier, its data and a recipe for it, which run in milliseconds. */
import { type ClassificationData, selectExamples } from '../../lib/data/classification';
import type { LatencyOptions } from '../../lib/evaluate/latency';
import { classificationProtocol } from '../../lib/evaluate/protocol';
import { initialize, type Model, mlp } from '../../lib/models';
import { philox } from '../../lib/random';
import { validateRecipe } from '../../lib/recipe/parse';
import { type RunOptions, type RunResult, runRecipe } from '../../lib/recipe/runner';
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

const RETRAIN = { epochs: 2, batchSize: 20, learningRate: 5e-3, distill: {} };

/** Two steps of 20 batches each. An epoch's 10 batches, after which training saves its state, are no multiple of the masks' 3. */
export const SMALL_RECIPE = validateRecipe({
  recipe: 1,
  seed: 40,
  steps: [
    {
      prune: {
        weights: ['layers.0.weight', 'layers.1.weight'],
        sparsity: 0.7,
        schedule: { kind: 'cubic', every: 3, end: 0.8 },
        retrain: RETRAIN,
      },
    },
    { quantize: { weights: ['*'], bits: 8, activations: { bits: 8 }, retrain: RETRAIN } },
  ],
});

/** Runs a recipe, by default the one above, on the small data. */
export function smallRun(model: Model, options: RunOptions = {}, recipe = SMALL_RECIPE): Promise<RunResult> {
  const { train, test } = smallData();
  const training = classificationTask(train);
  return runRecipe(model, recipe, { training, protocol: classificationProtocol(test), latency: QUICK, ...options });
}

/** A task that tells of every batch before it is made; by default the one of the small data. */
export function watched(
  onBatch: (step: number, seed: number) => void,
  task: TrainingTask = classificationTask(smallData().train),
): TrainingTask {
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
