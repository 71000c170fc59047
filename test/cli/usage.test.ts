import { closeSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { MODEL_KINDS } from '../../lib/models';
import { temporaryFolder } from '../formats/files';
import { tersor } from './tersor';

describe('tersor', () => {
  const folder = temporaryFolder();

  for (const [args, shown] of [
    [['--help'], ['compress', 'evaluate', 'inspect', 'devices', 'Exit codes']],
    [
      ['compress', '--help'],
      ['--recipe <file>', '--resume', '--dry-run', '--json'],
    ],
    [
      ['evaluate', '--help'],
      ['--protocol <name>', '--ratings <file>', '--json'],
    ],
    [
      ['inspect', '--help'],
      ['--model <kind>', '--json'],
    ],
    [['devices', '--help'], ['--json']],
  ] as const) {
    it(`${args.join(' ')} explains itself with examples, also without a native addon`, async () => {
      // A level that no machine has makes loading the addon fail.
      const { code, stdout, stderr } = await tersor(args, { env: { TERSOR_ISA: 'none' } });
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
      expect(stdout)
        .to.match(/^Usage: tersor/)
        .and.match(/Examples:\n {2}\$ .*tersor /);
      for (const text of shown) expect(stdout).to.include(text);
      if (shown.some((text) => text.startsWith('--model')))
        for (const kind of MODEL_KINDS) expect(stdout).to.include(kind);
    });
  }

  it('prints its version', async () => {
    const { version } = require('../../package.json') as { version: string };
    expect(await tersor(['--version'])).to.include({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  for (const [name, args, message] of [
    ['no command', [], 'Usage: tersor'],
    ['an unknown command, and suggests the nearest', ['inspekt', 'x'], 'Did you mean inspect?'],
    ['an unknown option, and suggests the nearest', ['devices', '--jsn'], 'Did you mean --json?'],
    ['a missing argument', ['inspect'], "missing required argument 'model'"],
    ['a missing recipe', ['compress', 'x'], "required option '--recipe <file>' not specified"],
    [
      'compressing to nowhere',
      ['compress', 'x', '--recipe', 'y'],
      'expected -o, --out <folder> or --dry-run, got neither',
    ],
    ['a seed that is no number', ['compress', 'x', '--recipe', 'y', '--seed', '1.5'], 'Expected a whole number'],
    [
      'resuming and overwriting at once',
      ['compress', 'x', '--recipe', 'y', '--resume', '--force'],
      'cannot be used with',
    ],
    [
      'an unknown protocol',
      ['evaluate', 'x', '--protocol', 'holdout'],
      'Allowed choices are leave-one-out, classification',
    ],
    ['no protocol', ['evaluate', 'x'], 'expected --protocol leave-one-out or classification with its files, got none'],
    [
      'metrics without a protocol',
      ['evaluate', 'x', '--metrics', 'hr@10'],
      'expected --protocol beside --metrics, got none',
    ],
    [
      'a protocol without its file',
      ['evaluate', 'x', '--protocol', 'leave-one-out', '--ratings', 'r'],
      'expected --negatives <file> for the leave-one-out protocol, got none',
    ],
    [
      'a file of another protocol',
      ['evaluate', 'x', '--ratings', 'r', '--protocol', 'classification', '--data', 'd'],
      "expected no --ratings for the classification protocol, got 'r'",
    ],
  ] as const) {
    it(`exits with 2 after ${name}`, async () => {
      const { code, stdout, stderr } = await tersor(args);
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' });
      expect(stderr).to.include(message);
    });
  }

  it('prints an error as JSON on standard output when asked for JSON', async () => {
    for (const [args, exit, expected, message] of [
      [['devices', '--json', '--jsn'], 2, 'ERR_TERSOR_INVALID_ARGUMENT', /^unknown option '--jsn'/],
      [['evaluate', 'x', '--json'], 2, 'ERR_TERSOR_INVALID_ARGUMENT', /^expected --protocol/],
      [['inspect', path.join(folder, 'none'), '--json'], 1, 'ERR_TERSOR_IO', /ENOENT.*none$/],
    ] as const) {
      const { code, stdout } = await tersor(args);
      expect(code).to.equal(exit);
      const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
      expect(error.code).to.equal(expected);
      expect(error.message).to.match(message);
    }
  });

  it('prints message and code of an error, and its stack only when TERSOR_DEBUG is set', async () => {
    const file = path.join(folder, 'broken.safetensors');
    writeFileSync(file, 'broken');
    const plain = await tersor(['inspect', file]);
    expect(plain).to.include({
      code: 1,
      stdout: '',
      stderr: `error: expected at least 8 bytes, got 6, at ${file}\ncode: ERR_TERSOR_CORRUPT_FILE\n`,
    });
    const debug = await tersor(['inspect', file], { env: { TERSOR_DEBUG: '1' } });
    expect(debug.stderr).to.match(/^error: expected at least 8 bytes.*\n {4}at /s);
  });

  it('fails when the result cannot be printed', async () => {
    const full = openSync('/dev/full', 'w');
    try {
      const { code, stderr } = await tersor(['devices'], { stdout: full });
      expect(code).to.equal(1);
      expect(stderr).to.include('ENOSPC').and.include('code: ERR_TERSOR_IO').and.not.include('    at ');
    } finally {
      closeSync(full);
    }
  });

  it('ends at once at the second Ctrl-C, even when something keeps it alive', async () => {
    const alive = path.join(folder, 'alive.cjs');
    writeFileSync(alive, 'setInterval(() => {}, 1000);');
    const { code, signal } = await tersor(['devices'], {
      env: { NODE_OPTIONS: `--require ${alive}` },
      onStart: (child) => {
        child.stdout?.once('data', () => child.kill('SIGINT'));
        child.stderr?.once('data', () => child.kill('SIGINT'));
      },
    });
    expect({ code, signal }).to.deep.equal({ code: null, signal: 'SIGINT' });
  });

  it('devices names the processor, and for every operation one kernel in use and why the others are not', async () => {
    const { code, stdout, stderr } = await tersor(['devices', '--json'], { env: { TERSOR_ISA: 'scalar' } });
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    const { devices, kernels } = JSON.parse(stdout) as {
      devices: { name: string; available: boolean; reason: string; isa: string }[];
      kernels: { operation: string; isa: string; selected: boolean; reason: string }[];
    };
    expect(devices.find(({ name }) => name === 'cpu')).to.include({ available: true, isa: 'scalar' });
    for (const { available, reason } of devices) expect(reason === '').to.equal(available);
    const operations = new Set(kernels.map(({ operation }) => operation));
    expect([...operations]).to.include.members(['gemm', 'gemm_int8', 'csr_gemm']);
    for (const operation of operations) {
      const used = kernels.filter((kernel) => kernel.operation === operation && kernel.selected);
      expect(used.map(({ isa }) => isa)).to.deep.equal(['scalar']);
    }
    for (const { selected, reason } of kernels) expect(reason === '').to.equal(selected);
    const text = (await tersor(['devices'], { env: { TERSOR_ISA: 'scalar' } })).stdout;
    for (const { operation, reason } of kernels) expect(text).to.include(operation).and.include(reason);
  });
});
