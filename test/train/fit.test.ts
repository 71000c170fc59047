import { expect } from 'chai';
import { crossEntropy, scale, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { gradualPruning } from '../../lib/compress';
import { selectExamples } from '../../lib/data/classification';
import { TersorError } from '../../lib/errors';
import { initialize, mlp } from '../../lib/models';
import { memory, setThreads, tensor, threads, tidy } from '../../lib/tensor';
import {
  adam,
  classificationTask,
  type FitOptions,
  type FitProgress,
  type TrainingTask,
  fit as train,
} from '../../lib/train';
import { DEFAULT_OBSERVER } from '../../lib/weights';
import { rejectionOf } from '../support/rejection';
import { expectNoLeaks } from '../tensor/leaks';
import { accuracy, bitsOf, compressGradually, matricesOf, network, pruneHalf, separable, trainedBits } from './toy';

const data = separable(200, 1);
const task = classificationTask(data);

/** The task with the inputs of one step spoiled. */
function spoiled(step: number, value: number): TrainingTask {
  return {
    ...task,
    batch(at, options) {
      const batch = task.batch(at, options);
      const [x] = batch.inputs;
      if (at === step) x?.write((x.toArray() as Float32Array).fill(value, 0, 1));
      return batch;
    },
  };
}

describe('fit', () => {
  expectNoLeaks();

  it('learns a separable problem with every optimizer, and says how well', async () => {
    for (const options of [
      { epochs: 12, learningRate: 1e-2 },
      { epochs: 12, learningRate: 0.1, optimizer: 'sgd', momentum: 0.9, lrSchedule: 'constant' },
      { epochs: 12, learningRate: 1e-2, optimizer: 'adamw', weightDecay: 0.01, lrSchedule: 'linear', warmupSteps: 10 },
      { epochs: 12, learningRate: 0.1, optimizer: 'adagrad', lrSchedule: { step: { every: 30, factor: 0.5 } } },
      { epochs: 12, learningRate: 1e-2, optimizer: 'rmsprop' },
      { epochs: 12, learningRate: 0.1, optimizer: 'lamb' },
    ] as const) {
      const model = network();
      const { loss, steps } = await train(model, task, options);
      expect(steps).to.equal(12 * 7);
      expect(loss).to.be.below(0.05);
      expect(accuracy(model, separable(500, 2))).to.be.at.least(0.99);
      model.dispose();
    }
  });

  it('gives the same bits for two runs and for 1, 2 and 3 threads, and other bits for another seed', async () => {
    const before = threads();
    // Large enough for its kernels to share work.
    const wide = separableWide();
    const run = async (seed: number) => {
      const start = initialize(mlp([96, 160, 3]));
      const model = start.trainable();
      start.dispose();
      const afterStep = gradualPruning(model.matrices('layers.0.weight'), { sparsity: 0.5, every: 2 });
      await train(model, wide, { epochs: 1, batchSize: 200, seed, afterStep });
      const bits = bitsOf(model);
      model.dispose();
      return bits;
    };
    try {
      const bits: string[] = [];
      for (const count of [1, 2, 3, 1]) {
        setThreads(count);
        bits.push(await run(0));
      }
      expect(new Set(bits)).to.have.property('size', 1);
      expect(await run(1)).not.to.equal(bits[0]);
    } finally {
      setThreads(before);
    }
  });

  it('gives the same bits for runs side by side as for runs one after the other', async () => {
    const runs = [{ seed: 0 }, { seed: 1 }].map((options) => ({ ...options, epochs: 40 }));
    const together = await Promise.all(runs.map((options) => trainedBits(task, options, compressGradually)));
    for (const [i, options] of runs.entries()) {
      expect(await trainedBits(task, options, compressGradually)).to.equal(together[i]);
    }
  });

  it('shows every example once an epoch, in batches that depend on step, batch size and seed alone', async () => {
    const calls: unknown[] = [];
    const watched: TrainingTask = {
      ...task,
      batch(step, options) {
        const batch = task.batch(step, options);
        calls.push([step, options, batch.targets.size]);
        return batch;
      },
    };
    await trainedBits(watched, { epochs: 2, batchSize: 90, seed: 5 });
    const sizes = [90, 90, 20, 90, 90, 20];
    expect(calls).to.deep.equal(sizes.map((size, step) => [step, { batchSize: 90, seed: 5 }, size]));
  });

  it('does, bit for bit, what a plain loop does: schedule, gradients, optimizer', async () => {
    const options = { epochs: 2, batchSize: 50, learningRate: 0.02, weightDecay: 0.01, seed: 3 };
    const model = network();
    const parameters = model.parameters();
    const optimizer = adam(parameters, { weightDecay: options.weightDecay });
    for (let step = 0; step < 8; step++) {
      tidy(() => {
        const { inputs, targets } = task.batch(step, options);
        const loss = () => crossEntropy(model.forward(...inputs), targets);
        const { gradients } = valueAndGradients(loss, parameters);
        // The cosine schedule over 8 steps.
        optimizer.update(gradients, 0.01 * (1 + Math.cos((Math.PI * step) / 8)), step + 1);
      });
    }
    optimizer.dispose();
    expect(await trainedBits(task, options)).to.equal(bitsOf(model));
    model.dispose();
  });

  it('keeps what a mask removed at exactly 0, in spite of momentum and weight decay', async () => {
    for (const options of [
      { epochs: 4, weightDecay: 0.1 },
      { epochs: 4, optimizer: 'sgd', momentum: 0.9, weightDecay: 0.1, learningRate: 0.1 },
    ] as const) {
      const model = network();
      await train(model, task, { epochs: 2 });
      pruneHalf(model);
      const removed = matricesOf(model).map((m) => [...(m.latent.toArray() as Float32Array)].map((w) => w === 0));
      await train(model, task, options);
      matricesOf(model).forEach((matrix, k) => {
        const after = [...(matrix.latent.toArray() as Float32Array)].map((w) => w === 0);
        expect(after).to.deep.equal(removed[k]);
        expect(after.filter(Boolean)).to.have.length(after.length / 2);
      });
      model.dispose();
    }
  });

  it('reaches the target of gradual pruning on a run shorter than the time between two masks', async () => {
    for (const epochs of [1, 3]) {
      const model = network();
      const matrices = matricesOf(model);
      await train(model, task, { epochs, afterStep: gradualPruning(matrices, { sparsity: 0.75, every: 1000 }) });
      for (const { latent } of matrices) {
        const zeros = (latent.toArray() as Float32Array).filter((w) => w === 0);
        expect(zeros).to.have.length(0.75 * latent.size);
      }
      model.dispose();
    }
  });

  it('prunes step by step along the cubic schedule, and no weight comes back', async () => {
    const model = network();
    const matrices = matricesOf(model);
    const { latent } = matrices[0] as (typeof matrices)[0];
    const hook = gradualPruning(matrices, { sparsity: 0.75, end: 0.5, every: 5 });
    let zeros = 0;
    const counts: [step: number, zeros: number][] = [];
    await train(model, task, {
      epochs: 4,
      afterStep: (step, steps) => {
        hook(step, steps);
        const now = (latent.toArray() as Float32Array).filter((w) => w === 0).length;
        if (now !== zeros) counts.push([step, now]);
        expect(now).to.be.at.least(zeros);
        zeros = now;
      },
    });
    // 28 steps, the target of 72 of 96 from step 14 on: 72 (1 − (1 − step / 14)³).
    const cubic = (step: number) => Math.round(72 * (1 - Math.max(1 - step / 14, 0) ** 3));
    expect(counts).to.deep.equal([5, 10, 15].map((step) => [step, cubic(step)]));
    model.dispose();
  });

  it('trains by the objective, which sees loss, output and inputs of each batch', async () => {
    const seen: number[][] = [];
    const plain = await trainedBits(task, { epochs: 2, batchSize: 150 });
    const hooked = await trainedBits(task, {
      epochs: 2,
      batchSize: 150,
      objective: (labelLoss, output, [x]) => {
        seen.push([labelLoss.size, ...output.shape, ...(x?.shape ?? [])]);
        return labelLoss;
      },
    });
    expect(hooked).to.equal(plain);
    expect(seen).to.deep.equal([150, 50, 150, 50].map((rows) => [1, rows, 3, rows, 6]));
  });

  it('reports the mean loss of the last epoch, and progress up to the last step', async () => {
    const losses: number[] = [];
    const progress: FitProgress[] = [];
    const model = network();
    const { loss } = await train(model, task, {
      epochs: 3,
      batchSize: 50,
      objective: (labelLoss) => {
        losses.push(labelLoss.item());
        return labelLoss;
      },
      onProgress: (now) => progress.push(now),
    });
    expect(losses).to.have.length(12);
    expect(loss).to.be.closeTo(losses.slice(-4).reduce((sum, value) => sum + value) / 4, 1e-12);
    expect(progress.at(-1)).to.deep.equal({ step: 12, steps: 12, loss: losses.at(-1) });
    model.dispose();
  });

  it('follows input ranges while it trains and lets them be afterwards', async () => {
    const model = network();
    compressGradually(model);
    const rangeOf = () => [...(model.state().get('layers.0.weight/input_range')?.toArray() ?? [])].map(Number);
    await train(model, task, { epochs: 1 });
    const learned = rangeOf();
    const largest = data.inputs.reduce((a, b) => Math.max(a, b));
    expect(learned[1]).to.be.within(0, largest);
    tidy(() => {
      model.forward(tensor(new Float32Array(6).fill(1000), [1, 6]));
    });
    expect(rangeOf()).to.deep.equal(learned);
    model.dispose();
  });

  describe('with numbers that are not finite', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      it(`names the step whose inputs hold ${value}, and leaves the weights as the step before did`, async () => {
        for (const prepare of [() => undefined, quantizeInputs]) {
          const [model, control] = [network(), network()];
          prepare(model);
          prepare(control);
          const stopped = new Error('stop');
          const options: FitOptions = { epochs: 2, batchSize: 50 };
          const error = (await rejectionOf(train(model, spoiled(5, value), options))) as TersorError;
          expect(error).to.be.instanceOf(TersorError);
          expect(error.code).to.equal('ERR_TERSOR_NOT_FINITE');
          expect(error.message).to.match(/expected .*finite.*, got .*, at step 6 of 8/);
          const stop = (step: number) => {
            if (step === 5) throw stopped;
          };
          expect(await rejectionOf(train(control, task, { ...options, afterStep: stop }))).to.equal(stopped);
          expect(weightsOf(model)).to.deep.equal(weightsOf(control));
          model.dispose();
          control.dispose();
        }
      });
    }

    it('refuses weights that the last step has made infinite', async () => {
      const model = network();
      const options = { epochs: 1, batchSize: 200, optimizer: 'sgd', learningRate: 1e38 } as const;
      const objective: FitOptions['objective'] = (_labelLoss, output) => sum(scale(output, 1e10));
      const error = (await rejectionOf(train(model, task, { ...options, objective }))) as TersorError;
      expect(error.code).to.equal('ERR_TERSOR_NOT_FINITE');
      expect(error.message).to.contain('at step 1 of 1');
      model.dispose();
    });
  });

  describe('with options that cannot be used', () => {
    const refused: [options: object, text: RegExp, code?: string][] = [
      [{ epochs: 0 }, /at least 1, got 0, at epochs/],
      [{ epochs: 1.5 }, /got 1.5, at epochs/],
      [{ epochs: Number.NaN }, /got NaN, at epochs/],
      [{}, /got undefined, at epochs/],
      [{ epochs: '3' }, /got 3, at epochs/],
      [{ batchSize: 0 }, /at batchSize/],
      [{ batchSize: 2.5 }, /at batchSize/],
      [{ optimizer: 'adams' }, /adam, adamw, .*, got adams, at optimizer/, 'ERR_TERSOR_INVALID_ARGUMENT'],
      [{ learningRate: 0 }, /above 0, got 0, at learningRate/],
      [{ learningRate: Number.NaN }, /got NaN, at learningRate/],
      [{ learningRate: Number.POSITIVE_INFINITY }, /got Infinity, at learningRate/],
      [{ lrSchedule: 'linea' }, /cosine, linear, .*, got linea, at lrSchedule/, 'ERR_TERSOR_INVALID_ARGUMENT'],
      [{ lrSchedule: { step: { every: 0, factor: 0.1 } } }, /got 0, at lrSchedule.step.every/],
      [{ lrSchedule: { step: { every: 5, factor: 0 } } }, /got 0, at lrSchedule.step.factor/],
      [{ lrSchedule: {} }, /got undefined, at lrSchedule.step.every/],
      [{ warmupSteps: -1 }, /got -1, at warmupSteps/],
      [{ epochs: 1, warmupSteps: 7 }, /fewer than the 7 steps of the run, got 7, at warmupSteps/],
      [{ momentum: 0.9 }, /0 with optimizer 'adam', got 0.9, at momentum/, 'ERR_TERSOR_INVALID_ARGUMENT'],
      [{ optimizer: 'sgd', momentum: 1 }, /in \[0, 1\), got 1, at momentum/],
      [{ weightDecay: -1 }, /got -1, at weightDecay/],
      [{ seed: -1 }, /got -1, at seed/],
      [{ seed: 0.5 }, /got 0.5, at seed/],
      [{ checkpoint: { path: 'never-written', everySteps: 0 } }, /got 0, at checkpoint.everySteps/],
    ];
    for (const [options, text, code = 'ERR_TERSOR_OUT_OF_RANGE'] of refused) {
      it(
        JSON.stringify(options, (_, value) =>
          Number.isFinite(value) || typeof value !== 'number' ? value : `${value}`,
        ),
        async () => {
          const model = network();
          const before = bitsOf(model);
          const given = (
            'epochs' in options || Object.keys(options).length === 0 ? options : { epochs: 1, ...options }
          ) as FitOptions;
          const error = (await rejectionOf(train(model, task, given))) as TersorError;
          expect(error.code).to.equal(code);
          expect(error.message).to.match(text);
          expect(bitsOf(model)).to.equal(before);
          model.dispose();
        },
      );
    }

    it('a task without batches', async () => {
      const model = network();
      const empty: TrainingTask = { ...task, stepsPerEpoch: () => 0 };
      expect(await rejectionOf(train(model, empty, { epochs: 1 }))).to.have.property('code', 'ERR_TERSOR_DATA');
      model.dispose();
    });

    it('examples that the model cannot take', async () => {
      const model = network();
      const narrow = selectExamples(data, [0, 1, 2]);
      const wrong = classificationTask({ ...narrow, inputs: narrow.inputs.slice(0, 15), features: 5 });
      expect(await rejectionOf(train(model, wrong, { epochs: 1 }))).to.have.property('code', 'ERR_TERSOR_SHAPE');
      const labels = classificationTask({ ...narrow, labels: Int32Array.of(0, 9, 1), classes: 10 });
      expect(await rejectionOf(train(model, labels, { epochs: 1 }))).to.have.property(
        'code',
        'ERR_TERSOR_OUT_OF_RANGE',
      );
      model.dispose();
    });
  });

  it('passes on what a hook throws and frees everything', async () => {
    const broken = new Error('broken');
    const fail = () => {
      throw broken;
    };
    for (const hook of ['objective', 'afterStep', 'onProgress']) {
      const model = network();
      const before = memory();
      expect(await rejectionOf(train(model, task, { epochs: 1, [hook]: fail }))).to.equal(broken);
      expect(memory()).to.deep.equal(before);
      await train(model, task, { epochs: 1 });
      expect(memory()).to.deep.equal(before);
      model.dispose();
    }
  });
});

function weightsOf(model: ReturnType<typeof network>): number[][] {
  return model.parameters().map((p) => [...(p.toArray() as Float32Array)]);
}

function quantizeInputs(model: ReturnType<typeof network>): void {
  for (const matrix of matricesOf(model)) {
    matrix.quantize({ bits: 8, scheme: 'symmetric', granularity: 'channel' });
    matrix.quantizeInputs(DEFAULT_OBSERVER);
  }
}

function separableWide(): TrainingTask {
  const { labels, inputs } = separable(1000, 3);
  const wide = new Float32Array(1000 * 96);
  for (let row = 0; row < 1000; row++) {
    for (let j = 0; j < 96; j++) wide[row * 96 + j] = inputs[row * 6 + (j % 6)] as number;
  }
  return classificationTask({ inputs: wide, labels, features: 96, classes: 3 });
}
