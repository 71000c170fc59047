/** Measures the kernels beside a peer and beside the limits of the machine: see --help and docs/performance.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { printError, root, StepError } from '../scripts/support.mjs';
import { writeDocumentation } from './documentation.mjs';
import { loadPackage, measureFromPackage } from './javascript.mjs';
import { buildNative, runNative } from './native.mjs';
import { ROWS } from './rows.mjs';
import { limitLines, terminalTable } from './table.mjs';

const HELP = `Usage: npm run bench -- [options]

Measures Tersor's kernels: microseconds (median of at least 30 samples), the same work by oneDNN when it is installed,
and the share of what the machine can do. Stop everything else first: no ratio is printed when the machine was busy.

  --filter REGEX   only rows whose kernel and shape match, such as 'gemm u8s8 M=16 '
  --threads LIST   thread counts, default 1,2 (1 on one core)
  --quick          fewer rows and shorter samples; done in 60 s, without the time to compile
  --json FILE      also writes the results as JSON; '-' is standard output, and the table then goes to standard error
  --docs           also rewrites the results in docs/performance.md
  --help           this text
`;

/** Seconds that a quick run may take once all is built, those of them for tersor-bench, and what a row of JavaScript takes. */
const QUICK_SECONDS = 60;
const QUICK_NATIVE_SECONDS = 35;
const QUICK_PACKAGE_ROW_SECONDS = 4;

class UsageError extends Error {}

/** @typedef {{ rows: import('./rows.mjs').Row[], threads: number[], quick: boolean, json?: string, docs: boolean }} Plan */

/**
 * @param {string[]} words
 * @returns {Plan | 'help'}
 */
function readArguments(words) {
  const values = parseWords(words);
  if (values.help) return 'help';
  if (values.docs && values.filter !== undefined) {
    throw new UsageError('expected --docs without --filter: the documentation holds whole runs');
  }
  const filter = pattern(values.filter ?? '');
  const quick = values.quick ?? false;
  const matching = ROWS.filter((row) => filter.test(`${row.kernel} ${row.shape}`));
  const rows = quick && values.filter === undefined ? matching.filter((row) => row.quick) : matching;
  if (rows.length === 0) {
    const kernels = [...new Set(ROWS.map((row) => row.kernel))].join(', ');
    throw new UsageError(
      `expected a pattern that matches a row, got '${values.filter}', at --filter\nkernels: ${kernels}`,
    );
  }
  const threads = threadCounts(values.threads);
  return { rows, threads, quick, docs: values.docs ?? false, ...(values.json !== undefined && { json: values.json }) };
}

/** @param {string[]} words */
function parseWords(words) {
  try {
    return parseArgs({
      args: words,
      options: {
        filter: { type: 'string' },
        threads: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'string' },
        docs: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} source */
function pattern(source) {
  try {
    return new RegExp(source, 'i');
  } catch {
    throw new UsageError(`expected a regular expression, got '${source}', at --filter`);
  }
}

/** @param {string | undefined} list */
function threadCounts(list) {
  const cores = os.availableParallelism();
  if (list === undefined) return [1, 2].filter((count) => count <= cores);
  const counts = list.split(',').map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count >= 1 && count <= cores)) {
    throw new UsageError(`expected integers in 1..${cores} (the cores of this machine), got '${list}', at --threads`);
  }
  return [...new Set(counts)];
}

/**
 * @param {Plan} plan
 * @returns {Promise<import('./results.mjs').Results>}
 */
async function measure({ rows, threads, quick }) {
  const jobs = rows.flatMap(({ job }) => (typeof job === 'string' ? [job] : []));
  if (jobs.length > 0) {
    console.error('building tersor-bench …');
    await buildNative();
  }
  const start = performance.now();
  const native = jobs.length > 0 ? await measureNative(jobs, { threads, quick }) : undefined;
  const tersor = jobs.length < rows.length ? loadPackage() : undefined;
  const late = () => quick && (performance.now() - start) / 1000 > QUICK_SECONDS - QUICK_PACKAGE_ROW_SECONDS;
  const results = [];
  for (const row of rows) {
    for (const count of threads) {
      const { job } = row;
      if (typeof job !== 'string') {
        const options = { threads: count, quick };
        const measured = late()
          ? { late: true }
          : await measureFromPackage(/** @type {import('./javascript.mjs').Tersor} */ (tersor), job, options);
        results.push(resultOf(row, count, measured));
        continue;
      }
      const measured = native?.rows.find((one) => one.job === job && one.threads === count);
      if (!measured) throw new StepError(`expected tersor-bench to measure '${job}' on ${count} threads, got nothing`);
      results.push(resultOf(row, count, measured));
    }
  }
  return {
    environment: {
      ...machine(),
      isa: native?.environment.isa ?? tersor?.devices().find(({ name }) => name === 'cpu')?.isa ?? '',
      compiler: native?.environment.compiler ?? null,
      peer: native?.environment.peer ?? null,
      quick,
    },
    limits: native?.limits ?? [],
    rows: results,
  };
}

/**
 * @param {string[]} jobs
 * @param {{ threads: number[], quick: boolean }} options
 */
async function measureNative(jobs, { threads, quick }) {
  const total = jobs.length * threads.length;
  let done = 0;
  const show = (/** @type {string} */ text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
  show('measuring the limits …');
  const native = await runNative(jobs, {
    threads,
    quick,
    ...(quick && { seconds: QUICK_NATIVE_SECONDS }),
    onRow: ({ job }) => show(`${++done} of ${total}  ${job}`),
  });
  show('');
  return native;
}

/**
 * @param {import('./rows.mjs').Row} row
 * @param {number} threads
 * @param {Partial<import('./native.mjs').NativeRow>} measured
 * @returns {import('./results.mjs').Result}
 */
function resultOf({ kernel, shape, measure, target }, threads, measured) {
  const { oursUs = null, peer = null, peerUs = null, ratio = null, shareOfLimit = null, limit = null } = measured;
  const note = measured.late ? 'no time left' : measured.busy ? `busy: ${measured.busy}` : null;
  const bound = target?.[threads - 1] ?? null;
  return { kernel, shape, threads, oursUs, peer, peerUs, ratio, shareOfLimit, target: bound, measure, limit, note };
}

function machine() {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  return {
    date: new Date().toISOString(),
    tersor: /** @type {string} */ (version),
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    cpu: os.cpus()[0]?.model.trim() || 'unknown',
    cores: os.availableParallelism(),
  };
}

/**
 * @param {import('./results.mjs').Results} results
 * @param {Plan} plan
 */
function show(results, { rows, json, docs }) {
  const print = (/** @type {string} */ text) => (json === '-' ? process.stderr : process.stdout).write(text);
  if (results.limits.length > 0) print(`${limitLines(results.limits)}\n`);
  print(terminalTable(results.rows));
  if (rows.some((row) => typeof row.job === 'string') && results.environment.peer === null) {
    print('\nNo peer: oneDNN not found. Type: apt-get install libdnnl-dev (or: brew install onednn)\n');
  }
  if (json !== undefined) {
    const text = `${JSON.stringify(results, null, 2)}\n`;
    if (json === '-') process.stdout.write(text);
    else writeFileSync(json, text);
  }
  if (docs) writeDocumentation(results);
}

try {
  const plan = readArguments(process.argv.slice(2));
  if (plan === 'help') process.stdout.write(HELP);
  else show(await measure(plan), plan);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\n\nSee: npm run bench -- --help`);
    process.exitCode = 2;
  } else {
    printError(error);
    process.exitCode = 1;
  }
}
