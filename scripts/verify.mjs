/**
 * Everything that has to hold before a change is kept: set-up, lint, types, native tests, mocha tests.
 * Goes on after a failure, so that one run shows all of them; ends with the number of tests passed and failed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setup } from './setup.mjs';
import { elapsed, printError, root, run, StepError, step } from './support.mjs';
import { testArm } from './test-arm.mjs';
import { testNative } from './test-native.mjs';

/** Mocha tests whose result depends on the kernels in use; run again under forced instruction sets. */
const KERNEL_TESTS = ['test/tensor', 'test/native', 'test/autograd', 'test/weights', 'test/models'];

const total = { passed: 0, failed: 0 };
const start = performance.now();

/** @param {{ passed: number, failed: number }} count */
function add({ passed, failed }) {
  total.passed += passed;
  total.failed += failed;
}

/**
 * A check that is not a test: nothing when it holds, one failure when not.
 *
 * @param {string} name
 * @param {string} command path of a package's program
 * @param {readonly string[]} args
 */
async function check(name, command, args) {
  try {
    await step(name, async () => void (await run(path.join(root, 'node_modules/.bin', command), args)));
  } catch (error) {
    printError(error);
    total.failed += 1;
  }
}

/**
 * @typedef {object} MochaResult
 * @property {number} passed
 * @property {number} failed
 * @property {number} pending
 * @property {string} output what it printed when it was not shown
 */

/**
 * Runs mocha.
 *
 * @param {readonly string[]} specs
 * @param {{ env?: Record<string, string>, show?: boolean }} [options] `show`: its report goes to our terminal
 * @returns {MochaResult}
 */
function mocha(specs, { env = {}, show = false } = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tersor-verify-'));
  const counts = path.join(folder, 'counts.json');
  const program = path.join(root, 'node_modules/mocha/bin/mocha.js');
  try {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [program, '--forbid-only', '--reporter', 'scripts/mocha-reporter.cjs', ...specs],
      {
        cwd: root,
        stdio: show ? 'inherit' : 'pipe',
        encoding: 'utf8',
        maxBuffer: 2 ** 28,
        env: { ...process.env, ...env, TERSOR_TEST_COUNTS: counts },
      },
    );
    // Mocha that crashed or loaded nothing leaves no counts or a bad exit; both are a failure.
    const count = existsSync(counts) ? JSON.parse(readFileSync(counts, 'utf8')) : { passed: 0, failed: 0, pending: 0 };
    if (count.failed === 0 && (status !== 0 || count.passed === 0)) count.failed = 1;
    return { ...count, output: `${stdout ?? ''}${stderr ?? ''}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs the tests that depend on kernels under a forced instruction set; prints one line, and everything when one fails.
 *
 * @param {string} isa
 */
async function mochaWithIsa(isa) {
  try {
    await step(`mocha, kernel tests: ${isa}`, () => {
      const specs = KERNEL_TESTS.map((folder) => `${folder}/**/*.test.ts`);
      const { passed, failed, output } = mocha(specs, { env: { TERSOR_ISA: isa } });
      add({ passed, failed });
      if (failed > 0) throw new StepError(`${failed} test(s) failed with TERSOR_ISA=${isa}`, output);
      return `${passed} passed`;
    });
  } catch (error) {
    printError(error);
  }
}

/** The instruction sets below the one in use on this machine, by the built package's own account. */
function lowerIsaLevels() {
  const program = "console.log(require('tersor').devices().find(({ name }) => name === 'cpu').isa)";
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { cwd: root, encoding: 'utf8' });
  const inUse = stdout.trim();
  if (inUse === '') throw new Error(`expected the instruction set of the CPU, got nothing: ${stderr}`);
  const forced = process.arch === 'x64' ? ['scalar', 'avx2'] : ['scalar'];
  return forced.slice(0, forced.includes(inUse) ? forced.indexOf(inUse) : forced.length);
}

try {
  await setup({ tests: true });
} catch (error) {
  printError(error);
  console.log('\n0 passed, 1 failed');
  process.exit(1);
}

await check('lint and format', 'biome', ['ci', '--colors=off', '--error-on-warnings', '.']);
await check('types: lib', 'tsc', ['--noEmit']);
await check('types: test', 'tsc', ['-p', 'test']);
await check('types: scripts', 'tsc', ['-p', 'scripts']);
await check('types: bench', 'tsc', ['-p', 'bench']);

add(await testNative());
add(await testArm());
add(await testNative({ sanitize: 'address,undefined' }));
add(await testNative({ sanitize: 'thread' }));

for (const isa of lowerIsaLevels()) await mochaWithIsa(isa);

console.log(`\nmocha, all tests (${elapsed(start)} so far)`);
const count = mocha(['test/**/*.test.ts'], { show: true });
add(count);
// Tests may skip themselves where the shared data or a browser is missing, but not on the machine that has both.
if (count.pending > 0 && process.env.CI === 'true' && existsSync(path.join(root, '../shared'))) {
  console.log(`${count.pending} test(s) skipped, which counts as failed here`);
  total.failed += count.pending;
}

console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
