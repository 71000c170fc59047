import Table from 'cli-table3';
import * as format from './format';
import type { Comparison, Report, Stage } from './schema';
import { skippedWeights } from './skipped';

/** Options of {@link renderTable}. */
export interface TableOptions {
  /** Columns of the terminal; default: those of standard output, unlimited when it is no terminal. */
  readonly width?: number;
  /** Default: when standard output is a terminal and NO_COLOR (https://no-color.org) is not set. */
  readonly color?: boolean;
}

type Paint = (text: string) => string;
interface Palette {
  readonly strong: Paint;
  readonly faint: Paint;
  readonly better: Paint;
  readonly worse: Paint;
}

/** A property of a stage: its heading and its text. */
interface Column {
  readonly heading: string;
  readonly text: (stage: Stage) => string;
}

function palette(color: boolean): Palette {
  const paint =
    (on: number, off: number): Paint =>
    (text) =>
      color ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return { strong: paint(1, 22), faint: paint(2, 22), better: paint(32, 39), worse: paint(31, 39) };
}

/** Names come from files: without this, one could move the cursor or set the window's title. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

function comparisonText(comparison: Comparison, paint: Palette): string {
  const color = comparison.low > 0 ? paint.better : comparison.high < 0 ? paint.worse : paint.faint;
  return color(`${format.formatDifference(comparison)} ${format.formatInterval(comparison)}`);
}

function columns(report: Report, paint: Palette): Column[] {
  const metrics = format.metricNames([report.baseline, ...report.stages]).map((name) => ({
    heading: printable(name),
    text: (stage: Stage) => {
      const value = stage.metrics[name];
      const comparison = stage.comparisons?.[name];
      if (value === undefined) return '-';
      const mean = format.formatMetric(name, value);
      return comparison === undefined ? mean : `${mean}\n${comparisonText(comparison, paint)}`;
    },
  }));
  return [
    ...metrics,
    {
      heading: 'size',
      text: (stage) =>
        `${format.formatBytes(stage.bytes)}\n${paint.faint(format.formatRatio(stage.bytes, report.baseline.bytes))}`,
    },
    { heading: 'parameters', text: (stage) => format.formatCount(stage.parameters) },
    { heading: 'nonzeros', text: (stage) => format.formatCount(stage.nonzeros) },
    { heading: 'MACs', text: (stage) => format.formatCount(stage.macs) },
    { heading: 'batch 1, ms\np50 / p99', text: (stage) => format.formatLatency(stage.latencyMs.batch1) },
    { heading: 'batch 128, ms\np50 / p99', text: (stage) => format.formatLatency(stage.latencyMs.batch128) },
  ];
}

/** One row per stage. */
function wideTable(stages: readonly Stage[], shown: readonly Column[], paint: Palette): string {
  const table = new Table({
    head: ['stage', ...shown.map((column) => column.heading)].map((text) =>
      text.split('\n').map(paint.strong).join('\n'),
    ),
    colAligns: ['left', ...shown.map(() => 'right' as const)],
    style: { head: [], border: [], 'padding-left': 1, 'padding-right': 1 },
  });
  for (const stage of stages)
    table.push([paint.strong(printable(stage.name)), ...shown.map((column) => column.text(stage))]);
  return table.toString();
}

/** One block per stage, for terminals too narrow for a row. */
function stackedTables(stages: readonly Stage[], shown: readonly Column[], paint: Palette): string {
  const blocks = stages.map((stage) => {
    const rows = shown.map((column) => {
      const heading = column.heading.replace('\n', ' ');
      return `  ${paint.faint(heading.padEnd(24))} ${column.text(stage).replace('\n', '  ')}`;
    });
    return [paint.strong(printable(stage.name)), ...rows].join('\n');
  });
  return blocks.join('\n\n');
}

function tableWidth(table: string): number {
  const firstLine = table.slice(0, table.indexOf('\n')); // the upper border: no colour, no wide characters
  return [...firstLine].length;
}

function notes(report: Report, paint: Palette): string[] {
  const comparison = report.stages.flatMap((stage) => Object.values(stage.comparisons ?? {}))[0];
  const lines: string[] = [];
  if (comparison !== undefined) {
    const confidence = format.formatConfidence(comparison.confidence);
    lines.push(
      '',
      paint.faint(
        `[…]: ${confidence} interval of the difference to ${printable(comparison.against)}, paired bootstrap`,
      ),
    );
  }
  const skipped = skippedWeights(report);
  if (skipped.length > 0) lines.push('', paint.strong('Not compressed'));
  for (const { weight, reason, stages } of skipped) {
    lines.push(`  ${printable(weight)}: ${printable(reason)} ${paint.faint(`(${stages.map(printable).join(', ')})`)}`);
  }
  return lines;
}

/**
 * A report as text for the terminal: a table with one row per stage (one block per stage where the terminal is too
 * narrow for it), then the weights that were not compressed and why. Ends without a line feed.
 *
 * @example
 * console.log(renderTable(report));
 */
export function renderTable(report: Report, options: TableOptions = {}): string {
  const width = options.width ?? process.stdout.columns ?? Number.POSITIVE_INFINITY;
  const color = options.color ?? (process.stdout.isTTY === true && !process.env.NO_COLOR);
  const paint = palette(color);
  const stages = [report.baseline, ...report.stages];
  const shown = columns(report, paint);
  const wide = wideTable(stages, shown, paint);
  const table = tableWidth(wide) <= width ? wide : stackedTables(stages, shown, paint);
  return [table, ...notes(report, paint)].join('\n');
}
