/**
 * Builds and runs the native unit tests.
 *
 *   node scripts/test-native.mjs               every instruction set the machine has: its best, then each one forced
 *   node scripts/test-native.mjs --sanitize    once under AddressSanitizer and UndefinedBehaviorSanitizer, once under ThreadSanitizer
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { compileJobs, dropForeignBuild, setup } from './setup.mjs';
import { isMain, printError, root, run, StepError, step } from './support.mjs';

/** Forced one after the other; the first is the machine's own choice. */
const ISA_LEVELS = ['', 'scalar', ...(process.arch === 'x64' ? ['avx2', 'avx2_vnni', 'avx512'] : ['neon'])];
/** The tests' exit code when the machine lacks the forced instruction set. */
const NOT_ON_THIS_MACHINE = 77;

/** Builds with sanitizers: their folders, what they are built with, and which tests they are for. */
const SANITIZERS = {
  'address,undefined': { folder: 'build-sanitize', name: 'ASan, UBSan', tests: [] },
  // Chunks of one product are alike: the tests that run operations on several threads, not every shape.
  thread: { folder: 'build-sanitize-thread', name: 'TSan', tests: ['-tc=*thread*,*parallel_for*,*cancel*'] },
};

/** @typedef {keyof typeof SANITIZERS} Sanitizer */
/** @typedef {{ passed: number, failed: number }} Count */

/**
 * Builds the tests and runs them, after {@link setup}; prints one line a build or run, and the whole output of a run that fails.
 *
 * @param {{ sanitize?: Sanitizer }} [options]
 * @returns {Promise<Count>} test cases; a build that fails or a run that ends without a summary counts as one failure
 */
export async function testNative({ sanitize } = {}) {
  const { folder, name, tests } = sanitize ? SANITIZERS[sanitize] : { folder: 'build', name: '', tests: [] };
  const suffix = sanitize ? `, ${name}` : '';
  const total = { passed: 0, failed: 0 };
  try {
    await step(`native tests${suffix}: build`, () => build(folder, sanitize));
  } catch (error) {
    printError(error);
    return { passed: 0, failed: 1 };
  }
  for (const isa of sanitize ? [''] : ISA_LEVELS) {
    try {
      await step(`native tests${suffix}: ${isa || 'best instruction set'}`, () => {
        const { count, output } = runTests(folder, isa, tests);
        if (!count) return 'not on this machine';
        total.passed += count.passed;
        total.failed += count.failed;
        if (count.failed > 0) throw new StepError(`${count.failed} native test(s) failed`, output);
        return `${count.passed} passed`;
      });
    } catch (error) {
      printError(error);
    }
  }
  return total;
}

/**
 * The plain tests are built in the addon's own folder, which has compiled everything but the tests already.
 *
 * @param {string} folder
 * @param {Sanitizer | undefined} sanitize
 */
async function build(folder, sanitize) {
  dropForeignBuild(folder);
  // -O1 and no NDEBUG: quick to compile, readable traces, and assertions are on.
  const flags = sanitize ? [`-DTERSOR_SANITIZE=${sanitize}`, '-DCMAKE_CXX_FLAGS_RELEASE=-O1'] : [];
  await run('cmake', ['-S', '.', '-B', folder, '-DCMAKE_BUILD_TYPE=Release', '-DTERSOR_TESTS=ON', ...flags]);
  await run('cmake', ['--build', folder, '--target', 'tersor-native-tests', '--parallel', String(compileJobs())]);
}

/**
 * @param {string} folder
 * @param {string} isa '' for the machine's own choice
 * @param {readonly string[]} tests which ones; [] for all
 * @returns {{ count?: Count, output: string }} no count when the machine lacks the instruction set
 */
function runTests(folder, isa, tests) {
  const env = {
    ...process.env,
    // The tests ask for more memory than there is, and expect to be told.
    ASAN_OPTIONS: 'allocator_may_return_null=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    TSAN_OPTIONS: 'allocator_may_return_null=1',
    TERSOR_ISA: isa,
  };
  if (isa === '') delete (/** @type {NodeJS.ProcessEnv} */ (env).TERSOR_ISA);
  const result = spawnSync(path.join(root, folder, 'tersor-native-tests'), ['--no-colors', ...tests], {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  if (isa !== '' && result.status === NOT_ON_THIS_MACHINE) return { output };
  return { count: countTests(output, result.status === 0), output };
}

/**
 * @param {string} output of the tests
 * @param {boolean} endedWell exit code 0
 * @returns {Count} at least one failed where the run itself did
 */
export function countTests(output, endedWell) {
  const summary = /^\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed/m.exec(output);
  const count = summary ? { passed: Number(summary[2]), failed: Number(summary[3]) } : { passed: 0, failed: 0 };
  // No summary, no case at all, or a bad exit with nothing marked as failed: the run itself is what failed.
  if (count.failed === 0 && (!endedWell || count.passed === 0)) count.failed = 1;
  return count;
}

if (isMain(import.meta.url)) {
  try {
    await setup({ tests: true });
  } catch (error) {
    printError(error);
    process.exit(1);
  }
  const sanitizers = process.argv.includes('--sanitize') ? /** @type {Sanitizer[]} */ (Object.keys(SANITIZERS)) : [];
  let passed = 0;
  let failed = 0;
  for (const sanitize of sanitizers.length > 0 ? sanitizers : [undefined]) {
    const count = await testNative({ ...(sanitize && { sanitize }) });
    passed += count.passed;
    failed += count.failed;
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
