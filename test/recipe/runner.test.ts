import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { classificationProtocol } from '../../lib/evaluate/protocol';
import { readSafetensors } from '../../lib/formats/safetensors';
import { gmf, initialize, loadModel, Model, saveModel } from '../../lib/models';
import { JOURNAL_FOLDER } from '../../lib/recipe/journal';
import { validateRecipe } from '../../lib/recipe/parse';
import type { RunOptions, RunResult } from '../../lib/recipe/runner';
import type { Recipe } from '../../lib/recipe/schema';
import { parseReport, type Report } from '../../lib/report/schema';
import { full, memory, setThreads, threads, tidy, zeros } from '../../lib/tensor';
import { Dense } from '../../lib/weights';
import { childUntil, killHard, nodeArguments, root, temporaryFolder } from '../formats/files';
import { expectNoLeaks } from '../tensor/leaks';
import { QUICK, rejectionOf, SMALL_RECIPE, smallData, smallModel, smallRun, watched } from './small-model';

const STAGES = ['compressed: prune 70 %', 'compressed: int8'];
const INT8 = { quantize: { weights: ['*'], bits: 8 } };
const MODEL = 'model.safetensors';

function recipeOf(...steps: object[]): Recipe {
  return validateRecipe({ recipe: 1, steps });
}

/** What may not differ between two runs: everything but latency, date and the number of threads. */
function comparable({ environment, baseline, stages, ...rest }: Report) {
  const { date, threads, ...machine } = environment;
  return { ...rest, machine, stages: [baseline, ...stages].map(({ latencyMs, ...stage }) => stage) };
}

/** Every file below a folder, by its path in it. */
function filesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => statSync(path.join(folder, name)).isFile()).sort();
}

/** The model's weights as they are stored, to the bit. */
function bitsOf(model: Model): string {
  const stored = [...model.weights].map(([name, weight]) => {
    const { tensors, descriptor } = weight.store();
    return [name, descriptor, ...[...tensors].map(([blob, { data }]) => [blob, Buffer.from(data).toString('base64')])];
  });
  return JSON.stringify(stored);
}

describe('runRecipe', function () {
  this.timeout(30_000);
  const parent = temporaryFolder();
  let baseline: Model;
  let directory: string;
  /** What an undisturbed run leaves, and its directory. */
  let undisturbed: { directory: string; report: Report; bytes: Buffer };

  before(async () => {
    baseline = await smallModel();
    directory = path.join(parent, 'undisturbed');
    const { report } = await run({ directory });
    undisturbed = { directory, report, bytes: readFileSync(path.join(directory, MODEL)) };
  });
  after(() => baseline.dispose());
  beforeEach(() => {
    directory = path.join(mkdtempSync(path.join(parent, 'case-')), 'out');
  });
  expectNoLeaks();

  const journalFolder = () => path.join(directory, JOURNAL_FOLDER);

  /** Runs a recipe, hands the result to `use` and frees its models. */
  async function run(
    options: RunOptions = {},
    { recipe, model = baseline, use }: { recipe?: Recipe; model?: Model; use?: (result: RunResult) => unknown } = {},
  ): Promise<RunResult> {
    const result = await smallRun(model, options, recipe);
    try {
      await use?.(result);
      return result;
    } finally {
      for (const compressed of result.models.values()) compressed.dispose();
    }
  }

  /** Aborts a run when it comes to a batch of a step (both from 0). */
  async function interrupt(step: number, batch: number): Promise<void> {
    const controller = new AbortController();
    const reason = new Error('stopped');
    const training = watched((at, seed) => {
      if (seed === SMALL_RECIPE.seed + step && at === batch) controller.abort(reason);
    });
    const { signal } = controller;
    expect(await rejectionOf(run({ directory, training, signal }))).to.equal(reason);
  }

  /** Resumes the run in the directory and expects what an undisturbed one leaves; the batches trained, as 'step/batch'. */
  async function expectToResume(): Promise<string[]> {
    const batches: string[] = [];
    const training = watched((at, seed) => batches.push(`${seed - SMALL_RECIPE.seed}/${at}`));
    const { report } = await run({ directory, training, resume: true });
    expect(comparable(report)).to.deep.equal(comparable(undisturbed.report));
    expect(readFileSync(path.join(directory, MODEL)).equals(undisturbed.bytes)).to.equal(true);
    expect(filesIn(directory)).to.deep.equal([MODEL, 'report.html', 'report.json']);
    return batches;
  }

  describe('report and files', () => {
    it('measures the baseline and every step, in order, on the packed models', async () => {
      const { report, measurements } = await run(
        {},
        {
          async use({ models, report: { stages } }) {
            expect([...models.keys()]).to.deep.equal(['compressed']);
            const [accuracy] = await classificationProtocol(smallData().test).measure(
              models.get('compressed') as Model,
            );
            const mean = (accuracy?.values.reduce((a, b) => a + b, 0) ?? 0) / 300;
            expect(stages.at(-1)?.metrics).to.deep.equal({ accuracy: mean });
          },
        },
      );
      expect(report.baseline.name).to.equal('baseline');
      expect(report.seed).to.equal(40);
      expect(report.stages.map(({ name }) => name)).to.deep.equal(STAGES);
      expect([...measurements.keys()]).to.deep.equal(['baseline', ...STAGES]);
      for (const stage of report.stages) expect(stage.comparisons?.accuracy?.against).to.equal('baseline');
      const [pruned, quantized] = report.stages;
      expect(pruned?.weights.map(({ representation }) => representation)).to.deep.equal([
        'f32, 69.8 % sparse',
        'f32',
        'f32, 70.3 % sparse',
        'f32',
        'f32',
        'f32',
      ]);
      expect(pruned?.weights.map(({ skipped }) => skipped?.split(' ')[0])).to.deep.equal([
        undefined,
        'biases',
        undefined,
        'biases',
        'a',
        'biases',
      ]);
      expect(quantized?.weights[0]?.representation).to.match(/^int8 per channel, .* sparse, int8 inputs$/);
      for (const i of [0, 2, 4]) expect(quantized?.weights[i]?.sqnrDb).to.be.within(30, 70);
    });

    it('writes a valid report, its page, and a model that loads to identical answers; the journal is gone', async () => {
      await run(
        { directory },
        {
          async use({ report, models }) {
            expect(filesIn(directory)).to.deep.equal([MODEL, 'report.html', 'report.json']);
            const text = readFileSync(path.join(directory, 'report.json'), 'utf8');
            expect(parseReport(text)).to.deep.equal(report);
            const page = readFileSync(path.join(directory, 'report.html'), 'utf8');
            expect(page).to.match(/^<!doctype html>/i);
            for (const stage of STAGES) expect(page).to.include(stage);
            const loaded = loadModel(path.join(directory, MODEL));
            expect(bitsOf(loaded)).to.equal(bitsOf(models.get('compressed') as Model));
            const protocol = classificationProtocol(smallData().test);
            const [before, after] = await Promise.all(
              [models.get('compressed') as Model, loaded].map((model) => protocol.measure(model)),
            );
            expect(after).to.deep.equal(before);
            expect(report.stages.at(-1)?.bytes).to.equal(statSync(path.join(directory, MODEL)).size);
            loaded.dispose();
          },
        },
      );
    });

    it('gives each of several variants a folder, whatever its name, and each starts from the baseline', async () => {
      const variants = ['a', 'journal', 'baseline'].map((name) => ({ name, steps: [INT8] }));
      const recipe = validateRecipe({ recipe: 1, variants });
      const { report } = await run({ directory }, { recipe });
      expect(report.stages.map(({ name }) => name)).to.deep.equal(['a: int8', 'journal: int8', 'baseline: int8']);
      expect(filesIn(directory)).to.deep.equal([
        ...['a', 'baseline', 'journal'].map((name) => path.join(name, MODEL)),
        'report.html',
        'report.json',
      ]);
      const files = ['a', 'baseline', 'journal'].map((name) => readFileSync(path.join(directory, name, MODEL), 'hex'));
      expect(new Set(files).size).to.equal(1);
    });

    it('writes nothing without a directory', async () => {
      const before = readdirSync(root);
      await run({}, { recipe: recipeOf(INT8) });
      expect(readdirSync(root)).to.deep.equal(before);
    });

    it('leaves the baseline as it was, to the bit, and usable', async () => {
      const before = bitsOf(baseline);
      const protocol = classificationProtocol(smallData().test);
      const answers = await protocol.measure(baseline);
      await run();
      expect(bitsOf(baseline)).to.equal(before);
      expect(await protocol.measure(baseline)).to.deep.equal(answers);
    });

    it('does without data and metrics when no step needs them', async () => {
      const options = { training: undefined, protocol: undefined, directory };
      const { report } = await run(options, { recipe: recipeOf(INT8, { prune: { weights: ['*'], sparsity: 0.5 } }) });
      expect(report.stages.map(({ metrics }) => metrics)).to.deep.equal([{}, {}]);
      expect(parseReport(readFileSync(path.join(directory, 'report.json'), 'utf8'))).to.deep.equal(report);
    });

    it('goes on from a compressed model, also a recommender’s', async () => {
      const model = initialize(gmf({ users: 30, items: 20, factors: 8 }), { seed: 1 });
      const rows = { weights: ['*_embedding.weight'], bits: 4, scheme: 'asymmetric', granularity: 'row' };
      const none = { training: undefined, protocol: undefined };
      await run({ ...none, directory }, { model, recipe: recipeOf({ quantize: rows }) });
      const loaded = loadModel(path.join(directory, MODEL));
      const recipe = recipeOf({ prune: { weights: ['prediction.weight'], sparsity: 0.5 } });
      await run(none, {
        model: loaded,
        recipe,
        use({ models, report }) {
          const compressed = models.get('compressed') as Model;
          const kinds = [...compressed.weights.values()].map(({ kind }) => kind);
          expect(kinds).to.deep.equal(['quantized', 'quantized', 'sparse', 'dense']);
          expect(report.stages[0]?.weights[0]?.bytes).to.equal(report.baseline.weights[0]?.bytes);
        },
      });
      model.dispose();
      loaded.dispose();
    });

    it('takes weights that are all zero, whatever they are quantized to', async () => {
      const { architecture } = baseline;
      const zero = architecture.weights.map(({ name, shape }) => [name, new Dense(zeros(shape))] as const);
      const model = new Model(architecture, new Map(zero));
      const variants = [
        { bits: 1 },
        { bits: 1, granularity: 'group', groupSize: 5 },
        { bits: 4 },
        { bits: 8, scheme: 'asymmetric' },
        { bits: 2, scheme: 'asymmetric', granularity: 'row' },
        { bits: 8, activations: { bits: 8 } },
        { bits: 8, activations: { bits: 8, observer: 'dynamic' } },
        { bits: 8, activations: { bits: 8, observer: 'histogram' } },
        { bits: 8, activations: { bits: 8, observer: 'percentile', percentile: 99 } },
      ].map((codes, i) => ({ name: `v${i}`, steps: [{ quantize: { weights: ['*'], ...codes } }] }));
      const recipe = validateRecipe({ recipe: 1, variants });
      await run(
        { directory },
        {
          model,
          recipe,
          use({ models }) {
            for (const compressed of models.values()) {
              const y = tidy(() => compressed.forward(full([1, 12], 1)).toArray() as Float32Array);
              expect(Math.max(...y.map(Math.abs))).to.be.below(1e-30);
            }
          },
        },
      );
      expect(filesIn(directory)).to.have.length(variants.length + 2);
      model.dispose();
    });

    it('tells how far it is, stage by stage', async () => {
      const seen: string[] = [];
      await run({
        onProgress({ stage, done, total, loss }) {
          if (seen.at(-1) !== stage) seen.push(stage);
          expect(done).to.be.within(1, total);
          expect(total).to.equal(20);
          expect(loss).to.be.above(0);
        },
      });
      expect(seen).to.deep.equal(STAGES);
    });
  });

  describe('the same bits', () => {
    it('come from the same run again, with 1, 2 and 3 threads', async () => {
      const usual = threads();
      try {
        for (const count of [1, 2, 3]) {
          setThreads(count);
          const { report } = await run({ directory });
          expect(report.environment.threads).to.equal(count);
          expect(comparable(report)).to.deep.equal(comparable(undisturbed.report));
          expect(readFileSync(path.join(directory, MODEL)).equals(undisturbed.bytes), `${count} threads`).to.equal(
            true,
          );
        }
      } finally {
        setThreads(usual);
      }
    });

    it('come with a directory and without', () =>
      run(
        {},
        {
          use({ models, report }) {
            const file = path.join(parent, 'without.safetensors');
            saveModel(models.get('compressed') as Model, file);
            expect(readFileSync(file).equals(undisturbed.bytes)).to.equal(true);
            expect(comparable(report)).to.deep.equal(comparable(undisturbed.report));
          },
        },
      ));

    it('do not come from another seed; the largest one will do', async () => {
      const [one, two] = await Promise.all(
        [0, Number.MAX_SAFE_INTEGER].map(async (seed) => {
          let bits = '';
          const use = ({ models }: RunResult) => {
            bits = bitsOf(models.get('compressed') as Model);
          };
          const { report } = await run({}, { recipe: { ...SMALL_RECIPE, seed }, use });
          expect(report.seed).to.equal(seed);
          return bits;
        }),
      );
      expect(one).not.to.equal(two);
    });
  });

  describe('interrupted', () => {
    for (const [name, step, batch, resumed] of [
      ['before the first checkpoint', 0, 5, '0/0'],
      ['between two choices of masks, after a checkpoint', 0, 13, '0/10'],
      ['at the first batch of the second step', 1, 0, '1/0'],
      ['in the middle of the second step', 1, 15, '1/10'],
    ] as const) {
      it(`${name}, rejects with the reason, leaves a journal and no model, and resumes to the same bits`, async () => {
        await interrupt(step, batch);
        expect(readdirSync(directory)).to.deep.equal([JOURNAL_FOLDER]);
        expect(filesIn(journalFolder())).to.deep.equal([
          ...(step === 1 ? ['compressed.1.references.safetensors', 'compressed.1.safetensors'] : []),
          ...(batch < 10 ? [] : [`compressed.${step + 1}.checkpoint.safetensors`]),
          'run.json',
        ]);
        const batches = await expectToResume();
        expect(batches[0]).to.equal(resumed);
        expect(batches.at(-1)).to.equal('1/19');
        expect(batches).to.have.length(40 - 20 * step - (batch < 10 ? 0 : 10));
      });
    }

    it('twice, resumes all the same', async () => {
      await interrupt(0, 12);
      const controller = new AbortController();
      const training = watched((at, seed) => {
        if (seed === 41 && at === 12) controller.abort(new Error('again'));
      });
      const { signal } = controller;
      await rejectionOf(run({ directory, training, signal, resume: true }));
      expect((await expectToResume())[0]).to.equal('1/10');
    });

    it('in a later variant, does not train the finished ones again', async () => {
      const retrain = { epochs: 1, batchSize: 20 };
      const variants = [0.5, 0.6, 0.7].map((sparsity, i) => ({
        name: `v${i}`,
        steps: [{ prune: { weights: ['*'], sparsity, retrain } }],
      }));
      const recipe = validateRecipe({ recipe: 1, seed: 40, variants });
      const whole = await run({}, { recipe });
      let batches = 0;
      const controller = new AbortController();
      const counting = watched(() => {
        batches++;
        if (batches === 15) controller.abort(new Error('stopped'));
      });
      await rejectionOf(run({ directory, training: counting, signal: controller.signal }, { recipe }));
      const { report } = await run({ directory, training: counting, resume: true }, { recipe });
      // 10 of the first variant; 5 of the second; again the second, whole, and the third.
      expect(batches).to.equal(10 + 5 + 10 + 10);
      expect(comparable(report)).to.deep.equal(comparable(whole.report));
    });

    it('by SIGKILL, resumes to the same bits', async () => {
      const child = await childUntil(
        `const { smallModel, smallRun, watched } = require('./test/recipe/small-model');
         const training = watched((batch, seed) => {
           if (seed !== 41 || batch !== 15) return;
           require('node:fs').writeSync(1, 'reached\\n');
           Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);
         });
         smallModel().then((model) => smallRun(model, { training, directory: ${JSON.stringify(directory)} }));`,
        'reached',
      );
      await killHard(child);
      expect(readdirSync(directory)).to.deep.equal([JOURNAL_FOLDER]);
      expect((await expectToResume())[0]).to.equal('1/10');
    });

    it('starts anew unless it is told to resume', async () => {
      await interrupt(1, 15);
      const batches: string[] = [];
      const training = watched((at, seed) => batches.push(`${seed - 40}/${at}`));
      await run({ directory, training });
      expect(batches).to.have.length(40);
      expect(batches[0]).to.equal('0/0');
      expect(readFileSync(path.join(directory, MODEL)).equals(undisturbed.bytes)).to.equal(true);
    });

    it('refuses to go on with another recipe, model, data or version, says which, and keeps the journal', async () => {
      await interrupt(1, 15);
      const before = filesIn(directory);
      const other = initialize(baseline.architecture, { seed: 99 });
      const runFile = path.join(journalFolder(), 'run.json');
      const identity = readFileSync(runFile, 'utf8');
      for (const [named, start] of [
        ['another recipe', () => run({ directory, resume: true }, { recipe: { ...SMALL_RECIPE, seed: 41 } })],
        ['another model', () => run({ directory, resume: true }, { model: other })],
        ['another data', () => run({ directory, resume: true, dataId: 'other' })],
        [
          'another version of Tersor',
          () => {
            writeFileSync(runFile, identity.replace(/("version of Tersor": ")[^"]*/, '$10.0.0-older'));
            return run({ directory, resume: true });
          },
        ],
      ] as const) {
        const error = (await rejectionOf(start())) as Error;
        expect(error).to.have.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
        expect(error.message).to.include(`got ${named},`).and.include(journalFolder());
        expect(filesIn(directory)).to.deep.equal(before);
      }
      writeFileSync(runFile, identity);
      await expectToResume();
      other.dispose();
    });

    it('takes an empty or missing folder for a run that had not begun', async () => {
      expect(await expectToResume()).to.have.length(40);
      mkdirSync(`${directory}-2`);
      directory = `${directory}-2`;
      expect(await expectToResume()).to.have.length(40);
    });
  });

  describe('stopped', () => {
    it('does nothing when it was aborted before', async () => {
      const reason = new Error('stopped');
      expect(await rejectionOf(run({ directory, signal: AbortSignal.abort(reason) }))).to.equal(reason);
      expect(existsSync(directory)).to.equal(false);
    });

    it('can be aborted between steps that do not train', async () => {
      const recipe = recipeOf(INT8, INT8, INT8, INT8);
      const controller = new AbortController();
      const reason = new Error('stopped');
      setTimeout(() => controller.abort(reason), 0);
      const options = { protocol: undefined, latency: { ...QUICK, minMs: 20 }, signal: controller.signal };
      expect(await rejectionOf(run(options, { recipe }))).to.equal(reason);
    });
  });

  describe('fails without a trace', () => {
    it('when the recipe does not fit: nothing is created, nothing is trained', async () => {
      let batches = 0;
      const training = watched(() => batches++);
      for (const steps of [
        [SMALL_RECIPE.variants[0]?.steps[0], { prune: { weights: ['layer.0.weight'], sparsity: 0.5 } }],
        [
          { retrain: { epochs: 1 } },
          { prune: { weights: ['*'], sparsity: 0.5 } },
          { quantize: { weights: ['*'], bits: 1 } },
        ],
        [{ retrain: { epochs: 1 } }, { factorize: { weights: ['*'], rank: 5 } }],
      ]) {
        const recipe = recipeOf(...(steps as object[]));
        const error = await rejectionOf(run({ directory, training }, { recipe }));
        expect(error).to.have.property('code', 'ERR_TERSOR_RECIPE');
      }
      expect(existsSync(directory)).to.equal(false);
      expect(batches).to.equal(0);
    });

    it('when the directory cannot be created', async () => {
      mkdirSync(path.dirname(directory), { recursive: true });
      writeFileSync(directory, 'a file');
      for (const taken of [directory, path.join(directory, 'below')]) {
        const error = (await rejectionOf(run({ directory: taken }))) as Error;
        expect(error).to.have.property('code', 'ERR_TERSOR_IO');
        expect(error.message).to.include(taken);
      }
      expect(readFileSync(directory, 'utf8')).to.equal('a file');
    });

    it('in memory, when a later variant fails', async () => {
      const retrain = { epochs: 3, optimizer: 'sgd', learningRate: 1e30 };
      const variants = [
        { name: 'fine', steps: [INT8] },
        { name: 'broken', steps: [INT8, { quantize: { ...INT8.quantize, retrain } }] },
      ];
      const recipe = validateRecipe({ recipe: 1, variants });
      const before = memory();
      expect(await rejectionOf(run({ directory }, { recipe })))
        .to.have.property('code')
        .that.matches(/FINITE|RANGE/);
      expect(memory()).to.deep.equal(before);
      expect(readdirSync(directory)).to.deep.equal([JOURNAL_FOLDER]);
    });

    it('in memory, when measuring or telling of progress fails', async () => {
      const before = memory();
      let measured = 0;
      const protocol = classificationProtocol(smallData().test);
      const failing: typeof protocol = {
        ...protocol,
        measure(model, options) {
          if (++measured === 3) throw new Error('no more');
          return protocol.measure(model, options);
        },
      };
      expect(await rejectionOf(run({ protocol: failing }))).to.have.property('message', 'no more');
      const onProgress = () => {
        throw new Error('no screen');
      };
      expect(await rejectionOf(run({ onProgress }))).to.have.property('message', 'no screen');
      expect(memory()).to.deep.equal(before);
    });
  });

  describe('on a full disk', () => {
    for (const [name, limitOf, left] of [
      ['while training', () => 4, []],
      ['while the results are written', (page: number) => Math.floor(page / 1024), ['report.json']],
    ] as const) {
      it(`${name}, reports it, leaves only whole files, and resumes when there is room`, async () => {
        const page = statSync(path.join(undisturbed.directory, 'report.html')).size;
        const code = `
          const { smallModel, smallRun } = require('./test/recipe/small-model');
          smallModel()
            .then((model) => smallRun(model, { directory: ${JSON.stringify(directory)} }))
            .then(() => console.log('{}'), ({ code, cause, message }) => console.log(JSON.stringify({ code, cause: cause?.code, message })));`;
        const child = spawnSync(
          'bash',
          ['-c', `ulimit -f ${limitOf(page)} && exec "$@"`, 'bash', process.execPath, ...nodeArguments(code)],
          { cwd: root, encoding: 'utf8', env: { ...process.env, TSX_DISABLE_CACHE: '1' } },
        );
        expect(child.stdout, child.stderr).not.to.equal('');
        const error = JSON.parse(child.stdout);
        expect(error).to.include({ code: 'ERR_TERSOR_IO', cause: 'EFBIG' });
        expect(error.message).to.include(directory);
        expect(readdirSync(directory).sort()).to.deep.equal([JOURNAL_FOLDER, ...left]);
        for (const file of filesIn(directory)) {
          expect(file).not.to.match(/\.tmp$/);
          if (file.endsWith('.safetensors')) readSafetensors(path.join(directory, file));
          if (file.endsWith('.json')) JSON.parse(readFileSync(path.join(directory, file), 'utf8'));
        }
        await expectToResume();
      });
    }
  });
});
