import { statSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { svd, truncatedSvd } from '../../lib/compress';
import { classificationProtocol, type Protocol } from '../../lib/evaluate/protocol';
import { pairedBootstrap } from '../../lib/evaluate/significance';
import { initialize, Model, mlp, saveModel } from '../../lib/models';
import { type Measurement, type MeasureOptions, measureModel } from '../../lib/report/measure';
import { parseReport, serializeReport } from '../../lib/report/schema';
import { full, memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense, type QuantizationScheme, quantizeMatrix, Sparse, type Weight } from '../../lib/weights';
import { temporaryFolder } from '../formats/files';
import { points, QUICK, rejectionOf } from '../recipe/small-model';
import { expectClose } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';
import { sampleReport } from './sample';

const INT8: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };
const DATA = points(200);

function small(): Model {
  return initialize(mlp([12, 6, 3]), { seed: 4 });
}

/** The model with its first matrix in another representation; the model itself stays usable. */
function withFirst(model: Model, make: (w: Tensor) => Weight): Model {
  const [first, ...rest] = [...model.weights].map(([name, weight]) => [name, weight.dense()] as const);
  const [name, w] = first as readonly [string, Tensor];
  const weights = rest.map(([other, values]) => [other, new Dense(values.clone())] as const);
  return new Model(model.architecture, new Map<string, Weight>([[name, make(w)], ...weights]));
}

function measure(model: Model, options: Partial<MeasureOptions> = {}): Promise<Measurement> {
  return measureModel(model, { name: 'stage', latency: QUICK, ...options });
}

/** 50 % pruned. */
function sparse(w: Tensor, scheme: QuantizationScheme | null): Weight {
  return tidy(() => {
    const half = (w.toArray() as Float32Array).map((value, i) => (i % 2 === 0 ? value : 0));
    return Sparse.from(tensor(half, w.shape), scheme);
  });
}

describe('measureModel', () => {
  expectNoLeaks();
  const folder = temporaryFolder();

  it('counts parameters, nonzeros, multiply-accumulates and bytes of a dense model', async () => {
    const model = small();
    const { stage } = await measure(model, { name: 'fp32' });
    expect(stage).to.include({ name: 'fp32', parameters: 99, nonzeros: 99, macs: 90 });
    expect(stage.metrics).to.deep.equal({});
    expect(stage).not.to.have.property('comparisons');
    expect(stage.weights).to.deep.equal([
      { name: 'layers.0.weight', representation: 'f32', bytes: 288, sqnrDb: null },
      { name: 'layers.0.bias', representation: 'f32', bytes: 24, sqnrDb: null },
      { name: 'layers.1.weight', representation: 'f32', bytes: 72, sqnrDb: null },
      { name: 'layers.1.bias', representation: 'f32', bytes: 12, sqnrDb: null },
    ]);
    model.dispose();
  });

  it('gives the bytes of the file, to the byte, for every representation', async () => {
    const model = small();
    const factors = await truncatedSvd(model.weights.get('layers.0.weight')!.dense(), { rank: 2 });
    const made = [
      model,
      withFirst(model, (w) => quantizeMatrix(w, INT8)),
      withFirst(model, (w) =>
        quantizeMatrix(w, { ...INT8, bits: 4, scheme: 'asymmetric', granularity: 'group', groupSize: 5 }),
      ),
      withFirst(model, (w) => quantizeMatrix(w, INT8, { scale: 0.01, zeroPoint: 3 })),
      withFirst(model, (w) => sparse(w, null)),
      withFirst(model, (w) => sparse(w, { ...INT8, bits: 3 })),
      withFirst(model, () => factors),
    ];
    for (const [i, each] of made.entries()) {
      const file = path.join(folder, `${i}.safetensors`);
      saveModel(each, file);
      const { stage } = await measure(each);
      expect(stage.bytes, stage.weights[0]?.representation).to.equal(statSync(file).size);
      expect(stage.weights.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(each.bytes());
      each.dispose();
    }
  });

  it('counts what a pruned and a factorized weight hold', async () => {
    const model = small();
    const pruned = withFirst(model, (w) => sparse(w, null));
    expect((await measure(pruned)).stage).to.include({ parameters: 99, nonzeros: 63, macs: 36 + 18 });
    const factors = await truncatedSvd(model.weights.get('layers.0.weight')!.dense(), { rank: 2 });
    const lowRank = withFirst(model, () => factors);
    // 6 x 2 + 2 x 12 instead of 6 x 12.
    expect((await measure(lowRank)).stage).to.include({ parameters: 63, nonzeros: 63, macs: 36 + 18 });
    for (const each of [model, pruned, lowRank]) each.dispose();
  });

  it('scores the model by the protocol and keeps the values of each example', async () => {
    const model = small();
    const protocol = classificationProtocol(DATA);
    const [expected] = await protocol.measure(model);
    const { stage, metrics } = await measure(model, { protocol });
    const sum = expected!.values.reduce((a, b) => a + b, 0);
    expect(stage.metrics).to.deep.equal({ accuracy: sum / 200 });
    expect(metrics).to.deep.equal([expected]);
    model.dispose();
  });

  it('gives the signal-to-noise ratio against the floats that a weight was rounded from', async () => {
    // Uniform in ±1: signal 1/3, steps of 1/127 with noise step²/12.
    const w = tensor(
      Float32Array.from({ length: 10_000 }, (_, i) => ((i * 0.6180339887498949) % 1) * 2 - 1),
      [100, 100],
    );
    const wide = (weight: Weight) =>
      new Model(
        mlp([100, 100]),
        new Map<string, Weight>([
          ['layers.0.weight', weight],
          ['layers.0.bias', new Dense(full([100], 0))],
        ]),
      );
    const reference = w.toArray() as Float32Array;
    const model = wide(quantizeMatrix(w, { ...INT8, granularity: 'tensor' }));
    const { stage } = await measure(model, { references: new Map([['layers.0.weight', reference]]) });
    expect(stage.weights[0]?.sqnrDb).to.be.closeTo(10 * Math.log10(4 * 127 ** 2), 0.1);
    expect(stage.weights[1]?.sqnrDb).to.equal(null);
    const exact = wide(new Dense(w));
    const same = await measure(exact, { references: new Map([['layers.0.weight', reference]]) });
    expect(same.stage.weights[0]?.sqnrDb).to.equal(null);
    model.dispose();
    exact.dispose();
  });

  it('gives -1000 dB, which JSON can hold, to an all-zero weight that is stored as something else', async () => {
    const model = small();
    const { stage } = await measure(model, { references: new Map([['layers.0.bias', new Float32Array(6)]]) });
    expect(stage.weights[1]?.sqnrDb).to.equal(-1000);
    model.dispose();
  });

  it('gives the signal-to-noise ratio of a truncated decomposition from its singular values', async () => {
    const model = small();
    const w = model.weights.get('layers.0.weight')!.dense();
    const { u, s, vt } = await svd(w);
    const energy = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0);
    const factors = await truncatedSvd(w, { rank: 2 });
    const lowRank = withFirst(model, () => factors);
    const references = new Map([['layers.0.weight', w.toArray() as Float32Array]]);
    const { stage } = await measure(lowRank, { references });
    const expected = 10 * Math.log10(energy(s) / energy(s.subarray(2)));
    expectClose([stage.weights[0]?.sqnrDb ?? Number.NaN], [expected], 1e-3, 'decibels');
    for (const each of [u, vt, model, lowRank]) each.dispose();
  });

  it('compares with a baseline, metric by metric that both have, by the paired bootstrap', async () => {
    const [one, two] = [small(), initialize(mlp([12, 6, 3]), { seed: 8 })];
    const accuracy = classificationProtocol(DATA);
    const baseline = await measure(one, { name: 'baseline', protocol: accuracy });
    const { stage, metrics } = await measure(two, { protocol: accuracy, baseline, seed: 3 });
    const interval = pairedBootstrap(metrics[0]!.values, baseline.metrics[0]!.values, { seed: 3 });
    expect(stage.comparisons).to.deep.equal({ accuracy: { against: 'baseline', ...interval } });
    const other: Protocol = {
      name: 'classification',
      measure: async () => [{ name: 'hr@1', values: Float64Array.of(1) }],
    };
    expect((await measure(two, { protocol: other, baseline })).stage.comparisons).to.deep.equal({});
    one.dispose();
    two.dispose();
  });

  it('says why a weight was not compressed, where it is told', async () => {
    const model = small();
    const { stage } = await measure(model, { skipped: new Map([['layers.1.weight', 'too small']]) });
    expect(stage.weights.map((row) => row.skipped)).to.deep.equal([undefined, undefined, 'too small', undefined]);
    expect(stage.weights[0]).not.to.have.property('skipped');
    model.dispose();
  });

  it('takes the latency of 1 and of 128 examples, for as long as asked', async () => {
    const model = small();
    const sizes: number[] = [];
    const { architecture } = model;
    const watching = new Model(
      {
        ...architecture,
        forward(weights, inputs) {
          sizes.push(inputs[0]?.shape[0] as number);
          return architecture.forward(weights, inputs);
        },
      },
      model.weights,
    );
    const { stage } = await measure(watching, { latency: { warmup: 2, minSamples: 5, minMs: 0 } });
    expect(sizes).to.deep.equal([...Array<number>(7).fill(1), ...Array<number>(7).fill(128)]);
    for (const { p50, p99 } of Object.values(stage.latencyMs)) {
      expect(p50).to.be.above(0);
      expect(p99).to.be.at.least(p50);
    }
    model.dispose();
  });

  it('gives a stage that a report takes, also with all options', async () => {
    const dense = small();
    const model = withFirst(dense, (w) => quantizeMatrix(w, INT8));
    dense.dispose();
    const baseline = await measure(model, { name: 'baseline', protocol: classificationProtocol(DATA) });
    const { stage } = await measure(model, {
      protocol: classificationProtocol(DATA),
      baseline,
      references: new Map([['layers.0.weight', new Float32Array(72).fill(1)]]),
      skipped: new Map([['layers.0.bias', 'a bias']]),
    });
    const report = { ...sampleReport(), baseline: baseline.stage, stages: [stage] };
    expect(parseReport(serializeReport(report))).to.deep.equal(report);
    model.dispose();
  });

  it('rejects with the reason of an abort, before it begins and between protocol and clock', async () => {
    const model = small();
    const reason = new Error('enough');
    expect(await rejectionOf(measure(model, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    const controller = new AbortController();
    const protocol: Protocol = {
      name: 'classification',
      async measure() {
        controller.abort(reason);
        return [];
      },
    };
    expect(await rejectionOf(measure(model, { protocol, signal: controller.signal }))).to.equal(reason);
    model.dispose();
  });

  it('frees everything when a forward pass fails', async () => {
    const model = small();
    const { architecture } = model;
    const broken = new Model({ ...architecture, forward: () => tensor([1, 2, 3]).reshape([7]) }, model.weights);
    const before = memory();
    expect(await rejectionOf(measure(broken))).to.have.property('code', 'ERR_TERSOR_SHAPE');
    expect(memory()).to.deep.equal(before);
    model.dispose();
  });
});
