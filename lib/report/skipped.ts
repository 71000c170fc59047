import type { Report } from './schema';

/** A weight that was left as it was, and in which stages. */
export interface SkippedWeight {
  readonly weight: string;
  readonly reason: string;
  readonly stages: readonly string[];
}

/**
 * Weights that were not compressed and why, in order of appearance; stages that agree share a row.
 *
 * @example
 * for (const { weight, reason } of skippedWeights(report)) console.log(`${weight}: ${reason}`);
 */
export function skippedWeights(report: Report): SkippedWeight[] {
  const rows = new Map<string, { weight: string; reason: string; stages: string[] }>();
  for (const stage of report.stages) {
    for (const { name, skipped } of stage.weights) {
      if (skipped === undefined) continue;
      const key = JSON.stringify([name, skipped]);
      const row = rows.get(key) ?? { weight: name, reason: skipped, stages: [] };
      row.stages.push(stage.name);
      rows.set(key, row);
    }
  }
  return [...rows.values()];
}
