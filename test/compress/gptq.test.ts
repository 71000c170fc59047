import { expect } from 'chai';
import { gptq, inputMoments } from '../../lib/compress';
import { initialize, Model, mlp } from '../../lib/models';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { classificationTask } from '../../lib/train';
import { Dense, type QuantizationScheme, type Quantized, quantizeMatrix } from '../../lib/weights';
import { rejectionOf, smallData } from '../recipe/small-model';
import { expectNoLeaks } from '../tensor/leaks';

const ROWS = 24;
const COLUMNS = 20;
const GROUPS: QuantizationScheme = { bits: 3, scheme: 'asymmetric', granularity: 'group', groupSize: 10 };

function random(rows: number, columns: number, seed: number): Tensor {
  const stream = philox(seed);
  return tensor(
    Float32Array.from({ length: rows * columns }, () => stream.uniform() * 2 - 1),
    [rows, columns],
  );
}

/** Inputs that depend on each other: what error feedback is for. */
function correlatedMoments(): Tensor {
  const x = random(200, COLUMNS, 2).toArray() as Float32Array;
  const at = (t: number, j: number) => (x[t * COLUMNS] as number) * 2 + (x[t * COLUMNS + j] as number);
  const sums = new Float32Array(COLUMNS * COLUMNS);
  for (let i = 0; i < COLUMNS; i++) {
    for (let j = 0; j < COLUMNS; j++) {
      for (let t = 0; t < 200; t++) sums[i * COLUMNS + j]! += at(t, i) * at(t, j);
    }
  }
  return tensor(sums, [COLUMNS, COLUMNS]);
}

/** tr(E H Eᵀ), what GPTQ makes small. */
function outputError(w: Tensor, packed: Quantized, moments: Tensor): number {
  return tidy(() => {
    const [exact, rounded, h] = [w, packed.dense(), moments].map((t) => t.toArray() as Float32Array) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    let sum = 0;
    for (let row = 0; row < ROWS; row++) {
      const error = (j: number) => rounded[row * COLUMNS + j]! - exact[row * COLUMNS + j]!;
      for (let i = 0; i < COLUMNS; i++) {
        for (let j = 0; j < COLUMNS; j++) sum += error(i) * h[i * COLUMNS + j]! * error(j);
      }
    }
    return sum;
  });
}

describe('gptq', () => {
  expectNoLeaks();

  it('changes the outputs less than rounding to nearest, with every scheme, order and range', async () => {
    const schemes: QuantizationScheme[] = [
      GROUPS,
      { bits: 4, scheme: 'symmetric', granularity: 'channel' },
      { bits: 2, scheme: 'asymmetric', granularity: 'tensor' },
      { bits: 4, scheme: 'asymmetric', granularity: 'row' },
      { bits: 8, scheme: 'symmetric', granularity: 'group', groupSize: 7 },
      { bits: 1, scheme: 'symmetric', granularity: 'channel' },
    ];
    const w = random(ROWS, COLUMNS, 1);
    const moments = correlatedMoments();
    for (const scheme of schemes) {
      const nearest = quantizeMatrix(w, scheme);
      const before = outputError(w, nearest, moments);
      for (const activationOrder of [true, false]) {
        for (const range of ['mse', 'min-max'] as const) {
          const packed = await gptq(w, moments, scheme, { activationOrder, range });
          expect(packed.bytes()).to.equal(nearest.bytes());
          expect(outputError(w, packed, moments), JSON.stringify(scheme)).to.be.below(0.8 * before);
          packed.dispose();
        }
      }
      nearest.dispose();
    }
    w.dispose();
    moments.dispose();
  });

  it('refuses what it cannot use, stops when aborted, and leaves nothing in memory', async () => {
    const w = random(2, 2, 1);
    const moments = tensor([
      [2, 1],
      [1, 2],
    ]);
    const negative = tensor([
      [-2, 1],
      [1, 2],
    ]);
    const small = tensor([[2]]);
    const reason = new Error('enough');
    const codes: QuantizationScheme = { bits: 4, scheme: 'symmetric', granularity: 'channel' };
    for (const [call, code] of [
      [() => gptq(w, negative, codes), 'ERR_TERSOR_INVALID_ARGUMENT'],
      [() => gptq(w, small, codes), 'ERR_TERSOR_SHAPE'],
      [() => gptq(w, moments, codes, { damping: -1 }), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => gptq(w, moments, { ...codes, groupSize: 2 }), 'ERR_TERSOR_INVALID_ARGUMENT'],
    ] as const) {
      expect(await rejectionOf(call())).to.include({ code });
    }
    expect(await rejectionOf(gptq(w, moments, codes, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    for (const each of [w, moments, negative, small]) each.dispose();
  });
});

describe('inputMoments', () => {
  expectNoLeaks();

  it('is XᵀX of the inputs, divided by their number', async () => {
    // The first layer sees the data itself; its moments must be those of the examples of two batches.
    const inputs = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const data = { inputs, labels: Int32Array.of(0, 1, 0, 1), features: 2, classes: 2 };
    const model = initialize(mlp([2, 3, 2]));
    const moments = await inputMoments(model, ['layers.0.weight', 'layers.1.weight'], classificationTask(data), {
      batchSize: 2,
    });
    expect([...moments.keys()]).to.deep.equal(['layers.0.weight', 'layers.1.weight']);
    const [first, second] = [...moments.values()] as [Tensor, Tensor];
    expect([...first.toArray()]).to.deep.equal([84 / 4, 100 / 4, 100 / 4, 120 / 4]);
    expect(second.shape).to.deep.equal([3, 3]);
    for (const each of [first, second, model]) each.dispose();
  });

  it('refuses weights that are not there or multiply nothing, and stops when aborted', async () => {
    const { train } = smallData();
    const task = classificationTask(train);
    const model = initialize(mlp([train.features, 4, train.classes]));
    for (const name of ['layers.7.weight', 'layers.0.bias']) {
      const error = await rejectionOf(inputMoments(model, ['layers.0.weight', name], task));
      expect(error).to.include({ code: 'ERR_TERSOR_INVALID_ARGUMENT' });
      expect(String(error)).to.contain(name);
    }
    const reason = new Error('enough');
    const call = inputMoments(model, ['layers.0.weight'], task, { signal: AbortSignal.abort(reason) });
    expect(await rejectionOf(call)).to.equal(reason);
    model.dispose();
  });

  it('sees what compressed weights before it pass on', async () => {
    const data = { inputs: Float32Array.of(1, 2), labels: Int32Array.of(0), features: 2, classes: 2 };
    const exact = initialize(mlp([2, 3, 2]), { seed: 3 });
    const weights = new Map(
      [...exact.weights].map(([name, weight]) => [
        name,
        name === 'layers.0.weight'
          ? quantizeMatrix(weight.dense(), { bits: 2, scheme: 'symmetric', granularity: 'tensor' })
          : new Dense(weight.dense().clone()),
      ]),
    );
    const rounded = new Model(exact.architecture, weights);
    const seen: number[][] = [];
    for (const model of [exact, rounded]) {
      const moments = await inputMoments(model, ['layers.1.weight'], classificationTask(data));
      seen.push([...((moments.get('layers.1.weight') as Tensor).toArray() as Float32Array)]);
      for (const each of [...moments.values(), model]) each.dispose();
    }
    expect(seen[0]).not.to.deep.equal(seen[1]);
  });
});
