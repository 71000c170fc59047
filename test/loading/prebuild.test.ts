import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';

const root = path.join(__dirname, '..', '..');

function run(args: readonly string[], options: { cwd: string; env?: Record<string, string> }): string {
  const env = { ...process.env, ...options.env };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { ...options, env, encoding: 'utf8' });
  expect(status, stdout + stderr).to.equal(0);
  return stdout;
}

describe('a prebuilt addon', function () {
  this.slow(60_000);
  this.timeout(600_000); // compiles what is out of date

  it('is made by `npm run prebuild`, and is what loads where there is no local build', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tersor-prebuild-'));
    try {
      run([path.join('scripts', 'prebuild.mjs'), '--out', folder], { cwd: root });
      const tuple = path.join(folder, 'prebuilds', `${process.platform}-${process.arch}`);
      expect(readdirSync(folder)).to.deep.equal(['prebuilds']);
      expect(readdirSync(tuple).filter((name) => name.endsWith('.node'))).to.deep.equal(['tersor.node']);

      for (const part of ['lib', 'package.json'])
        cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
      symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
      const program = `
        const { tensor } = require('./lib/tensor');
        const loaded = process.report.getReport().sharedObjects.filter((name) => name.endsWith('tersor.node'));
        console.log(JSON.stringify({ loaded, sum: [...tensor([1, 2]).toArray()] }));`;
      const env = { PREBUILDS_ONLY: '1', TERSOR_PREBUILD: '' };
      const output = run(['--require', 'tsx/cjs', '--eval', program], { cwd: folder, env });
      expect(JSON.parse(output)).to.deep.equal({ loaded: [path.join(tuple, 'tersor.node')], sum: [1, 2] });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
