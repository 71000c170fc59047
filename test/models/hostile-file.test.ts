import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { TersorError } from '../../lib/errors';
import { loadModel, type Model, saveModel } from '../../lib/models';
import { philox } from '../../lib/random';
import { memory } from '../../lib/tensor';
import { temporaryFolder } from '../data/temporary-folder';
import { caseNamed } from '../weights/cases';
import { answers, MODELS, represented } from './samples';
import { type Change, expectRefused, tampered } from './tampering';

const INT4_ROWS = caseNamed('quantized 4 bit asymmetric per row');

describe('hostile model files', () => {
  const folder = temporaryFolder();
  const tamper = (model: Model, change: Change) => tampered(folder, model, change);

  for (const [name, kind] of [
    ['dense', 'mlp'],
    ['quantized 3 bit asymmetric per channel', 'gmf'],
    ['quantized 8 bit symmetric per channel, int8 inputs', 'mlp'],
    ['sparse 4 bit symmetric per channel, int8 inputs', 'ncf-mlp'],
    ['low rank, sparse int8 factors, int8 inputs', 'mlp'],
  ] as const) {
    describe(`of a model of kind ${kind}, ${name}`, () => {
      let whole: Uint8Array;

      before(() => {
        const dense = MODELS[kind]();
        const model = represented(dense, caseNamed(name));
        saveModel(model, folder.path('whole.safetensors'));
        whole = readFileSync(folder.path('whole.safetensors'));
        dense.dispose();
        model.dispose();
      });

      it('are refused when truncated anywhere', () => {
        for (let length = 0; length < whole.length; length += length < 64 ? 8 : 64) {
          expect(outcome(whole.subarray(0, length)), `${length} bytes`).to.equal('ERR_TERSOR_CORRUPT_FILE');
        }
        expect(outcome(whole.subarray(0, whole.length - 1))).to.equal('ERR_TERSOR_CORRUPT_FILE');
        expect(outcome(Buffer.concat([whole, Buffer.from([0])]))).to.equal('ERR_TERSOR_CORRUPT_FILE');
      });

      it('load and answer, or are refused, with random bytes flipped', () => {
        const random = philox(21);
        const before = memory();
        const outcomes = new Set<string>();
        for (let i = 0; i < 150; i++) {
          const flipped = Uint8Array.from(whole);
          // Half of the time in the header, where most of the structure is.
          const end = i % 2 === 0 ? whole.length : 8 + Number(Buffer.from(whole).readBigUInt64LE());
          for (let k = 0; k <= i % 4; k++) flipped[random.integer(end)]! ^= 1 << random.integer(8);
          outcomes.add(outcome(flipped));
        }
        expect(outcomes).to.include('ERR_TERSOR_CORRUPT_FILE');
        expect(memory().tensors).to.be.at.most(before.tensors);
        expect(memory().bytes).to.be.at.most(before.bytes);
      });
    });
  }

  /** What comes of loading these bytes and asking the model: 'answered', or the code of a TersorError; any other error fails the test. */
  function outcome(content: Uint8Array): string {
    const path = folder.path('hostile.safetensors');
    writeFileSync(path, content);
    let model: Model | undefined;
    try {
      model = loadModel(path);
      answers(model, 3);
      return 'answered';
    } catch (error) {
      expect(error).to.be.instanceOf(TersorError);
      return (error as TersorError).code;
    } finally {
      model?.dispose();
    }
  }

  describe('whose descriptions of weights lie', () => {
    type Description = Record<string, unknown>;

    /** The file of a model whose description of one weight was changed. */
    function described(
      { make }: Parameters<typeof represented>[1],
      kind: 'mlp' | 'gmf',
      change: (description: Description, all: Record<string, Description>) => void,
    ): string {
      const dense = MODELS[kind]();
      const model = represented(dense, { make });
      const name = kind === 'mlp' ? 'layers.1.weight' : 'user_embedding.weight';
      const path = tamper(model, (_, metadata) => {
        const all = JSON.parse(metadata['tersor.weights'] as string) as Record<string, Description>;
        change(all[name] as Description, all);
        metadata['tersor.weights'] = JSON.stringify(all);
      });
      dense.dispose();
      model.dispose();
      return path;
    }

    const LIES: [lie: string, code: string, change: Description][] = [
      ['another shape', 'ERR_TERSOR_SHAPE', { shape: [7, 7] }],
      ['2^31 − 1 rows', 'ERR_TERSOR_SHAPE', { shape: [2 ** 31 - 1, 7] }],
      ['too few dimensions', 'ERR_TERSOR_CORRUPT_FILE', { shape: [42] }],
      ['fractions of rows', 'ERR_TERSOR_CORRUPT_FILE', { shape: [6.5, 7] }],
      ['negative rows', 'ERR_TERSOR_CORRUPT_FILE', { shape: [-6, 7] }],
      ['no columns', 'ERR_TERSOR_CORRUPT_FILE', { shape: [6, 0] }],
      ['2^31 rows and columns', 'ERR_TERSOR_CORRUPT_FILE', { shape: [2 ** 31, 2 ** 31] }],
      ['more elements than can be counted', 'ERR_TERSOR_CORRUPT_FILE', { shape: [2 ** 31 - 1, 2 ** 31 - 1] }],
      ['an unknown field', 'ERR_TERSOR_CORRUPT_FILE', { extra: 1 }],
      ['an unknown kind', 'ERR_TERSOR_CORRUPT_FILE', { kind: 'codebook' }],
      ['no scheme', 'ERR_TERSOR_CORRUPT_FILE', { scheme: undefined }],
      ['7 bits', 'ERR_TERSOR_CORRUPT_FILE', { scheme: { bits: 7, scheme: 'asymmetric', granularity: 'row' } }],
      [
        'groups of no size',
        'ERR_TERSOR_CORRUPT_FILE',
        { scheme: { bits: 4, scheme: 'asymmetric', granularity: 'group' } },
      ],
      ['an input scale of 0', 'ERR_TERSOR_CORRUPT_FILE', { input: { scale: 0, zeroPoint: 0 } }],
      ['an input scale below f32', 'ERR_TERSOR_CORRUPT_FILE', { input: { scale: 1e-300, zeroPoint: 0 } }],
      ['an input scale beyond f32', 'ERR_TERSOR_CORRUPT_FILE', { input: { scale: 1e300, zeroPoint: 0 } }],
      ['an input zero point of 256', 'ERR_TERSOR_CORRUPT_FILE', { input: { scale: 1, zeroPoint: 256 } }],
      ['quantized inputs beside rows with offsets', 'ERR_TERSOR_UNSUPPORTED', { input: { scale: 1, zeroPoint: 0 } }],
    ];
    for (const [lie, code, change] of LIES) {
      it(`are refused: ${lie}`, () => {
        const path = described(INT4_ROWS, 'mlp', (description) => Object.assign(description, change));
        expectRefused(path, code, /expected .*, got /);
      });
    }

    it('are refused: a sparse table of more rows than its nonzeros account for, before memory is taken', () => {
      const sparse = caseNamed('sparse f32');
      for (const shape of [
        [2 ** 31 - 1, 7],
        [2 ** 30, 7],
        [12, 2 ** 30],
      ]) {
        const path = described(sparse, 'gmf', (description, all) => {
          description.shape = shape;
          if (shape[0] === 12) (all['item_embedding.weight'] as Description).shape = [17, shape[1]];
        });
        const rss = process.memoryUsage().rss;
        const code = shape[0] === 12 ? 'ERR_TERSOR_SHAPE' : 'ERR_TERSOR_UNSUPPORTED';
        expectRefused(path, code, /expected/);
        expect(process.memoryUsage().rss - rss).to.be.below(2 ** 28);
      }
    });

    it('are refused: counts of nonzeros that the indices do not bear out', () => {
      const sparse = caseNamed('sparse f32');
      for (const nonzeros of [0, 1, 83, 85, 2 ** 31, 2 ** 53 - 1, -1, 0.5]) {
        const path = described(sparse, 'gmf', (description) => {
          description.nonzeros = nonzeros;
        });
        expectRefused(path, 'ERR_TERSOR_CORRUPT_FILE', /expected .*, got /);
      }
    });

    it('are refused: a description for a bias, for a weight that is not there, under the names of prototypes', () => {
      for (const name of ['layers.1.bias', 'layers.7.weight', 'constructor', 'hasOwnProperty']) {
        const path = described(INT4_ROWS, 'mlp', (description, all) => {
          all[name] = description;
        });
        expectRefused(path, 'ERR_TERSOR_SHAPE', name);
      }
      const model = MODELS.mlp();
      for (const json of ['{"__proto__":{"kind":"quantized"}}', '{"__proto__":null}']) {
        const path = tamper(model, (_, metadata) => {
          metadata['tersor.weights'] = json;
        });
        try {
          loadModel(path).dispose();
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_TERSOR_CORRUPT_FILE');
        }
        expect(({} as Description).kind).to.equal(undefined);
      }
      model.dispose();
    });

    it('are refused: descriptions that are no JSON, or not of objects', () => {
      const model = MODELS.mlp();
      for (const json of ['', '{', 'null', '[]', '1', '"x"', '{"layers.0.weight":null}', '['.repeat(100_000)]) {
        const path = tamper(model, (_, metadata) => {
          metadata['tersor.weights'] = json;
        });
        expectRefused(path, 'ERR_TERSOR_CORRUPT_FILE', "at metadata 'tersor.weights'");
      }
      model.dispose();
    });
  });
});
