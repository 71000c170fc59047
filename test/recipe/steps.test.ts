import path from 'node:path';
import { expect } from 'chai';
import { classificationProtocol } from '../../lib/evaluate/protocol';
import { loadModel, type Model, saveModel } from '../../lib/models';
import { validateRecipe } from '../../lib/recipe/parse';
import { type PlannedStep, type PlannedVariant, planRecipe } from '../../lib/recipe/plan';
import { applyStep, type StepContext, type StepResult } from '../../lib/recipe/steps';
import { tidy } from '../../lib/tensor';
import { classificationTask } from '../../lib/train';
import { temporaryFolder } from '../formats/files';
import { expectNoLeaks } from '../tensor/leaks';
import { rejectionOf, smallData, smallModel, watched } from './small-model';

const FIRST = 'layers.0.weight';
const SECOND = 'layers.1.weight';
const THIRD = 'layers.2.weight';
const { train, test } = smallData();

/** What a weight is, to the bit. */
function bitsOf(model: Model, name: string): string {
  const { tensors, descriptor } = model.weights.get(name)?.store() ?? { tensors: new Map(), descriptor: undefined };
  const blobs = [...tensors].map(([blob, { data }]) => [blob, Buffer.from(data).toString('base64')]);
  return JSON.stringify([descriptor, blobs]);
}

function allBits(model: Model): string[] {
  return [...model.weights.keys()].map((name) => bitsOf(model, name));
}

function floatsOf(model: Model, name: string): Float32Array {
  return tidy(() => model.weights.get(name)?.dense().toArray() as Float32Array);
}

describe('applyStep', () => {
  const folder = temporaryFolder();
  let baseline: Model;
  before(async () => {
    baseline = await smallModel();
  });
  after(() => baseline.dispose());
  expectNoLeaks();

  const context = (more: Partial<StepContext> = {}): StepContext => ({
    teacher: baseline,
    training: classificationTask(train),
    seed: 0,
    ...more,
  });

  function plan(steps: readonly object[], model = baseline): readonly PlannedStep[] {
    const [variant] = planRecipe(validateRecipe({ recipe: 1, steps }), model, { training: true });
    return (variant as PlannedVariant).steps;
  }

  /** Applies the steps one after another and hands every result to `use`. */
  async function apply(
    steps: readonly object[],
    use: (results: StepResult[]) => unknown = () => {},
    more: Partial<StepContext> = {},
  ): Promise<void> {
    const results: StepResult[] = [];
    try {
      for (const planned of plan(steps)) {
        const before = results.at(-1) ?? { model: baseline, references: new Map() };
        results.push(await applyStep(before, planned, context(more)));
      }
      await use(results);
    } finally {
      for (const { model } of results) model.dispose();
    }
  }

  it('leaves the model it starts from as it is, to the bit', async () => {
    const before = allBits(baseline);
    const retrain = { epochs: 1 };
    for (const step of [
      { prune: { weights: ['*'], sparsity: 0.5, retrain } },
      { quantize: { weights: ['*'], bits: 8, activations: { bits: 8 }, retrain } },
      { factorize: { weights: [FIRST], rank: 2, retrain } },
      { retrain },
    ]) {
      await apply([step], ([result]) => expect(allBits(result!.model)).not.to.deep.equal(before));
      expect(allBits(baseline)).to.deep.equal(before);
    }
  });

  it('leaves weights that it neither names nor trains as they are, to the bit, and what they stand for', async () => {
    const others = [{ prune: { weights: [THIRD], sparsity: 0.5 } }, { factorize: { weights: [THIRD], rank: 2 } }];
    for (const codes of [
      { bits: 8 },
      { bits: 4 },
      { bits: 3, granularity: 'tensor' },
      { bits: 1 },
      { bits: 2, scheme: 'asymmetric', granularity: 'group', groupSize: 5 },
      { bits: 4, scheme: 'asymmetric', granularity: 'row' },
      { bits: 8, activations: { bits: 8 } },
      { bits: 8, activations: { bits: 8, observer: 'dynamic' } },
      { bits: 8, activations: { bits: 8, observer: 'histogram' } },
      { bits: 8, activations: { bits: 8, observer: 'percentile' } },
    ]) {
      const first = { quantize: { weights: [FIRST], ...codes } };
      const last = { quantize: { weights: [SECOND], bits: 8, activations: { bits: 8 } } };
      for (const other of [...others, last]) {
        await apply([first, other], ([one, two]) => {
          const what = `${JSON.stringify(codes)}, then ${JSON.stringify(other)}`;
          expect(bitsOf(two!.model, FIRST), what).to.equal(bitsOf(one!.model, FIRST));
          expect(two!.references.get(FIRST), what).to.deep.equal(floatsOf(baseline, FIRST));
        });
      }
    }
    const pruned = { prune: { weights: [FIRST], sparsity: 0.7 } };
    const lowRank = { factorize: { weights: [SECOND], rank: 2 } };
    await apply([pruned, lowRank, { quantize: { weights: [THIRD], bits: 4 } }], ([one, two, three]) => {
      expect(bitsOf(three!.model, FIRST)).to.equal(bitsOf(one!.model, FIRST));
      expect(bitsOf(three!.model, SECOND)).to.equal(bitsOf(two!.model, SECOND));
      expect([...three!.references.keys()]).to.deep.equal([FIRST, SECOND, THIRD]);
    });
  });

  it('refers each compressed weight to the floats it was rounded from, dense ones to nothing', async () => {
    const quantize = { quantize: { weights: [FIRST], bits: 4 } };
    await apply([{ prune: { weights: [FIRST], sparsity: 0.5 } }, quantize], ([pruned, quantized]) => {
      expect([...pruned!.references]).to.deep.equal([[FIRST, floatsOf(baseline, FIRST)]]);
      expect([...quantized!.references]).to.deep.equal([[FIRST, floatsOf(pruned!.model, FIRST)]]);
    });
  });

  it('refers every compressed weight to the floats that training led to', async () => {
    const retrain = { epochs: 1 };
    await apply([{ quantize: { weights: [FIRST, SECOND], bits: 8 } }, { retrain }], ([before, trained]) => {
      expect([...trained!.references.keys()]).to.deep.equal([FIRST, SECOND]);
      for (const [name, floats] of trained!.references) {
        const now = floatsOf(trained!.model, name);
        expect(floats).not.to.deep.equal(now);
        expect(bitsOf(trained!.model, name)).not.to.equal(bitsOf(before!.model, name));
        const step = Math.max(...now.map(Math.abs)) / 127;
        floats.forEach((value, i) => {
          expect(Math.abs(value - (now[i] as number))).to.be.at.most(step);
        });
      }
    });
  });

  it('quantizes by outputs, one weight after another, and keeps what they were rounded from', async () => {
    const weights = [FIRST, SECOND];
    const codes = { bits: 2, granularity: 'group', groupSize: 4 };
    await apply([{ quantize: { weights, method: 'gptq', ...codes } }], async ([byOutputs]) => {
      expect([...byOutputs!.references]).to.deep.equal(weights.map((name) => [name, floatsOf(baseline, name)]));
      await apply([{ quantize: { weights, ...codes } }], ([nearest]) => {
        for (const name of weights) {
          expect(byOutputs!.model.weights.get(name)?.kind).to.equal('quantized');
          expect(bitsOf(byOutputs!.model, name)).not.to.equal(bitsOf(nearest!.model, name));
        }
        expect(bitsOf(byOutputs!.model, THIRD)).to.equal(bitsOf(baseline, THIRD));
      });
    });
  });

  it('corrects codes by what they lack of the floats that they stand for, and trains both', async () => {
    const codes = { weights: [FIRST], bits: 2, granularity: 'tensor' };
    const steps = [{ quantize: { ...codes, correction: { rank: 3 } } }, { retrain: { epochs: 1 } }];
    await apply(steps, async ([corrected, trained]) => {
      const weight = corrected!.model.weights.get(FIRST);
      expect(weight?.representation).to.equal('int2 per tensor + rank 3 (f32)');
      expect([...corrected!.references]).to.deep.equal([[FIRST, floatsOf(baseline, FIRST)]]);
      expect(trained!.model.weights.get(FIRST)?.representation).to.equal(weight?.representation);
      expect(bitsOf(trained!.model, FIRST)).not.to.equal(bitsOf(corrected!.model, FIRST));
      await apply([{ quantize: codes }], ([alone]) => {
        const wanted = floatsOf(baseline, FIRST);
        const [error, left] = [alone, corrected].map((result) =>
          Math.hypot(...floatsOf(result!.model, FIRST).map((value, i) => value - (wanted[i] as number))),
        ) as [number, number];
        expect(left).to.be.below(0.9 * error);
        expect(bitsOf(corrected!.model, SECOND)).to.equal(bitsOf(alone!.model, SECOND));
        // Two factors of numbers in f32 for 12 inputs and 16 outputs.
        expect(weight?.bytes()).to.equal((alone!.model.weights.get(FIRST)?.bytes() as number) + 4 * 3 * (12 + 16));
      });
    });
    const byOutputs = { quantize: { ...codes, method: 'gptq', correction: { energy: 0.5 } } };
    await apply([byOutputs], ([result]) => {
      expect(result!.model.weights.get(FIRST)?.representation).to.match(/^int2 per tensor \+ rank \d \(f32\)$/);
    });
  });

  it('prunes by outputs, and changes what stays', async () => {
    await apply([{ prune: { weights: [FIRST], method: 'sparsegpt', sparsity: 0.5 } }], ([result]) => {
      const pruned = floatsOf(result!.model, FIRST);
      const before = floatsOf(baseline, FIRST);
      expect(result!.model.weights.get(FIRST)?.kind).to.equal('sparse');
      expect(result!.model.weights.get(FIRST)?.nonzeros()).to.equal(12 * 16 * 0.5);
      expect(pruned.some((value, i) => value !== 0 && value !== before[i])).to.equal(true);
      expect([...result!.references]).to.deep.equal([[FIRST, before]]);
    });
  });

  it('prunes to the sparsity, at once and by schedule, and training keeps it', async () => {
    const retrain = { epochs: 2, batchSize: 16 };
    for (const more of [{}, { retrain }, { retrain, schedule: { kind: 'cubic', every: 5 } }]) {
      await apply([{ prune: { weights: [FIRST], sparsity: 0.75, ...more } }, { retrain }], (results) => {
        for (const { model } of results) {
          expect(model.weights.get(FIRST)?.kind).to.equal('sparse');
          expect(model.weights.get(FIRST)?.nonzeros()).to.equal(12 * 16 * 0.25);
          expect(model.weights.get(SECOND)?.kind).to.equal('dense');
        }
      });
    }
  });

  it('can do all that a plan lets through, two steps at a time', async function () {
    this.timeout(20_000);
    const all = { weights: ['layers.*.weight'] };
    const activations = { bits: 8 };
    const kinds = [
      { prune: { ...all, sparsity: 0.5 } },
      { factorize: { ...all, rank: 2 } },
      { quantize: { ...all, bits: 8 } },
      { quantize: { ...all, bits: 8, granularity: 'tensor', activations } },
      { quantize: { ...all, bits: 4, granularity: 'group', groupSize: 5 } },
      { quantize: { ...all, bits: 8, scheme: 'asymmetric' } },
      { quantize: { ...all, bits: 2, scheme: 'asymmetric', granularity: 'row' } },
      { quantize: { ...all, bits: 1 } },
      { quantize: { ...all, bits: 3, granularity: 'row' } },
    ];
    let [done, refused] = [0, 0];
    for (const first of kinds) {
      for (const second of kinds) {
        try {
          plan([first, second]);
        } catch {
          refused++;
          continue;
        }
        await apply([first, second]);
        done++;
      }
    }
    // Of 81: factorizing works first only (9), the others meet pruning (4 schemes, either order) or quantized inputs (4 after them).
    expect({ done, refused }).to.deep.equal({ done: 81 - 9 - 8 - 4, refused: 9 + 8 + 4 });
  });

  it('gives a model that is saved and loaded to identical answers', async () => {
    const steps = [
      { factorize: { weights: [FIRST], rank: 4 } },
      { prune: { weights: [SECOND, FIRST], sparsity: 0.5 } },
      { quantize: { weights: ['*'], bits: 8, activations: { bits: 8 }, retrain: { epochs: 1 } } },
    ];
    await apply(steps, async (results) => {
      for (const { model } of results) {
        const file = path.join(folder, 'model.safetensors');
        saveModel(model, file);
        const loaded = loadModel(file);
        const protocol = classificationProtocol(test);
        expect(allBits(loaded)).to.deep.equal(allBits(model));
        expect(await protocol.measure(loaded)).to.deep.equal(await protocol.measure(model));
        loaded.dispose();
      }
    });
  });
  describe('with distillation', () => {
    /** Every label wrong. */
    const misleading = classificationTask({ ...train, labels: train.labels.map((label) => (label + 1) % 3) });
    const retrain = (alpha: number) => ({ epochs: 4, learningRate: 0.01, distill: { temperature: 2, alpha } });

    it('learns nothing new from a perfect teacher when the labels do not count: same bits', () =>
      apply([{ retrain: retrain(0) }], ([result]) => expect(allBits(result!.model)).to.deep.equal(allBits(baseline)), {
        training: misleading,
      }));

    it('is taught by the baseline, also in a later step, as far as alpha says', async () => {
      const protocol = classificationProtocol(test);
      const answers = async (model: Model) => {
        const logits: number[] = [];
        await protocol.measure({
          forward: (...inputs) => {
            const y = model.forward(...inputs);
            logits.push(...(y.toArray() as Float32Array));
            return y;
          },
        });
        return Array.from({ length: 300 }, (_, row) => {
          const of = logits.slice(3 * row, 3 * row + 3);
          return of.indexOf(Math.max(...of));
        });
      };
      const original = await answers(baseline);
      const agreement = async (model: Model) =>
        (await answers(model)).filter((answer, i) => answer === original[i]).length / 300;
      await apply(
        [{ retrain: retrain(1) }, { prune: { weights: [FIRST], sparsity: 0.5, retrain: retrain(0) } }],
        async ([misled, taught]) => {
          expect(await agreement(misled!.model)).to.be.below(0.3);
          expect(await agreement(taught!.model)).to.be.above(0.8);
        },
        { training: misleading },
      );
    });
  });

  it('leaves nothing in memory when it is aborted in training, in calibration or in a decomposition', async () => {
    const reason = new Error('enough');
    const before = { model: baseline, references: new Map() };
    for (const step of [
      { prune: { weights: ['*'], sparsity: 0.5, retrain: { epochs: 2 } } },
      { quantize: { weights: ['*'], bits: 8, activations: { bits: 8 } } },
      { factorize: { weights: ['*'], rank: 2, retrain: { epochs: 2 } } },
    ]) {
      const controller = new AbortController();
      const training = watched(() => controller.abort(reason));
      const [planned] = plan([step]) as [PlannedStep];
      const { signal } = controller;
      expect(await rejectionOf(applyStep(before, planned, context({ training, signal })))).to.equal(reason);
    }
    const [svd] = plan([{ factorize: { weights: [FIRST, SECOND], energy: 0.5 } }]) as [PlannedStep];
    const controller = new AbortController();
    const running = applyStep(before, svd, context({ signal: controller.signal }));
    controller.abort(reason);
    expect(await rejectionOf(running)).to.equal(reason);
  });

  it('leaves nothing in memory when a weight takes more energy than factors save', async () => {
    const [planned] = plan([{ factorize: { weights: ['*'], energy: 0.9999 } }]) as [PlannedStep];
    const error = (await rejectionOf(
      applyStep({ model: baseline, references: new Map() }, planned, context()),
    )) as Error;
    expect(error).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    expect(error.message).to.include(`energy 0.9999 of weight '${FIRST}' [16, 12]`);
  });

  it('leaves nothing in memory when training breaks the weights', async () => {
    const before = { model: baseline, references: new Map() };
    const [planned] = plan([
      { quantize: { weights: ['*'], bits: 8, retrain: { epochs: 3, optimizer: 'sgd', learningRate: 1e30 } } },
    ]) as [PlannedStep];
    const error = await rejectionOf(applyStep(before, planned, context()));
    expect(error)
      .to.have.property('code')
      .that.matches(/NOT_FINITE|OUT_OF_RANGE/);
  });
});
