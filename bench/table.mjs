/** Results as text: aligned for a terminal, or as Markdown for the documentation. */
import { reachesTarget } from './results.mjs';

const HEADINGS = ['kernel', 'shape', 'threads', 'ours µs', 'peer µs', 'ratio', 'of limit', 'target', ''];
/** The first two columns are words, the last one is a remark; the others are numbers. */
const isNumeric = (/** @type {number} */ column) => column >= 2 && column <= 7;

/**
 * @param {readonly import('./results.mjs').Result[]} rows
 * @returns {string} lines with their ends
 */
export function terminalTable(rows) {
  const cells = [HEADINGS, ...rows.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) =>
        isNumeric(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/**
 * @param {readonly import('./results.mjs').Result[]} rows
 * @returns {string} lines with their ends
 */
export function markdownTable(rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |\n`;
  const rule = HEADINGS.map((_, column) => (isNumeric(column) ? '--:' : '---'));
  return [HEADINGS, rule, ...rows.map(cellsOf)].map(line).join('');
}

/** @param {import('./results.mjs').Result} row */
function cellsOf(row) {
  const reached = reachesTarget(row);
  return [
    row.kernel,
    row.shape,
    String(row.threads),
    time(row.oursUs),
    time(row.peerUs),
    row.ratio?.toFixed(2) ?? '-',
    row.shareOfLimit === null ? '-' : `${(row.shareOfLimit * 100).toFixed(0)} %`,
    targetText(row),
    row.note ?? (reached === false ? 'below target' : ''),
  ];
}

/**
 * A row's target as it is read: `≥ 1.05`, `≥ 87 %`, `≤ 2 µs`.
 *
 * @param {import('./results.mjs').Result} row
 */
export function targetText({ target, measure }) {
  if (target === null) return '-';
  if (measure === 'ratio') return `≥ ${target}`;
  return measure === 'oursUs' ? `≤ ${target} µs` : `≥ ${target * 100} %`;
}

/** @param {number | null} microseconds */
function time(microseconds) {
  if (microseconds === null) return '-';
  return microseconds >= 100 ? microseconds.toFixed(0) : microseconds.toPrecision(3);
}

/**
 * The limits in a line for each thread count.
 *
 * @param {readonly import('./results.mjs').Limits[]} limits
 * @returns {string} lines with their ends; empty when nothing was measured against them
 */
export function limitLines(limits) {
  return limits
    .map(({ threads, f32Gflops, bf16Gflops, int8Gops, memory, randomRows }) => {
      const rates = (/** @type {Record<string, number>} */ peaks) =>
        Object.entries(peaks)
          .map(([isa, rate]) => `${isa} ${rate.toFixed(0)}`)
          .join(', ');
      const speeds = memory.map((speed) => `${size(speed.bytes)} ${speed.gigabytesPerSecond.toFixed(0)}`).join(', ');
      const rows = randomRows
        .map(({ bytes, millionsPerSecond }) => `${bytes} bytes ${millionsPerSecond.toFixed(0)}`)
        .join(', ');
      const bf16 = Object.keys(bf16Gflops).length > 0 ? `; bf16 Gflop/s: ${rates(bf16Gflops)}` : '';
      const int8 = Object.keys(int8Gops).length > 0 ? `; int8 Gop/s: ${rates(int8Gops)}` : '';
      return `${threads === 1 ? '1 thread' : `${threads} threads`}: f32 Gflop/s: ${rates(f32Gflops)}${bf16}${int8}; reads, GB/s: ${speeds}; random rows, millions/s: ${rows}\n`;
    })
    .join('');
}

/** @param {number} bytes */
function size(bytes) {
  return bytes < 2 ** 20 ? `${bytes / 2 ** 10} KiB` : `${bytes / 2 ** 20} MiB`;
}
