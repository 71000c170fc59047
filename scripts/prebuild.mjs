/**
 * `npm run prebuild`: the addon for this platform as prebuilds/<platform>-<arch>/tersor.node, which node-gyp-build finds
 * when there is no local build. Node-API keeps it valid for every Node from 20 on. `--out <folder>` puts prebuilds/
 * elsewhere.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { printError, root, run } from './support.mjs';

const { values } = parseArgs({ options: { out: { type: 'string', default: root } } });
const out = path.resolve(values.out);
const { name } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

// prebuildify moves what it packs out of <cwd>/build/Release; a folder of its own keeps the local build whole.
const staging = mkdtempSync(path.join(out, 'build-prebuild-'));
try {
  const shim = path.join(root, 'scripts', 'cmake-js-shim.mjs');
  const prebuildify = path.join(root, 'node_modules', 'prebuildify', 'bin.js');
  const options = ['--napi', '--strip', '--name', name, '--cwd', staging, '--out', out, '--node-gyp', shim];
  await run(process.execPath, [prebuildify, ...options], { show: true });
  console.log(`made ${path.join(out, 'prebuilds', `${process.platform}-${process.arch}`)}`);
} catch (error) {
  printError(error);
  process.exitCode = 1;
} finally {
  rmSync(staging, { recursive: true, force: true });
}
