import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';

const lib = path.join(__dirname, '../../lib');

/** From the ground up; a file imports from its own layer and from those before it. */
const LAYERS = [
  'errors',
  'nearest',
  'quantile',
  'random',
  'formats',
  'native',
  'tensor',
  'sparse',
  'search',
  'autograd',
  'weights',
  'nn',
  'models',
  'data',
  'evaluate',
  'train',
  'compress',
  'report',
  'recipe',
  'cli',
  'index',
];

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts') && !name.endsWith('.d.ts'),
);

function layerOf(file: string): string {
  return (file.split(path.sep)[0] as string).replace(/\.ts$/, '');
}

/** What a file names in its static, dynamic and type imports and its re-exports. */
function importsOf(file: string): string[] {
  const source = readFileSync(path.join(lib, file), 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  return [...source.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)'([^']+)'/g)].map(
    (match) => match[1] as string,
  );
}

describe('layers', () => {
  it('know every file of lib', () => {
    expect(new Set(files.map(layerOf))).to.deep.equal(new Set(LAYERS));
  });

  it('import downward only', () => {
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter((name) => name.startsWith('.'))
        .map((name) => ({
          file,
          name,
          target: layerOf(path.relative(lib, path.resolve(lib, path.dirname(file), name))),
        }))
        .filter(({ target }) => !(LAYERS.indexOf(target) <= LAYERS.indexOf(layerOf(file))))
        .map(({ name }) => `${file} imports '${name}'`),
    );
    expect(upward).to.deep.equal([]);
  });

  it('leave loading the addon to lib/native.ts', () => {
    expect(files.filter((file) => importsOf(file).includes('node-gyp-build'))).to.deep.equal(['native.ts']);
  });
});
