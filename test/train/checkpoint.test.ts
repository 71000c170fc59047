import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { TersorError } from '../../lib/errors';
import { readSafetensors, type TensorEntry, writeSafetensors } from '../../lib/formats/safetensors';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { loadCheckpoint, saveCheckpoint } from '../../lib/train/checkpoint';
import { temporaryFolder } from '../formats/files';
import { expectSameBits } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

const RUN = 'a run';
const STEPS = 10;

/** Tensors of a run; `offset` tells two states apart. */
function stateOf(offset: number): Map<string, Tensor> {
  return new Map([
    [
      'a.weight/latent',
      tensor([
        [1 + offset, 2, 3],
        [4, -0, 6],
      ]),
    ],
    [
      'a.weight/mask',
      tensor([
        [1, 0, 1],
        [0, 1, offset],
      ]),
    ],
    ['a.weight/input_range', tensor([Number.NaN, Number.NaN])],
    ['first.0', tensor([7 + offset])],
  ]);
}

describe('checkpoints', () => {
  expectNoLeaks();
  const folder = temporaryFolder();
  const file = path.join(folder, 'checkpoint.safetensors');

  /** Changes the file that `saveCheckpoint` writes. */
  function rewritten(change: (tensors: Map<string, TensorEntry>, metadata: Record<string, string>) => void): void {
    saveCheckpoint(file, stateOf(0), { run: RUN, step: 3 });
    const { tensors, metadata } = readSafetensors(file);
    const held = new Map([...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data }]));
    change(held, metadata);
    writeSafetensors(file, held, metadata);
  }

  function expectRefused(code: string, text: RegExp): void {
    const state = stateOf(1);
    expect(() => loadCheckpoint(file, state, { run: RUN, steps: STEPS }), 'load')
      .to.throw(TersorError, text)
      .with.property('code', code);
    const untouched = stateOf(1);
    for (const [name, t] of state) expectSameBits(t, untouched.get(name) as Tensor, name);
  }

  it('bring every bit back, NaN and -0 included, and the step', () => {
    tidy(() => {
      const [saved, loaded] = [stateOf(0), stateOf(1)];
      saveCheckpoint(file, saved, { run: RUN, step: 3 });
      expect(loadCheckpoint(file, loaded, { run: RUN, steps: STEPS })).to.equal(3);
      for (const [name, t] of loaded) expectSameBits(t, saved.get(name) as Tensor, name);
    });
  });

  it('stand at step 0 when there is no file', () => {
    tidy(() => {
      const state = stateOf(1);
      expect(loadCheckpoint(path.join(folder, 'none'), state, { run: RUN, steps: STEPS })).to.equal(0);
      for (const [name, t] of state) expectSameBits(t, stateOf(1).get(name) as Tensor, name);
    });
  });

  it('replace the one before', () => {
    tidy(() => {
      saveCheckpoint(file, stateOf(0), { run: RUN, step: 3 });
      saveCheckpoint(file, stateOf(5), { run: RUN, step: STEPS });
      const state = stateOf(1);
      expect(loadCheckpoint(file, state, { run: RUN, steps: STEPS })).to.equal(STEPS);
      expect(state.get('first.0')?.item()).to.equal(12);
    });
  });

  type Change = Parameters<typeof rewritten>[0];
  const changes: [what: string, code: string, text: RegExp, change: Change][] = [
    [
      'another run',
      'ERR_TERSOR_INVALID_ARGUMENT',
      /expected .*settings a run, got another, at .*checkpoint/,
      (_, metadata) => {
        metadata['tersor.settings'] = 'another';
      },
    ],
    [
      'no run: any other safetensors file',
      'ERR_TERSOR_INVALID_ARGUMENT',
      /got none, at .*checkpoint/,
      (_, metadata) => {
        delete metadata['tersor.settings'];
      },
    ],
    ...['', ' 3', '-1', '1.5', '1e1', 'three', String(STEPS + 1)].map((step): [string, string, RegExp, Change] => [
      `the step '${step}'`,
      'ERR_TERSOR_CORRUPT_FILE',
      /expected a step count in 0\.\.10, got '.*', at .*checkpoint/,
      (_, metadata) => {
        metadata['tersor.step'] = step;
      },
    ]),
    [
      'no step',
      'ERR_TERSOR_CORRUPT_FILE',
      /expected a step count/,
      (_, metadata) => {
        delete metadata['tersor.step'];
      },
    ],
    [
      'a tensor missing',
      'ERR_TERSOR_CORRUPT_FILE',
      /expected F32 \[1\], got none, at tensor 'first.0'/,
      (tensors) => {
        tensors.delete('first.0');
      },
    ],
    [
      'a tensor too many',
      'ERR_TERSOR_CORRUPT_FILE',
      /got also 'second.0'/,
      (tensors) => {
        tensors.set('second.0', tensors.get('first.0') as TensorEntry);
      },
    ],
    [
      'a last tensor of another shape',
      'ERR_TERSOR_CORRUPT_FILE',
      /expected F32 \[1\], got F32 \[2\], at tensor 'first.0'/,
      (tensors) => {
        tensors.set('first.0', { dtype: 'F32', shape: [2], data: new Uint8Array(8) });
      },
    ],
    [
      'a last tensor of another dtype',
      'ERR_TERSOR_CORRUPT_FILE',
      /expected F32 \[1\], got I32 \[1\], at tensor 'first.0'/,
      (tensors) => {
        tensors.set('first.0', { dtype: 'I32', shape: [1], data: new Uint8Array(4) });
      },
    ],
  ];
  for (const [what, code, text, change] of changes) {
    it(`refuse ${what}, and change nothing`, () => {
      tidy(() => {
        rewritten(change);
        expectRefused(code, text);
      });
    });
  }

  it('refuse a file cut short anywhere, and change nothing', () => {
    tidy(() => saveCheckpoint(file, stateOf(0), { run: RUN, step: 3 }));
    const bytes = readFileSync(file);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        writeFileSync(file, bytes.subarray(0, length));
        tidy(() => expectRefused('ERR_TERSOR_CORRUPT_FILE', /expected .*, got .*, at .*checkpoint/));
      }),
    );
  });

  it('refuse a folder', () => {
    const folderAsFile = path.join(folder, 'folder');
    mkdirSync(folderAsFile);
    tidy(() => {
      const load = () => loadCheckpoint(folderAsFile, stateOf(0), { run: RUN, steps: STEPS });
      expect(load).to.throw(TersorError).with.property('code', 'ERR_TERSOR_IO');
    });
  });
});
