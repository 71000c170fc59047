import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';

const root = path.join(__dirname, '../..');

/** Runs the benchmarks where no compiler, CMake or package manager can be found, so that nothing can be built. */
function bench(...args: string[]) {
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: path.join(tmpdir(), 'tersor-no-such-folder') };
  delete env.CXX;
  return spawnSync(process.execPath, ['bench/bench.mjs', ...args], { cwd: root, env, encoding: 'utf8' });
}

interface Row {
  kernel: string;
  target: number | null;
  measure: string;
  oursUs: number | null;
  note: string | null;
}

const sample: Row & Record<string, unknown> = {
  kernel: 'gemm f32',
  shape: 'M=16 N=1024 K=1024',
  threads: 1,
  oursUs: 200,
  peer: 'oneDNN 3.1.0',
  peerUs: 180,
  ratio: 0.9,
  shareOfLimit: 0.5,
  target: 0.98,
  measure: 'ratio',
  limit: 'arithmetic',
  note: null,
};

/** What `--docs` makes of a page, run outside this process because the benchmarks are ES modules. */
function documented(page: string, rows: readonly unknown[]): string {
  const environment = { date: '2026-01-02T03:04:05.000Z', cpu: 'Some CPU', cores: 2, isa: 'avx2', tersor: '1.2.3' };
  const results = { environment: { ...environment, node: '20.0.0', compiler: 'gcc 12', peer: null }, limits: [], rows };
  const program = `import { readFileSync } from 'node:fs';
    import { withResults } from './bench/documentation.mjs';
    const { page, results } = JSON.parse(readFileSync(0, 'utf8'));
    process.stdout.write(withResults(page, results));`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    input: JSON.stringify({ page, results }),
    encoding: 'utf8',
  });
  expect(status, stderr).to.equal(0);
  return stdout;
}

describe('npm run bench', function () {
  this.timeout(60_000);

  it('measures the call from JavaScript without building anything, and writes JSON to standard output alone', () => {
    const { stdout, stderr, status } = bench('--quick', '--filter', 'call from', '--threads', '1', '--json', '-');
    expect(status, stderr).to.equal(0);
    const { environment, limits, rows } = JSON.parse(stdout);
    expect(environment).to.include({ node: process.versions.node, quick: true, peer: null });
    expect(limits).to.deep.equal([]);
    expect(rows).to.have.length(1);
    const { oursUs, note, ...row } = rows[0];
    expect(row).to.deep.equal({
      kernel: 'call from JavaScript',
      shape: 'gemm f32 16×16×16',
      threads: 1,
      peer: null,
      peerUs: null,
      ratio: null,
      shareOfLimit: null,
      target: 2,
      measure: 'oursUs',
      limit: null,
    });
    // 8192 multiply-adds and a call: more than a hundred nanoseconds on anything, less than a millisecond even when busy.
    expect(oursUs).to.be.within(0.1, 1000);
    expect(note === null || note.startsWith('busy: '), note).to.equal(true);
    expect(stderr).to.match(/ours µs/);
  });

  it('says what is missing when a row needs a compiler and there is none', () => {
    const { stdout, stderr, status } = bench('--filter', 'gemm u8s8');
    expect({ stdout, status }).to.deep.equal({ stdout: '', status: 1 });
    expect(stderr).to.match(/expected a C\+\+ compiler, got none/);
  });

  for (const [what, args] of [
    ['an option that does not exist', ['--quik']],
    ['a pattern that matches nothing', ['--filter', 'no such kernel']],
    ['a pattern that is none', ['--filter', '(']],
    ['a thread count of zero', ['--threads', '0']],
    ['results for the documentation that are not whole', ['--docs', '--filter', 'call from']],
  ] as const) {
    it(`ends with 2 and a pointer to the help for ${what}`, () => {
      const { stdout, stderr, status } = bench(...args);
      expect({ stdout, status }).to.deep.equal({ stdout: '', status: 2 });
      expect(stderr).to.match(/npm run bench -- --help/);
    });
  }

  it('explains itself', () => {
    const { stdout, status } = bench('--help');
    expect(status).to.equal(0);
    for (const option of ['--filter', '--threads', '--quick', '--json', '--docs'])
      expect(stdout).to.match(new RegExp(`^ {2}${option} `, 'm'));
  });
});

describe('npm run bench -- --docs', function () {
  this.timeout(60_000);
  const page = 'before\n<!-- benchmark: begin -->\nlast run\n<!-- benchmark: end -->\nafter\n';

  it('replaces what stands between the markers with machine, versions and table, and keeps the rest', () => {
    const text = documented(page, [sample]);
    expect(text).to.match(/^before\n<!-- benchmark: begin -->\n/);
    expect(text).to.match(/\n<!-- benchmark: end -->\nafter\n$/);
    expect(text).to.not.include('last run');
    expect(text).to.include('2026-01-02, Some CPU, 2 cores, avx2; Tersor 1.2.3, Node 20.0.0, gcc 12, no peer.');
    expect(text).to.include('| gemm f32 | M=16 N=1024 K=1024 | 1 | 200 | 180 | 0.90 | 50 % | ≥ 0.98 | below target |');
  });

  it('names the rows below their targets, and no row that could not be judged', () => {
    const busy = { ...sample, kernel: 'busy kernel', ratio: null, note: 'busy: our time varied by 2 (p90/p10)' };
    const good = { ...sample, kernel: 'good kernel', ratio: 1 };
    const slow = { ...sample, kernel: 'slow call', measure: 'oursUs', target: 2, oursUs: 3, ratio: null };
    const text = documented(page, [sample, busy, good, slow]);
    expect(
      text
        .slice(text.indexOf('Where we lose'))
        .split('\n')
        .filter((line) => line.startsWith('- ')),
    ).to.deep.equal([
      '- gemm f32, M=16 N=1024 K=1024, 1 T: 0.90 (target ≥ 0.98)',
      '- slow call, M=16 N=1024 K=1024, 1 T: 3.00 µs (target ≤ 2 µs)',
    ]);
    expect(text).to.include('1 of 4 rows have no ratio: the machine was busy.');
  });

  it('gives the same page when the same run is written twice', () => {
    const once = documented(page, [sample]);
    expect(documented(once, [sample])).to.equal(once);
  });
});
