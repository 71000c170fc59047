/**
 * Makes the project ready to run: what is missing is installed, what is out of date is compiled, the rest is left alone.
 * Uses nothing but Node, so that it works on a fresh clone.
 *
 *   node scripts/setup.mjs            what `npm run quickstart` and `npm run build` need
 *   node scripts/setup.mjs --tests    also what `npm run verify` needs
 */
import { chmodSync, existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { filesUnder, isMain, isUpToDate, printError, root, run, StepError, step } from './support.mjs';
import { checkCompilers, ensureInstalled, isAvailable, isInstalled } from './system-packages.mjs';

const ADDON = 'build/Release/tersor.node';
const ESM_ENTRY = 'dist/index.mjs';

/**
 * @param {{ tests?: boolean }} [options] `tests`: also what the tests need
 */
export async function setup({ tests = false } = {}) {
  await step('Node and compilers', checkToolchain);
  await step('npm packages', installPackages);
  await step('system packages', () => installSystemPackages(tests));
  await step('native addon', compileAddon);
  await step('TypeScript', compileTypeScript);
}

function checkToolchain() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) throw new StepError(`expected Node 20 or newer, got ${process.version}, at '${process.execPath}'`);
  return `node ${process.versions.node}, ${checkCompilers()}`;
}

async function installPackages() {
  if (hasLockedPackages()) return 'up to date';
  // Without scripts: none of the dependencies needs one, newer npm versions hold them back, and our own "install"
  // would compile before the system packages are there.
  await run('npm', ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund']);
  return 'installed';
}

/** True when node_modules holds exactly the versions of package-lock.json. */
function hasLockedPackages() {
  const installedLock = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installedLock)) return false;
  const read = (/** @type {string} */ file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const installed = read(installedLock);
  return Object.entries(read(path.join(root, 'package-lock.json'))).every(([place, locked]) => {
    if (place === '') return true;
    const found = installed[place];
    // Optional packages are those of other platforms; npm leaves them out.
    return found ? found.version === locked.version && existsSync(path.join(root, place)) : locked.optional === true;
  });
}

/** @param {boolean} tests */
async function installSystemPackages(tests) {
  /** @type {import('./system-packages.mjs').Requirement[]} */
  const requirements = [];
  if (tests || !isAddonUpToDate()) requirements.push('make', 'eigen');
  if (tests) requirements.push('doctest');
  if (tests && process.env.CI === 'true') {
    requirements.push('chromium');
    const arm = /** @type {const} */ (['armCompiler', 'armEmulator']);
    if (process.arch === 'x64' && arm.every(isAvailable)) requirements.push(...arm);
  }
  const remark = await ensureInstalled(requirements);
  if (tests && !requirements.includes('chromium') && !isInstalled('chromium')) {
    return `${remark} (no Chromium: the browser test of the HTML report will be skipped)`;
  }
  return remark;
}

function addonSources() {
  const tests = path.join(root, 'native/test') + path.sep;
  return filesUnder('native', 'cmake', 'CMakeLists.txt', 'package.json').filter((file) => !file.startsWith(tests));
}

function isAddonUpToDate() {
  return isUpToDate(ADDON, addonSources());
}

async function compileAddon() {
  if (isAddonUpToDate()) return 'up to date';
  dropForeignBuild('build');
  await run(process.execPath, [
    path.join(root, 'node_modules/cmake-js/bin/cmake-js'),
    'compile',
    // The native tests' build turns it on in the same folder.
    '--CDTERSOR_TESTS=OFF',
    '--parallel',
    String(compileJobs()),
  ]);
  if (!existsSync(path.join(root, ADDON)))
    throw new StepError(`expected cmake-js to write ${ADDON}, got nothing there`);
  // Nothing is relinked when a change touched no code; the file must still count as newer than what was looked at.
  utimesSync(path.join(root, ADDON), new Date(), new Date());
  return 'compiled';
}

/**
 * CMake refuses a build folder that was configured under another path, as after copying or moving the project.
 *
 * @param {string} folder relative to the root
 */
export function dropForeignBuild(folder) {
  const cache = path.join(root, folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== root) rmSync(path.join(root, folder), { recursive: true, force: true });
}

/** One job a core, as long as each can have 2 GB: files that use Eigen need 1 GB, with sanitizers 1.6. */
export function compileJobs() {
  return Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.freemem() / 2e9)));
}

async function compileTypeScript() {
  const sources = filesUnder('lib', 'tsconfig.json', 'package-lock.json');
  const stale = staleOutputs();
  const isComplete = ['dist/index.js', 'dist/index.d.mts', 'dist/cli/main.js'].every((file) =>
    existsSync(path.join(root, file)),
  );
  if (isComplete && stale.length === 0 && isUpToDate(ESM_ENTRY, sources)) return 'up to date';
  for (const file of stale) rmSync(file);
  await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json']);
  chmodSync(path.join(root, 'dist/cli/main.js'), 0o755);
  writeFileSync(path.join(root, 'dist/index.d.mts'), "export * from './index.js';\n");
  writeFileSync(path.join(root, ESM_ENTRY), await esmEntry());
  return 'compiled';
}

/**
 * The ESM entry hands out what the CommonJS one has, so that a program that loads both shares one copy of every state.
 * It requires it, because an error while loading could not be caught behind `export * from` (Node 20).
 */
async function esmEntry() {
  const names = await run(process.execPath, ['-p', "Object.keys(require('./dist/index.js')).join(',\\n  ')"]);
  return `import { createRequire } from 'node:module';

export const {
  ${names.trim()},
} = createRequire(import.meta.url)('./index.js');
`;
}

/** Compiled files whose source is gone; left in place, they would still be found and published. */
function staleOutputs() {
  return filesUnder('dist').filter((file) => {
    const name = path.relative(path.join(root, 'dist'), file);
    if (name === 'index.mjs' || name === 'index.d.mts') return false;
    return !existsSync(path.join(root, 'lib', name.replace(/(\.d\.ts|\.js)$/, '.ts')));
  });
}

if (isMain(import.meta.url)) {
  const unknown = process.argv.slice(2).filter((argument) => argument !== '--tests');
  if (unknown.length > 0) {
    console.error(`expected nothing or --tests, got '${unknown.join(' ')}'`);
    process.exit(2);
  }
  setup({ tests: process.argv.includes('--tests') }).catch((error) => {
    printError(error);
    process.exit(1);
  });
}
