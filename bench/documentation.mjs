/** The block of docs/performance.md that holds the last run. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root, StepError } from '../scripts/support.mjs';
import { reachesTarget } from './results.mjs';
import { limitLines, markdownTable, targetText } from './table.mjs';

const PAGE = 'docs/performance.md';
const BEGIN = '<!-- benchmark: begin -->';
const END = '<!-- benchmark: end -->';

/**
 * Puts a run in the place of the last one.
 *
 * @param {import('./results.mjs').Results} results
 */
export function writeDocumentation(results) {
  const file = path.join(root, PAGE);
  const unfinished = `${file}.tmp`;
  writeFileSync(unfinished, withResults(readFileSync(file, 'utf8'), results));
  renameSync(unfinished, file);
}

/**
 * @param {string} page
 * @param {import('./results.mjs').Results} results
 * @returns {string} the page with the block between its markers replaced
 */
export function withResults(page, results) {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new StepError(`expected the lines '${BEGIN}' and '${END}', got none, at ${PAGE}`);
  return `${page.slice(0, begin + BEGIN.length)}\n${block(results)}${page.slice(end)}`;
}

/** @param {import('./results.mjs').Results} results */
function block({ environment, limits, rows }) {
  const { date, cpu, cores, isa, tersor, node, compiler, peer, quick } = environment;
  const lost = rows.filter((row) => reachesTarget(row) === false);
  const unjudged = rows.filter((row) => row.note?.startsWith('busy')).length;
  return [
    `\n${date.slice(0, 10)}, ${cpu}, ${cores} cores, ${isa}; Tersor ${tersor}, Node ${node}, ${compiler}, `,
    `${peer ?? 'no peer'}${quick ? '; quick run' : ''}.\n`,
    unjudged > 0 ? `\n${unjudged} of ${rows.length} rows have no ratio: the machine was busy.\n` : '',
    `\nLimits:\n\n${limitLines(limits).replace(/^/gm, '- ').replace(/- $/, '')}`,
    `\n${markdownTable(rows)}`,
    lost.length > 0 ? '\nWhere we lose:\n\n' : '',
    ...lost.map(
      (row) => `- ${row.kernel}, ${row.shape}, ${row.threads} T: ${valueText(row)} (target ${targetText(row)})\n`,
    ),
    '\n',
  ].join('');
}

/** @param {import('./results.mjs').Result} row one that has a value */
function valueText({ measure, ...fields }) {
  const value = /** @type {number} */ (fields[measure]);
  if (measure === 'ratio') return value.toFixed(2);
  return measure === 'oursUs' ? `${value.toPrecision(3)} µs` : `${(value * 100).toFixed(0)} %`;
}
