import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';

/** Where `npm run build` leaves what it compiled of the kernels. */
const OBJECTS = path.join(__dirname, '../../build/CMakeFiles/tersor_core.dir');

const MULTIPLY_ADD = /^(vpdpbusd|vpdpwssd|vdpbf16ps|vfmadd)/;
/** A loop with fewer is not a kernel's inner loop: it has registers to spare, or multiplies by the way. */
const FEWEST_MULTIPLY_ADDS = 8;

/** Folders of kernels that do little else than multiply and add. */
const PRODUCTS = /cpu\/(gemm|low_rank|quantized|sparse|linalg)\//;

interface Instruction {
  readonly address: number;
  readonly text: string;
}

/** Disassembled functions of an object file, by name. */
function functionsOf(file: string): Map<string, Instruction[]> {
  const text = execFileSync('objdump', ['-d', '-C', '--no-show-raw-insn', file], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const functions = new Map<string, Instruction[]>();
  let current: Instruction[] = [];
  for (const line of text.split('\n')) {
    const head = /^[0-9a-f]+ <(.*)>:$/.exec(line);
    if (head) {
      current = [];
      functions.set(head[1] as string, current);
    }
    const instruction = /^\s+([0-9a-f]+):\s+(.*)$/.exec(line);
    if (instruction)
      current.push({ address: Number.parseInt(instruction[1] as string, 16), text: instruction[2] as string });
  }
  return functions;
}

/** Bodies of loops that hold no other: from a jump's target back to the jump. */
function innermostLoops(instructions: readonly Instruction[]): string[][] {
  const at = new Map(instructions.map(({ address }, i) => [address, i]));
  const jumps = instructions.flatMap(({ text }, from) => {
    const target = /^j\w+\s+([0-9a-f]+)/.exec(text)?.[1];
    const to = target === undefined ? undefined : at.get(Number.parseInt(target, 16));
    return to !== undefined && to <= from ? [{ to, from }] : [];
  });
  return jumps
    .filter((loop) => !jumps.some((other) => other !== loop && other.to >= loop.to && other.from < loop.from))
    .map(({ to, from }) => instructions.slice(to, from + 1).map(({ text }) => text));
}

/** Stores of a vector into the stack frame: a sum that was pushed out of its register. Loads may be of constants. */
const spills = (loop: readonly string[]) => loop.filter((text) => /%[yz]mm\d+,-?(0x)?[0-9a-f]*\(%r[sb]p\)$/.test(text));

describe('inner loops of the kernels', function () {
  this.timeout(60_000);

  before(function () {
    // Other processors' kernels are compiled for other registers.
    if (process.arch !== 'x64' || process.platform !== 'linux') this.skip();
  });

  it('are found where they are looked for', () => {
    const loop = ['10: vfmadd231ps %zmm1,%zmm2,%zmm3', '20: vmovaps %zmm3,-0x40(%rsp)', '30: jne 10'];
    const instructions = loop.map((line) => {
      const [address, text] = line.split(': ') as [string, string];
      return { address: Number.parseInt(address, 16), text };
    });
    expect(innermostLoops(instructions)).to.have.length(1);
    expect(spills(innermostLoops(instructions)[0] as string[])).to.have.length(1);
  });

  it('keep their sums in registers: no vector goes to the stack and back', () => {
    expect(existsSync(OBJECTS), 'a build by npm run build').to.equal(true);
    const files = readdirSync(OBJECTS, { recursive: true, encoding: 'utf8' }).filter(
      (file) => /_avx(2|512)\w*\.cc\.o$/.test(file) && !file.includes('svd_'),
    );
    const spilling: string[] = [];
    let checked = 0;
    // Exponentials hold more constants than AVX2 has registers.
    for (const file of files.filter((file) => PRODUCTS.test(file) || file.includes('_avx512'))) {
      for (const [name, instructions] of functionsOf(path.join(OBJECTS, file))) {
        for (const loop of innermostLoops(instructions)) {
          if (loop.filter((text) => MULTIPLY_ADD.test(text)).length < FEWEST_MULTIPLY_ADDS) continue;
          checked += 1;
          const bad = spills(loop);
          if (bad.length > 0) spilling.push(`${path.basename(file)}: ${name}: ${bad.length}, such as ${bad[0]}`);
        }
      }
    }
    expect(checked).to.be.above(20);
    expect(spilling).to.deep.equal([]);
  });
});
