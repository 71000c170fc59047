import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { TersorError } from '../../lib/errors';
import { loadAddon } from '../../lib/native';

const root = path.join(__dirname, '..', '..');

function failureOf(body: () => unknown): TersorError {
  try {
    body();
  } catch (error) {
    expect(error).to.be.instanceOf(TersorError);
    return error as TersorError;
  }
  throw new Error('expected a failure, got a result');
}

/** Loads lib/ in a process of its own with these settings; returns the error's code and message, or 'loaded'. */
function load(env: Record<string, string>): string {
  const program = `try { require('./lib/native'); console.log('loaded'); } catch (error) { console.log(error.code, error.message); }`;
  const options = { cwd: root, encoding: 'utf8', env: { ...process.env, ...env } } as const;
  const { stdout, stderr } = spawnSync(process.execPath, ['--require', 'tsx/cjs', '--eval', program], options);
  expect(stderr).to.equal('');
  return stdout.trim();
}

describe('loading the addon', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'tersor-loading-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('without a binary names the platform and the command that makes one', () => {
    const error = failureOf(() => loadAddon(folder));
    expect(error.code).to.equal('ERR_TERSOR_ADDON');
    expect(error.message).to.include(`${process.platform}-${process.arch}`);
    expect(error.message).to.include('npm rebuild tersor').and.to.include('npm run build');
    expect(error.cause).to.be.instanceOf(Error);
  });

  it('with a binary that does not load says why, and keeps the cause', () => {
    mkdirSync(path.join(folder, 'build', 'Release'), { recursive: true });
    writeFileSync(path.join(folder, 'build', 'Release', 'tersor.node'), 'not a shared library');
    const error = failureOf(() => loadAddon(folder));
    expect(error.code).to.equal('ERR_TERSOR_ADDON');
    expect(error.message).to.include('tersor.node').and.to.include('npm rebuild tersor');
    expect(error.cause).to.have.property('code', 'ERR_DLOPEN_FAILED');
  });

  it('refuses settings that cannot be honoured', () => {
    expect(load({})).to.equal('loaded');
    expect(load({ TERSOR_ISA: 'scalar', TERSOR_THREADS: '3' })).to.equal('loaded');
    expect(load({ TERSOR_ISA: 'sse9' })).to.match(/^ERR_TERSOR_INVALID_ARGUMENT expected .*got sse9.*TERSOR_ISA/);
    expect(load({ TERSOR_THREADS: '0' })).to.match(/^ERR_TERSOR_INVALID_ARGUMENT expected .*got 0.*TERSOR_THREADS/);
  });
});
