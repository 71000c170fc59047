#!/usr/bin/env node
/**
 * Stands in for node-gyp under prebuildify, which has no mode for cmake-js: takes its call
 * `rebuild --target=… --devdir=… --arch=… --release`, builds with cmake-js and leaves the addon, and the libraries that
 * lie beside it, in ./build/Release. Target and devdir choose Node's headers; Node-API needs none of a version.
 */
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root, run } from './support.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string' },
    devdir: { type: 'string' },
    arch: { type: 'string', default: process.arch },
    release: { type: 'boolean' },
  },
});
if (positionals.join() !== 'rebuild') throw new Error(`expected the command 'rebuild', got '${positionals.join(' ')}'`);

const build = path.join(root, values.arch === process.arch ? 'build' : `build-${values.arch}`);
const cmakeJs = path.join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js');
await run(process.execPath, [cmakeJs, 'compile', '--arch', values.arch, '--out', build], { show: true });

const from = path.join(build, 'Release');
const to = path.resolve('build', 'Release');
mkdirSync(to, { recursive: true });
for (const file of readdirSync(from)) {
  if (/\.(node|so)$/.test(file)) cpSync(path.join(from, file), path.join(to, file));
}
