import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { root } from './consumer';

const filesIn = (folder: string) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => path.posix.join(folder, name))
    .filter((name) => statSync(path.join(root, name)).isFile());

const without = (names: readonly string[], others: readonly string[]) => names.filter((name) => !others.includes(name));

describe('the published package', () => {
  let packed: string[];

  before(function () {
    this.timeout(60_000);
    const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const parsed: unknown = JSON.parse(json);
    // An array up to npm 11, an object by package name after it.
    const [entry] = (Array.isArray(parsed) ? parsed : Object.values(parsed as object)) as {
      files: { path: string }[];
    }[];
    packed = entry!.files.map((file) => file.path);
  });

  it('holds what a build from source needs: native code, CMake files, no tests', () => {
    const sources = [
      'CMakeLists.txt',
      ...filesIn('cmake'),
      ...filesIn('native').filter((name) => !name.startsWith('native/test/')),
    ];
    expect(without(sources, packed)).to.deep.equal([]);
  });

  it('holds the compiled files of every module, with types, and nothing that has no source any more', () => {
    const modules = filesIn('lib')
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map((name) => name.replace(/^lib/, 'dist').replace(/\.ts$/, ''));
    const expected = [
      ...modules.flatMap((name) => [`${name}.js`, `${name}.d.ts`]),
      'dist/index.mjs',
      'dist/index.d.mts',
    ];
    const compiled = packed.filter((name) => name.startsWith('dist/'));
    expect({ missing: without(expected, compiled), extra: without(compiled, expected) }).to.deep.equal({
      missing: [],
      extra: [],
    });
  });

  it('holds nothing else', () => {
    const places = new Set(packed.map((name) => name.split('/')[0]));
    places.delete('prebuilds');
    expect(places).to.deep.equal(
      new Set(['CHANGELOG.md', 'CMakeLists.txt', 'LICENSE', 'README.md', 'cmake', 'dist', 'native', 'package.json']),
    );
    expect(packed.filter((name) => name.startsWith('prebuilds/') && !/\.(node|so)$/.test(name))).to.deep.equal([]);
  });

  it('has what package.json points to, and a command that can be executed', () => {
    const { main, types, bin, exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    const targets = [
      main,
      types,
      ...Object.values(bin),
      ...['import', 'require'].flatMap((kind) => Object.values(exports['.'][kind])),
    ];
    const files = (targets as string[]).map((target) => path.posix.normalize(target));
    expect(without(files, packed)).to.deep.equal([]);
    for (const command of Object.values(bin) as string[]) {
      expect(readFileSync(path.join(root, command), 'utf8')).to.match(/^#!\/usr\/bin\/env node\n/);
      expect(statSync(path.join(root, command)).mode & 0o111).to.equal(0o111);
    }
  });
});
