import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import type { ClassificationData } from '../../lib/data/classification';
import { saveClassification } from '../../lib/data/classification-file';
import { initialize, mlp, saveModel } from '../../lib/models';
import { philox } from '../../lib/random';
import { JOURNAL_FOLDER } from '../../lib/recipe/journal';
import { parseReport, type Report } from '../../lib/report/schema';
import { root, temporaryFolder, tinyDisk } from '../formats/files';
import { withShared } from '../support/shared';
import { type Outcome, tersor } from './tersor';

const FEATURES = 8;
const CLASSES = 3;

/** Points around one corner of a cube for each class. */
function clusters(count: number, seed: number): ClassificationData {
  const random = philox(seed);
  const labels = Int32Array.from({ length: count }, (_, i) => i % CLASSES);
  const inputs = new Float32Array(count * FEATURES).map((_, i) => {
    const label = labels[Math.floor(i / FEATURES)] as number;
    return (i % CLASSES === label ? 1 : 0) + random.uniform() - 0.5;
  });
  return { inputs, labels, features: FEATURES, classes: CLASSES };
}

function jsonOf({ code, stdout, stderr }: Outcome): Record<string, unknown> {
  expect(code, stderr).to.equal(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('tersor compress, evaluate and inspect', function () {
  this.timeout(60_000);
  const parent = temporaryFolder();
  const at = (...names: string[]) => path.join(parent, ...names);
  const model = at('model.safetensors');
  const data = at('data.safetensors');
  let folder: string;
  let out: string;
  const recipe = (text: string) => {
    const file = path.join(folder, 'recipe.yaml');
    writeFileSync(file, text);
    return file;
  };

  before(() => {
    const fresh = initialize(mlp([FEATURES, 16, CLASSES]), { seed: 1 });
    saveModel(fresh, model);
    fresh.dispose();
    saveClassification(data, { train: clusters(300, 1), test: clusters(200, 2) });
  });
  beforeEach(() => {
    folder = mkdtempSync(at('case-'));
    out = path.join(folder, 'out');
  });

  const PRUNE_INT8 = `recipe: 1
steps:
  - prune: { weights: ['layers.0.weight'], sparsity: 0.5, retrain: { epochs: 10, learningRate: 0.01 } }
  - quantize: { weights: ['*.weight'], bits: 8 }
`;

  it('writes the model, report.json and report.html; the printed JSON is the report; evaluating the folder gives its figures', async () => {
    const file = recipe(PRUNE_INT8);
    const done = await tersor([
      'compress',
      model,
      '--recipe',
      file,
      '--data',
      data,
      '-o',
      out,
      '--seed',
      '5',
      '--json',
    ]);
    expect(readdirSync(out).sort()).to.deep.equal(['model.safetensors', 'report.html', 'report.json']);
    const report = parseReport(readFileSync(path.join(out, 'report.json'), 'utf8'));
    expect(jsonOf(done)).to.deep.equal(report);
    expect(done.stderr).to.match(/compressed: prune 50 %: 100\/100, loss [\d.]+/);
    expect(report.seed).to.equal(5);
    expect(report.stages.map(({ name }) => name)).to.deep.equal(['compressed: prune 50 %', 'compressed: int8']);
    const last = report.stages[1] as (typeof report.stages)[0];
    expect(last.metrics.accuracy)
      .to.be.above(0.95)
      .and.above(report.baseline.metrics.accuracy as number);

    const evaluated = jsonOf(await tersor(['evaluate', out, '--data', data, '--json']));
    expect(evaluated).to.deep.include({ kind: 'mlp', protocol: 'classification', metrics: last.metrics });
    expect(evaluated.bytes)
      .to.equal(last.bytes)
      .and.equal(statSync(path.join(out, 'model.safetensors')).size);
    expect(evaluated.environment).to.include.keys('tersor', 'isa', 'threads');
    const text = await tersor([
      'evaluate',
      out,
      '--protocol',
      'classification',
      '--data',
      data,
      '--metrics',
      'accuracy',
    ]);
    expect(text.stdout).to.include(`${((last.metrics.accuracy as number) * 100).toFixed(2)} %`);

    const inspected = jsonOf(await tersor(['inspect', out, '--json']));
    expect(inspected).to.include({ kind: 'mlp', fileBytes: last.bytes, macs: last.macs });
    expect(inspected.totals).to.include({ parameters: last.parameters, nonzeros: last.nonzeros });
    const weights = inspected.weights as {
      name: string;
      representation: string;
      shape: number[];
      nonzeros: number;
      parameters: number;
    }[];
    expect(weights.map(({ name, representation }) => [name, representation])).to.deep.equal(
      last.weights.map(({ name, representation }) => [name, representation]),
    );
    expect(weights[0]).to.deep.include({ name: 'layers.0.weight', shape: [16, 8] });
    expect(weights[0]?.nonzeros).to.be.at.most(64);
    expect((await tersor(['inspect', out])).stdout)
      .to.include(weights[0]?.representation)
      .and.include('model of kind mlp');
  });

  it('prints a table and the names of the files for people', async () => {
    const { code, stdout } = await tersor([
      'compress',
      model,
      '--recipe',
      recipe(PRUNE_INT8),
      '--data',
      data,
      '-o',
      out,
    ]);
    expect(code).to.equal(0);
    expect(stdout)
      .to.include('compressed: int8')
      .and.include('accuracy')
      .and.include(path.join(out, 'model.safetensors'));
  });

  it('--dry-run says what would be done, checks the recipe against the model, and writes nothing', async () => {
    const file = recipe(PRUNE_INT8);
    const args = ['compress', model, '--recipe', file, '-o', out, '--dry-run'];
    const { code, stdout } = await tersor([...args, '--data', data]);
    expect(code).to.equal(0);
    expect(stdout.split('\n')).to.deep.equal([
      '1. Prune layers.0.weight: remove the 50 % of smallest magnitude, at once; retrain the rest for 10 epochs of adam, batches of 32, learning rate 0.01 (cosine).',
      '2. Quantize *.weight to 8 bits, symmetric, one scale per channel, after training.',
      'compressed: layers.0.weight, layers.1.weight',
      'left as they are: layers.0.bias, layers.1.bias',
      '',
    ]);
    const { variants } = jsonOf(await tersor([...args, '--data', data, '--json'])) as {
      variants: { steps: { weights: string[] }[] }[];
    };
    expect(variants[0]?.steps.map(({ weights }) => weights)).to.deep.equal([
      ['layers.0.weight'],
      ['layers.0.weight', 'layers.1.weight'],
    ]);
    const without = await tersor(args);
    expect(without)
      .to.include({ code: 1 })
      .and.to.have.property('stderr')
      .that.includes('expected training data')
      .and.includes('ERR_TERSOR_RECIPE');
    expect(readdirSync(folder)).to.deep.equal(['recipe.yaml']);
  });

  it('quantizes with a low-rank correction: true bytes in the report, and a model that evaluates to its figures', async () => {
    const codes = "weights: ['layers.0.weight'], bits: 2, granularity: tensor";
    const file = recipe(`recipe: 1
variants:
  - name: codes
    steps: [{ quantize: { ${codes} } }]
  - name: corrected
    steps: [{ quantize: { ${codes}, correction: { rank: 4 } } }]
`);
    const args = ['compress', model, '--recipe', file, '-o', out];
    expect((await tersor([...args, '--dry-run'])).stdout).to.include('after training; add the error by SVD to rank 4.');
    const report = jsonOf(await tersor([...args, '--data', data, '--json'])) as unknown as Report;
    const [alone, corrected] = report.stages.map(({ weights }) =>
      weights.find(({ name }) => name === 'layers.0.weight'),
    );
    expect(corrected?.representation).to.equal('int2 per tensor + rank 4 (f32)');
    expect(corrected?.bytes).to.equal((alone?.bytes as number) + 4 * 4 * (FEATURES + 16));
    expect(corrected?.sqnrDb).to.be.above((alone?.sqnrDb as number) + 1);
    const folderOf = path.join(out, 'corrected');
    const [, last] = report.stages;
    expect(last?.bytes).to.equal(statSync(path.join(folderOf, 'model.safetensors')).size);
    const evaluated = jsonOf(await tersor(['evaluate', folderOf, '--data', data, '--json']));
    expect(evaluated).to.deep.include({ metrics: last?.metrics, bytes: last?.bytes });
    const misspelt = recipe(
      `recipe: 1\nsteps:\n  - quantize:\n      weights: ['*']\n      bits: 4\n      corection: { rank: 4 }\n`,
    );
    expect((await tersor(['compress', model, '--recipe', misspelt, '-o', out, '--force'])).stderr)
      .to.include(`${misspelt}:6:7: expected one of`)
      .and.include("(did you mean 'correction'?)");
  });

  it('reports a misspelt key of the recipe with file, line, column and the nearest one', async () => {
    const file = recipe("recipe: 1\nsteps:\n  - prune:\n      weights: ['*']\n      sparcity: 0.8\n");
    const { code, stderr } = await tersor(['compress', model, '--recipe', file, '-o', out]);
    expect(code).to.equal(1);
    expect(stderr)
      .to.include(`${file}:5:7: expected one of`)
      .and.include("(did you mean 'sparsity'?)")
      .and.include('code: ERR_TERSOR_RECIPE');
  });

  it('writes into a folder that is not empty only with --force, and resumes only what was interrupted', async () => {
    const file = recipe("recipe: 1\nsteps: [{ quantize: { weights: ['*.weight'], bits: 8 } }]\n");
    const args = ['compress', model, '--recipe', file, '-o', out];
    expect(await tersor(args)).to.include({ code: 0 });
    const before = readFileSync(path.join(out, 'model.safetensors'));
    const refused = await tersor(args);
    expect(refused).to.include({ code: 1 }).and.to.have.property('stderr').that.includes('--force');
    const nothing = await tersor([...args, '--resume']);
    expect(nothing).to.include({ code: 1 }).and.to.have.property('stderr').that.includes('expected an interrupted run');
    expect(readFileSync(path.join(out, 'model.safetensors')).equals(before)).to.equal(true);
    const four = recipe("recipe: 1\nsteps: [{ quantize: { weights: ['*.weight'], bits: 4 } }]\n");
    expect(await tersor(['compress', model, '--recipe', four, '-o', out, '--force'])).to.include({ code: 0 });
    expect(readFileSync(path.join(out, 'model.safetensors')).length).to.be.below(before.length);
  });

  it('gives each variant a folder, and names them when the parent is evaluated', async () => {
    const step = (bits: number) => `steps: [{ quantize: { weights: ['*.weight'], bits: ${bits} } }]`;
    const file = recipe(`recipe: 1\nvariants:\n  - name: a8\n    ${step(8)}\n  - name: b4\n    ${step(4)}\n`);
    expect(await tersor(['compress', model, '--recipe', file, '-o', out])).to.include({ code: 0 });
    expect(readdirSync(out).sort()).to.deep.equal(['a8', 'b4', 'report.html', 'report.json']);
    const parentFolder = await tersor(['inspect', out]);
    expect(parentFolder)
      .to.include({ code: 1 })
      .and.to.have.property('stderr')
      .that.includes(`several variants: ${path.join(out, 'a8')}, ${path.join(out, 'b4')}`);
    expect(jsonOf(await tersor(['inspect', path.join(out, 'b4'), '--json']))).to.include({ kind: 'mlp' });
    expect(await tersor(['inspect', folder]))
      .to.have.property('stderr')
      .that.includes('expected one model.safetensors in the folder, got none');
  });

  it('lists the tensors of a safetensors file that is no model', async () => {
    const listed = jsonOf(await tersor(['inspect', data, '--json'])) as {
      kind: null;
      weights: { name: string; representation: string; bytes: number }[];
    };
    expect(listed.kind).to.equal(null);
    expect(listed.weights.map(({ name }) => name).sort()).to.deep.equal([
      'test.inputs',
      'test.labels',
      'train.inputs',
      'train.labels',
    ]);
    expect(listed.weights.find(({ name }) => name === 'test.inputs')).to.include({
      representation: 'f32',
      bytes: 200 * FEATURES * 4,
    });
    expect((await tersor(['inspect', data, '--model', 'ncf_mpl'])).stderr).to.include("did you mean 'ncf-mlp'?");
  });

  it('stops at Ctrl-C with 130 and nothing half-written; --resume then gives the same model as an undisturbed run', async () => {
    const file = recipe(`recipe: 1
steps:
  - quantize: { weights: ['layers.1.weight'], bits: 8 }
  - retrain: { epochs: 120, learningRate: 0.001 }
`);
    const args = ['compress', model, '--recipe', file, '--data', data, '-o', out, '--json'];
    const checkpoint = path.join(out, JOURNAL_FOLDER, 'compressed.2.checkpoint.safetensors');
    const stopped = await tersor(args, {
      onStart: (child) => {
        const timer = setInterval(() => {
          if (!existsSync(checkpoint)) return;
          clearInterval(timer);
          child.kill('SIGINT');
        }, 10);
        child.once('exit', () => clearInterval(timer));
      },
    });
    expect(stopped.code, stopped.stderr).to.equal(130);
    expect(JSON.parse(stopped.stdout)).to.have.nested.property('error.code', 'ERR_TERSOR_CANCELLED');
    expect(stopped.stderr).to.match(/compressed: retrain: \d+\/1200/);
    expect(readdirSync(out)).to.deep.equal([JOURNAL_FOLDER]);
    expect(readdirSync(path.join(out, JOURNAL_FOLDER)).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);

    const resumed = jsonOf(await tersor([...args, '--resume'])) as unknown as Report;
    expect(readdirSync(out).sort()).to.deep.equal(['model.safetensors', 'report.html', 'report.json']);
    const elsewhere = path.join(folder, 'undisturbed');
    const undisturbed = jsonOf(await tersor(args.map((arg) => (arg === out ? elsewhere : arg)))) as unknown as Report;
    const bytes = (where: string) => readFileSync(path.join(where, 'model.safetensors'));
    expect(bytes(out).equals(bytes(elsewhere))).to.equal(true);
    expect(resumed.stages.map(({ metrics }) => metrics)).to.deep.equal(
      undisturbed.stages.map(({ metrics }) => metrics),
    );
  });

  it('leaves no model behind when the disk is full', () => {
    const disk = path.join(folder, 'disk');
    mkdirSync(disk);
    // Where no file system may be mounted, no file may be large.
    const prefix = tinyDisk(disk) ?? ['bash', '-c', 'ulimit -f 64 && exec "$@"', 'bash'];
    const file = recipe("recipe: 1\nsteps: [{ quantize: { weights: ['*.weight'], bits: 8 } }]\n");
    const script = `"$0" --require tsx/cjs lib/cli/main.ts compress "$1" --recipe "$2" --data "$4" -o "$3/out"; echo "exit $?"; ls -A "$3/out"`;
    const [program = '', ...args] = [...prefix, 'bash', '-c', script, process.execPath, model, file, disk, data];
    const { stdout, stderr } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
    expect(stdout.split('\n')[0], stderr).to.equal('exit 1');
    expect(stderr)
      .to.match(/ENOSPC|EFBIG/)
      .and.include('code: ERR_TERSOR_IO');
    const left = stdout.split('\n').slice(1).filter(Boolean);
    expect(left.filter((name) => name !== JOURNAL_FOLDER && name !== 'report.json')).to.deep.equal([]);
  });

  withShared(['data', 'ncf-ml-1m', 'gmf.safetensors'], (gmf) => {
    const near = path.dirname(gmf);
    const protocol = [
      '--protocol',
      'leave-one-out',
      '--ratings',
      path.join(near, 'ml-1m.test.rating'),
      '--negatives',
      path.join(near, 'ml-1m.test.negative'),
      '--metrics',
      'hr@10,ndcg@10',
      '--json',
    ];
    const metricsOf = async (given: string) =>
      jsonOf(await tersor(['evaluate', given, '--model', 'gmf', ...protocol])).metrics as Record<string, number>;

    it('evaluates a recommender trained by others to its published figures', async () => {
      const metrics = await metricsOf(gmf);
      expect(metrics['hr@10']).to.be.closeTo(0.6356, 0.0003);
      expect(metrics['ndcg@10']).to.be.closeTo(0.3667, 0.0003);
    });

    for (const [bits, hr, ndcg] of [
      [8, 0.6358, 0.3667],
      [4, 0.6306, 0.3642],
      [3, 0.6255, 0.3598],
      [2, 0.5868, 0.3265],
    ] as const) {
      it(`compresses its embeddings to ${bits} bits a row with the expected loss`, async () => {
        const file = recipe(
          `recipe: 1\nsteps: [{ quantize: { weights: ['*_embedding.weight'], bits: ${bits}, scheme: asymmetric, granularity: row } }]\n`,
        );
        expect(await tersor(['compress', gmf, '--model', 'gmf', '--recipe', file, '-o', out])).to.include({ code: 0 });
        const metrics = await metricsOf(out);
        expect(metrics['hr@10']).to.be.closeTo(hr, 0.001);
        expect(metrics['ndcg@10']).to.be.closeTo(ndcg, 0.001);
      });
    }
  });
});
