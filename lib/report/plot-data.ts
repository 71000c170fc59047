import * as format from './format';
import type { Report, Stage } from './schema';

/** One dot of the plot. */
export interface PlotPoint {
  name: string;
  baseline: boolean;
  bytes: number;
  value: number;
  /** Interval of the value: the baseline's plus the interval of the difference; absent without a comparison. */
  interval?: [low: number, high: number];
  /** Lines of the tooltip. */
  lines: string[];
}

/** What the script in the page draws. */
export interface PlotData {
  metric: string;
  /** Values are printed as per cent. */
  percent: boolean;
  logarithmic: boolean;
  points: PlotPoint[];
}

/** From this ratio of largest to smallest size on, the sizes need a logarithmic axis. */
const LOGARITHMIC_FROM = 4;

function point(stage: Stage, report: Report, metric: string): PlotPoint | undefined {
  const value = stage.metrics[metric];
  if (value === undefined) return undefined;
  const comparison = stage.comparisons?.[metric];
  const reference = report.baseline.metrics[metric];
  const size = format.formatBytes(stage.bytes);
  const change = format.sizeChange(stage.bytes, report.baseline.bytes);
  const lines = [
    `${metric} ${format.formatMetric(metric, value)}`,
    change === undefined ? size : `${size}, ${change.join(' ')}`,
  ];
  const base = { name: stage.name, baseline: stage === report.baseline, bytes: stage.bytes, value };
  if (comparison === undefined || reference === undefined || comparison.against !== report.baseline.name) {
    return { ...base, lines };
  }
  lines.push(`${format.formatDifference(comparison)} ${format.formatInterval(comparison)}`);
  return { ...base, interval: [reference + comparison.low, reference + comparison.high], lines };
}

/**
 * Size against the first metric of the baseline, or undefined when the report has no metric. A stage without this metric
 * is left out; an empty file stands at one byte, as a logarithmic axis has no zero.
 */
export function plotData(report: Report): PlotData | undefined {
  const stages = [report.baseline, ...report.stages];
  const metric = format.metricNames(stages)[0];
  if (metric === undefined) return undefined;
  const points = stages.map((stage) => point(stage, report, metric)).filter((found) => found !== undefined);
  const sizes = points.map(({ bytes }) => Math.max(1, bytes));
  const logarithmic = Math.max(...sizes) >= LOGARITHMIC_FROM * Math.min(...sizes);
  return {
    metric,
    percent: metric === 'accuracy',
    logarithmic,
    points: points.map((one, i) => ({ ...one, bytes: sizes[i]! })),
  };
}
