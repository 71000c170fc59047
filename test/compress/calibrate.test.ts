import { expect } from 'chai';
import { type CalibrateOptions, calibrate } from '../../lib/compress';
import { initialize, mlp, type TrainableModel } from '../../lib/models';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { classificationTask, type TrainingTask } from '../../lib/train';
import { DEFAULT_OBSERVER, type ObserverOptions, type TrainableMatrix } from '../../lib/weights';
import { points, rejectionOf, watched } from '../recipe/small-model';
import { expectClose } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

const MIN_MAX: ObserverOptions = { observer: 'min-max', momentum: 0 };
const DATA = points(100);

const INT8 = { bits: 8, scheme: 'symmetric', granularity: 'channel' } as const;
const task = classificationTask(DATA);

/** Calls `use` with a fresh perceptron 12-5-3 whose weights of one layer are to get quantized inputs. */
async function withModel(
  observed: `layers.${0 | 1}.weight`,
  options: ObserverOptions,
  use: (model: TrainableModel, range: () => number[]) => Promise<void>,
): Promise<void> {
  const fresh = initialize(mlp([12, 5, 3]), { seed: 1 });
  const model = fresh.trainable();
  fresh.dispose();
  try {
    const [matrix] = model.matrices(observed) as [TrainableMatrix];
    matrix.quantize(INT8);
    matrix.quantizeInputs(options);
    await use(model, () => [...((matrix.state().get('input_range') as Tensor).toArray() as Float32Array)]);
  } finally {
    model.dispose();
  }
}

/** Fails when the model still follows the range of what it is given. */
function expectNotObserving(model: TrainableModel, range: () => number[]): void {
  const before = range();
  tidy(() => void model.forward(tensor(new Float32Array(12).fill(1000), [1, 12])));
  expect(range()).to.deep.equal(before);
}

/** Inputs of each batch that calibration with these options sees. */
function batchesSeen({ batchSize = 128, batches = 16, seed = 0 }: CalibrateOptions): Float32Array[] {
  return Array.from({ length: Math.min(batches, Math.ceil(100 / batchSize)) }, (_, step) =>
    tidy(() => (task.batch(step, { batchSize, seed }).inputs[0] as Tensor).toArray() as Float32Array),
  );
}

function extremes(values: ArrayLike<number>): [number, number] {
  const sorted = Float64Array.from(values).sort();
  return [sorted[0] as number, sorted.at(-1) as number];
}

describe('calibrate', () => {
  expectNoLeaks();

  it("finds the smallest and the largest input of the batches it sees ('min-max')", async () => {
    for (const options of [
      {},
      { batchSize: 7 },
      { batchSize: 10, batches: 3, seed: 5 },
      { batchSize: 99, batches: 2 },
    ]) {
      await withModel('layers.0.weight', MIN_MAX, async (model, range) => {
        await calibrate(model, task, options);
        const expected = extremes(batchesSeen(options).flatMap((batch) => [...batch]));
        expect(range(), JSON.stringify(options)).to.deep.equal(expected);
      });
    }
  });

  it("follows the batches' ranges by a moving average ('ema')", () =>
    withModel('layers.0.weight', { observer: 'ema', momentum: 0.7 }, async (model, range) => {
      await calibrate(model, task, { batchSize: 16 });
      const ranges = batchesSeen({ batchSize: 16 }).map(extremes);
      const expected = ranges.reduce(
        (past, now) => [0, 1].map((i) => 0.7 * past[i]! + 0.3 * now[i]!) as [number, number],
      );
      expectClose(range(), expected, 1e-5, 'range');
    }));

  it('sees what an inner layer gets: the outputs of the layers before it', () =>
    withModel('layers.1.weight', MIN_MAX, async (model, range) => {
      await calibrate(model, task);
      const [w, b] = ['layers.0.weight', 'layers.0.bias'].map((name) =>
        tidy(() => model.weights.get(name)?.dense().toArray() as Float32Array),
      ) as [Float32Array, Float32Array];
      const hidden: number[] = [];
      for (let row = 0; row < 100; row++) {
        for (let unit = 0; unit < 5; unit++) {
          let sum = b[unit] as number;
          for (let i = 0; i < 12; i++) sum += (w[unit * 12 + i] as number) * (DATA.inputs[row * 12 + i] as number);
          hidden.push(Math.max(sum, 0));
        }
      }
      const [low, high] = extremes(hidden);
      expect(low).to.equal(0);
      expect(range()[0]).to.equal(0);
      expect(range()[1]).to.be.closeTo(high, 1e-5 * high);
    }));

  it('stops observing when it is done', () =>
    withModel('layers.0.weight', DEFAULT_OBSERVER, async (model, range) => {
      await calibrate(model, task);
      expectNotObserving(model, range);
    }));

  it('looks at as many batches as asked for, or as there are', () =>
    withModel('layers.0.weight', MIN_MAX, async (model) => {
      const steps: number[] = [];
      const counting = watched((step) => steps.push(step), task);
      await calibrate(model, counting, { batchSize: 10, batches: 4 });
      expect(steps.splice(0)).to.deep.equal([0, 1, 2, 3]);
      await calibrate(model, counting, { batchSize: 50, batches: 4 });
      expect(steps).to.deep.equal([0, 1]);
    }));

  it('rejects with the reason of an abort, between two batches, and stops observing', () =>
    withModel('layers.0.weight', MIN_MAX, async (model, range) => {
      const controller = new AbortController();
      const reason = new Error('enough');
      const steps: number[] = [];
      const aborting = watched((step) => {
        steps.push(step);
        if (step === 1) setImmediate(() => controller.abort(reason));
      }, task);
      const { signal } = controller;
      expect(await rejectionOf(calibrate(model, aborting, { batchSize: 10, signal }))).to.equal(reason);
      expect(steps).to.deep.equal([0, 1]);
      expectNotObserving(model, range);
    }));

  it('stops observing when a batch cannot be used', () =>
    withModel('layers.0.weight', MIN_MAX, async (model, range) => {
      const broken: TrainingTask = {
        ...task,
        batch: (step, options) => {
          const { inputs, targets } = task.batch(step, options);
          return { inputs: step === 0 ? inputs : [tensor([[Number.NaN]])], targets };
        },
      };
      const error = await rejectionOf(calibrate(model, broken, { batchSize: 10 }));
      expect(error)
        .to.have.property('code')
        .that.matches(/^ERR_TERSOR_(SHAPE|NOT_FINITE)$/);
      expectNotObserving(model, range);
    }));
});
