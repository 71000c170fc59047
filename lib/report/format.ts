import type { Comparison, LatencyPercentiles } from './schema';

const MINUS = '\u2212';
const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** A decimal number with a true minus sign; what rounds to zero has no sign. */
export function formatDecimal(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? MINUS : '') + text;
}

function formatSigned(value: number, digits: number): string {
  const text = formatDecimal(value, digits);
  return Number(Math.abs(value).toFixed(digits)) !== 0 && value > 0 ? `+${text}` : text;
}

/** 109386 → '109,386'. */
export function formatCount(value: number): string {
  return grouped.format(value);
}

/** Decimal units (1 KB = 1,000 bytes): '512 B', '31.2 KB', '1.4 MB'. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  // 999.95 would be printed as 1000.0.
  while (unit < units.length - 1 && value >= (unit === 0 ? 1000 : 999.95)) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** How many times smaller: '14.2x'; '1x' for the same size. */
export function formatRatio(bytes: number, baselineBytes: number): string {
  if (bytes === 0) return baselineBytes === 0 ? '1x' : '\u221ex';
  const ratio = baselineBytes / bytes;
  return `${ratio >= 99.95 ? formatCount(ratio) : ratio === 1 ? '1' : ratio.toFixed(ratio >= 9.995 ? 1 : 2)}x`;
}

/** Size against the baseline's in words: ['14.2×', 'smaller'], ['1.10×', 'larger']; undefined for the same size. */
export function sizeChange(bytes: number, baselineBytes: number): [times: string, direction: string] | undefined {
  if (bytes === baselineBytes) return undefined;
  const smaller = bytes < baselineBytes;
  const ratio = smaller ? formatRatio(bytes, baselineBytes) : formatRatio(baselineBytes, bytes);
  return [ratio.replace('x', '×'), smaller ? 'smaller' : 'larger'];
}

/** A metric's mean: accuracy as '97.30 %', the others as the literature prints them, '0.6356'. */
export function formatMetric(name: string, value: number): string {
  return name === 'accuracy' ? `${formatDecimal(value * 100, 2)} %` : formatDecimal(value, 4);
}

/** Difference in percentage points (hundredths of the metric): '−0.12 pp'. */
export function formatDifference(comparison: Comparison): string {
  return `${formatSigned(comparison.difference * 100, 2)} pp`;
}

/** Interval of a difference in percentage points: '[−0.35, +0.10]'. */
export function formatInterval(comparison: Comparison): string {
  return `[${formatSigned(comparison.low * 100, 2)}, ${formatSigned(comparison.high * 100, 2)}]`;
}

/** '95 %'. */
export function formatConfidence(confidence: number): string {
  return `${Number((confidence * 100).toFixed(2))} %`;
}

/** Milliseconds with three significant digits, without the unit. */
export function formatMilliseconds(value: number): string {
  return value >= 99.95
    ? value.toFixed(0)
    : value >= 9.995
      ? value.toFixed(1)
      : value >= 0.9995
        ? value.toFixed(2)
        : value.toFixed(3);
}

/** '0.041 / 0.087'. */
export function formatLatency(latency: LatencyPercentiles): string {
  return `${formatMilliseconds(latency.p50)} / ${formatMilliseconds(latency.p99)}`;
}

/** '31.4 dB', or 'exact'. */
export function formatSqnr(sqnrDb: number | null): string {
  return sqnrDb === null ? 'exact' : `${formatDecimal(sqnrDb, 1)} dB`;
}

/** Metric names of all stages in the order in which they first appear. */
export function metricNames(stages: readonly { metrics: Record<string, number> }[]): string[] {
  return [...new Set(stages.flatMap((stage) => Object.keys(stage.metrics)))];
}
