import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { TersorError } from '../errors';

/** The folder of an installed package, found from its entry file: `exports` may hide package.json from `require`. */
function packageRoot(name: string): string {
  let folder = path.dirname(require.resolve(name));
  while (path.dirname(folder) !== folder) {
    const manifest = path.join(folder, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === name) return folder;
    folder = path.dirname(folder);
  }
  throw new TersorError('ERR_TERSOR_IO', `expected the package '${name}', got no package.json of it: run npm install`);
}

/**
 * Browser builds of D3 and Observable Plot, in the order in which they must run.
 *
 * @throws TersorError ERR_TERSOR_IO when a package is incomplete
 */
export function pageLibraries(): string[] {
  return [
    path.join(packageRoot('d3'), 'dist', 'd3.min.js'),
    path.join(packageRoot('@observablehq/plot'), 'dist', 'plot.umd.min.js'),
  ].map((file) => {
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      throw new TersorError('ERR_TERSOR_IO', `expected a browser build, got none, at ${file}: run npm install`, {
        cause,
      });
    }
  });
}
