/**
 * Builds the native unit tests for 64-bit ARM with the cross compiler and runs them under qemu-user, as processors with
 * each of the instruction sets that kernels are written for.
 *
 *   node scripts/test-arm.mjs
 */
import { compileJobs, dropForeignBuild } from './setup.mjs';
import { isMain, printError, run, StepError, step } from './support.mjs';
import { isInstalled } from './system-packages.mjs';
import { countTests } from './test-native.mjs';

const FOLDER = 'build-aarch64';

/**
 * Tests of lists of kernels run every kernel that the processor has: on the last one, those of the others too. The
 * others show that the right kernels are chosen there, and that none has an instruction that the processor lacks.
 */
const CHOICES = '-tc=*int8*,*search*,*softmax*,*embedding_bag*,*multiply_normal*';
/** Minutes under emulation: plain C++, decompositions by Eigen, and sizes that matter for blocking, not for kernels. */
const LONG =
  '-tce=*distillation*,*cross_entropy*,*kmeans*,svd: *,svd_randomized: *,*beyond one block*,sparse_gpt: the share*,gptq: every*';

/** Files whose tests take about as long as all others. */
const PRODUCTS = '*gemm*,*nm_*';
/** Files of operations that have no kernel of their own on ARM. */
const PLAIN = '*/conv_test*,*/pool_test*,*histogram_test*,*svd_batched_test*';

const PROCESSORS = [
  // In two halves, one for each of two cores.
  { isa: 'neon_i8mm', processor: 'max', tests: [LONG, `-sf=${PRODUCTS}`] },
  { isa: 'neon_i8mm', processor: 'max', tests: [LONG, `-sfe=${PRODUCTS},${PLAIN}`] },
  { isa: 'neon_dotprod', processor: 'neoverse-n1', tests: [CHOICES] },
  { isa: 'neon', processor: 'cortex-a72', tests: [CHOICES] },
];

/**
 * Prints one line for the build and one for each processor; one that says why where nothing can be run.
 *
 * @returns {Promise<import('./test-native.mjs').Count>} test cases
 */
export async function testArm() {
  const absent = [
    ...(isInstalled('armCompiler') ? [] : ['aarch64-linux-gnu-g++']),
    ...(isInstalled('armEmulator') ? [] : ['qemu-aarch64']),
  ];
  if (absent.length > 0) {
    console.log(`- native tests, ARM: skipped, no ${absent.join(' and no ')}`);
    return { passed: 0, failed: 0 };
  }
  try {
    await step('native tests, ARM: build', build);
  } catch (error) {
    printError(error);
    return { passed: 0, failed: 1 };
  }
  const total = { passed: 0, failed: 0 };
  await step('native tests, ARM: under qemu', async () => {
    const runs = await Promise.all(PROCESSORS.map(runOn));
    for (const { passed, failed } of runs) {
      total.passed += passed;
      total.failed += failed;
    }
    return `${total.passed} passed`;
  });
  return total;
}

async function build() {
  dropForeignBuild(FOLDER);
  const options = ['--toolchain', 'cmake/aarch64.cmake', '-DCMAKE_BUILD_TYPE=Release', '-DTERSOR_TESTS=ON'];
  // Lanes of instructions must be constants, which they become from -O1 on.
  await run('cmake', ['-S', '.', '-B', FOLDER, ...options, '-DCMAKE_CXX_FLAGS_RELEASE=-O1']);
  await run('cmake', ['--build', FOLDER, '--target', 'tersor-native-tests', '--parallel', String(compileJobs())]);
}

/**
 * @param {{ isa: string, processor: string, tests: readonly string[] }} machine
 * @returns {Promise<import('./test-native.mjs').Count>}
 */
async function runOn({ isa, processor, tests }) {
  const args = ['-cpu', processor, '-L', '/usr/aarch64-linux-gnu', `${FOLDER}/tersor-native-tests`, '--no-colors'];
  let output = '';
  let ended = true;
  try {
    output = await run('qemu-aarch64', [...args, ...tests]);
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    ended = false;
    output = `${error.output}\n${error.message}`;
  }
  const count = countTests(output, ended);
  if (!output.startsWith(`isa ${isa},`)) count.failed += 1;
  if (count.failed > 0)
    printError(new StepError(`${count.failed} native test(s) failed on ${processor} (${isa})`, output));
  return count;
}

if (isMain(import.meta.url)) {
  const { passed, failed } = await testArm();
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
