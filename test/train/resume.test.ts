import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { initialize, mlp } from '../../lib/models';
import { classificationTask, type FitOptions, fit as train } from '../../lib/train';
import { childUntil, killHard, temporaryFolder } from '../formats/files';
import { rejectionOf } from '../support/rejection';
import { expectNoLeaks } from '../tensor/leaks';
import { bitsOf, compressGradually, network, observeHistogram, pruneHalf, separable, trainedBits } from './toy';

const task = classificationTask(separable(100, 1));
/** 20 steps. */
const OPTIONS = { epochs: 2, batchSize: 10, learningRate: 1e-2, weightDecay: 1e-3 } as const;

const kinds: [name: string, options: FitOptions, prepare: typeof compressGradually][] = [
  ['adam, masks that grow, int8 weights and inputs', OPTIONS, compressGradually],
  ['inputs observed by a histogram', OPTIONS, observeHistogram],
  ['sgd with momentum and fixed masks', { ...OPTIONS, optimizer: 'sgd', momentum: 0.9 }, pruneHalf],
];

/** Trains a fresh network until the given step has been made. */
async function stopAfter(step: number, options: FitOptions, prepare: typeof compressGradually): Promise<void> {
  const stopped = new Error('stopped');
  const interrupted = (model: ReturnType<typeof network>) => {
    const hook = prepare(model);
    return (now: number, steps: number) => {
      hook?.(now, steps);
      if (now === step) throw stopped;
    };
  };
  expect(await rejectionOf(trainedBits(task, options, interrupted))).to.equal(stopped);
}

describe('an interrupted run', () => {
  expectNoLeaks();
  const folder = temporaryFolder();
  const file = path.join(folder, 'checkpoint.safetensors');
  beforeEach(() => rmSync(file, { force: true }));

  for (const [name, options, prepare] of kinds) {
    it(`ends with the bits of an uninterrupted one, wherever it stopped, twice: ${name}`, async () => {
      const uninterrupted = await trainedBits(task, options, prepare);
      const step = fc.integer({ min: 1, max: 20 });
      await fc.assert(
        fc.asyncProperty(step, step, fc.integer({ min: 1, max: 7 }), async (first, second, everySteps) => {
          rmSync(file, { force: true });
          const checkpoint = { path: file, everySteps };
          await stopAfter(Math.min(first, second), { ...options, checkpoint }, prepare);
          await stopAfter(Math.max(first, second), { ...options, checkpoint }, prepare);
          expect(await trainedBits(task, { ...options, checkpoint }, prepare)).to.equal(uninterrupted);
        }),
        { numRuns: 12 },
      );
    });
  }

  it('has a checkpoint per epoch when nothing else is said, the last one of the finished run', async () => {
    const checkpoint = { path: file };
    const before = network();
    await stopAfter(10, { ...OPTIONS, checkpoint }, () => undefined);
    expect(existsSync(file)).to.equal(false);
    await stopAfter(11, { ...OPTIONS, checkpoint }, () => undefined);
    expect(existsSync(file)).to.equal(true);
    const finished = await trainedBits(task, { ...OPTIONS, checkpoint });
    const result = await train(before, task, { ...OPTIONS, checkpoint });
    expect(result).to.deep.equal({ steps: 20, loss: Number.NaN });
    expect(bitsOf(before)).to.equal(finished);
    before.dispose();
  });

  it('continues when defaults are spelled out, and with another interval', async () => {
    const checkpoint = { path: file, everySteps: 5 };
    await stopAfter(7, { epochs: 1, batchSize: 10, checkpoint }, () => undefined);
    const spelledOut = { optimizer: 'adam', learningRate: 1e-3, lrSchedule: 'cosine', momentum: 0, seed: 0 } as const;
    const resumed = await trainedBits(task, { ...spelledOut, epochs: 1, batchSize: 10, checkpoint: { path: file } });
    expect(resumed).to.equal(await trainedBits(task, { epochs: 1, batchSize: 10 }));
  });

  it('does not even read its checkpoint when its signal was aborted before', async () => {
    const checkpoint = { path: file, everySteps: 5 };
    await stopAfter(7, { ...OPTIONS, checkpoint }, () => undefined);
    const model = network();
    const before = bitsOf(model);
    const reason = new Error('never');
    const signal = AbortSignal.abort(reason);
    expect(await rejectionOf(train(model, task, { ...OPTIONS, checkpoint, signal }))).to.equal(reason);
    expect(bitsOf(model)).to.equal(before);
    model.dispose();
  });

  describe('is refused, with the model as it was,', () => {
    const sgd = { optimizer: 'sgd', momentum: 0.5 } as const;
    const others: [what: string, options: Partial<FitOptions>][] = [
      ['epochs', { epochs: 3 }],
      ['batch size', { batchSize: 20 }],
      ['optimizer', { optimizer: 'adam', momentum: 0 }],
      ['learning rate', { learningRate: 2e-2 }],
      ['schedule', { lrSchedule: 'constant' }],
      ['momentum', { momentum: 0.6 }],
      ['weight decay', { weightDecay: 0 }],
      ['seed', { seed: 1 }],
      ['settings', { checkpoint: { path: file, settings: 'other data' } }],
    ];
    for (const [what, other] of others) {
      it(`with another ${what}`, async () => {
        const options = { ...OPTIONS, ...sgd, checkpoint: { path: file, everySteps: 5, settings: 'data' } };
        await stopAfter(6, options, () => undefined);
        await expectRefusal({ ...options, ...other }, 'ERR_TERSOR_INVALID_ARGUMENT');
      });
    }

    it('with data of another length', async () => {
      const options = { ...OPTIONS, checkpoint: { path: file, everySteps: 5 } };
      await stopAfter(6, options, () => undefined);
      await expectRefusal(options, 'ERR_TERSOR_INVALID_ARGUMENT', classificationTask(separable(90, 1)));
    });

    it('with a model that lacks the masks, or has others', async () => {
      const options = { ...OPTIONS, checkpoint: { path: file, everySteps: 5 } };
      await stopAfter(6, options, pruneHalf);
      await expectRefusal(options, 'ERR_TERSOR_CORRUPT_FILE');
    });

    it('with a model of another shape', async () => {
      const options = { ...OPTIONS, checkpoint: { path: file, everySteps: 5 } };
      await stopAfter(6, options, () => undefined);
      const wider = initialize(mlp([6, 17, 3]));
      await expectRefusal(options, 'ERR_TERSOR_CORRUPT_FILE', task, wider.trainable());
      wider.dispose();
    });
  });

  async function expectRefusal(options: FitOptions, code: string, data = task, model = network()): Promise<void> {
    const before = bitsOf(model);
    expect(await rejectionOf(train(model, data, options))).to.have.property('code', code);
    expect(bitsOf(model)).to.equal(before);
    model.dispose();
  }

  it('by SIGKILL in the middle ends with the bits of an uninterrupted one', async () => {
    const options = { ...OPTIONS, epochs: 60 };
    const child = await childUntil(
      `const { classificationTask } = require('./lib/train');
       const { compressGradually, separable, trainedBits } = require('./test/train/toy');
       const task = classificationTask(separable(100, 1));
       const announced = (model) => {
         const prune = compressGradually(model);
         return (step, steps) => {
           prune(step, steps);
           if (step === 60) console.log('under way');
         };
       };
       trainedBits(task, { ...${JSON.stringify(options)}, checkpoint: { path: ${JSON.stringify(file)}, everySteps: 3 } }, announced)
         .then(() => console.log('finished'));`,
      'under way',
    );
    let finished = false;
    child.stdout?.on('data', (text: Buffer) => {
      finished ||= text.toString().includes('finished');
    });
    await killHard(child);
    expect(finished).to.equal(false);
    expect(existsSync(file)).to.equal(true);
    const resumed = await trainedBits(task, { ...options, checkpoint: { path: file } }, compressGradually);
    expect(resumed).to.equal(await trainedBits(task, options, compressGradually));
  });
});
