import { z } from 'zod';
import { TersorError } from '../errors';

/** Version of the report's shape; it changes whenever a field is added, removed or gets another meaning. */
export const REPORT_SCHEMA_VERSION = 1;

/** What a run measured: the model as loaded and every compressed variant of it. Fields: docs/report.md. */
export interface Report {
  schemaVersion: typeof REPORT_SCHEMA_VERSION;
  /** Seed of every random choice of the run. */
  seed: number;
  environment: Environment;
  /** The model that the stages are compared with. */
  baseline: Stage;
  stages: Stage[];
}

/** One model, measured: the baseline, a control or a compressed variant. */
export interface Stage {
  name: string;
  /** Mean per metric name, in the metric's own unit (accuracy, hit rate and NDCG: 0..1); the first one is plotted. */
  metrics: Record<string, number>;
  /** Difference to another stage, by metric name. */
  comparisons?: Record<string, Comparison>;
  /** Size of the model file on disk. */
  bytes: number;
  parameters: number;
  nonzeros: number;
  /** Multiply-accumulate operations of one example. */
  macs: number;
  latencyMs: { batch1: LatencyPercentiles; batch128: LatencyPercentiles };
  weights: WeightRow[];
}

/** Paired bootstrap interval of this stage's metric minus that of the stage `against`. */
export interface Comparison {
  against: string;
  difference: number;
  low: number;
  high: number;
  /** Coverage of [low, high], e.g. 0.95. */
  confidence: number;
}

/** Milliseconds of one call of the whole batch. */
export interface LatencyPercentiles {
  p50: number;
  p99: number;
}

/** How one weight is stored. */
export interface WeightRow {
  name: string;
  /** How it is stored, e.g. 'f32', 'rank 16 (f32)'. */
  representation: string;
  bytes: number;
  /** Signal-to-quantization-noise ratio in decibels; null: exact. */
  sqnrDb: number | null;
  /** Why the weight was not compressed; absent when it was. */
  skipped?: string;
}

/** Where and with what the numbers were measured. */
export interface Environment {
  /** Version of Tersor. */
  tersor: string;
  node: string;
  platform: string;
  arch: string;
  cpu: string;
  /** Logical processors that the process may use. */
  cores: number;
  /** Threads that the kernels used. */
  threads: number;
  device: string;
  /** Instruction set of the kernels, e.g. 'avx512_vnni'. */
  isa: string;
  /** ISO 8601, UTC. */
  date: string;
}

const count = z.int().nonnegative();
const positiveCount = z.int().positive();
const percentiles = z.strictObject({ p50: z.number().nonnegative(), p99: z.number().nonnegative() });

const comparisonSchema = z.strictObject({
  against: z.string(),
  difference: z.number(),
  low: z.number(),
  high: z.number(),
  confidence: z.number().gt(0).lt(1),
});

const stageSchema = z.strictObject({
  name: z.string().min(1),
  metrics: z.record(z.string(), z.number()),
  comparisons: z.record(z.string(), comparisonSchema).exactOptional(),
  bytes: count,
  parameters: count,
  nonzeros: count,
  macs: count,
  latencyMs: z.strictObject({ batch1: percentiles, batch128: percentiles }),
  weights: z.array(
    z.strictObject({
      name: z.string().min(1),
      representation: z.string().min(1),
      bytes: count,
      sqnrDb: z.number().nullable(),
      skipped: z.string().min(1).exactOptional(),
    }),
  ),
});

/** Schema of report.json; unknown fields are refused, so that a misspelt one is not lost in silence. */
export const reportSchema: z.ZodType<Report> = z.strictObject({
  schemaVersion: z.literal(REPORT_SCHEMA_VERSION),
  seed: count,
  environment: z.strictObject({
    tersor: z.string(),
    node: z.string(),
    platform: z.string(),
    arch: z.string(),
    cpu: z.string(),
    cores: positiveCount,
    threads: positiveCount,
    device: z.string(),
    isa: z.string(),
    date: z.iso.datetime(),
  }),
  baseline: stageSchema,
  stages: z.array(stageSchema),
});

function describeIssues(error: z.ZodError, where: string): string {
  const shown = error.issues.slice(0, 5).map((issue) => {
    const path = issue.path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
    return `${issue.message}, at ${where}${path}`;
  });
  const more = error.issues.length - shown.length;
  return shown.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

/**
 * Reads a report.json.
 *
 * @param text contents of the file
 * @param where name for error messages, e.g. the path
 * @throws TersorError ERR_TERSOR_CORRUPT_FILE for text that is no JSON or not a report of this version; the message says
 *   which field, what was expected and what was found
 *
 * @example
 * const report = parseReport(readFileSync('out/report.json', 'utf8'), 'out/report.json');
 */
export function parseReport(text: string, where = 'report.json'): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected JSON, got ${(cause as Error).message}, at ${where}`, {
      cause,
    });
  }
  const version =
    typeof value === 'object' && value !== null && 'schemaVersion' in value ? value.schemaVersion : undefined;
  if (version !== REPORT_SCHEMA_VERSION) {
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected schemaVersion ${REPORT_SCHEMA_VERSION}, got ${JSON.stringify(version)}, at ${where}`,
    );
  }
  const result = reportSchema.safeParse(value);
  if (result.success) return result.data;
  throw new TersorError('ERR_TERSOR_CORRUPT_FILE', describeIssues(result.error, where), { cause: result.error });
}

/**
 * Text of a report.json: checked, indented, ending in a line feed.
 *
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for a report that the schema refuses, such as one with NaN
 *
 * @example
 * writeFileAtomic('out/report.json', serializeReport(report));
 */
export function serializeReport(report: Report): string {
  const result = reportSchema.safeParse(report);
  if (!result.success) {
    throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', describeIssues(result.error, 'report'), {
      cause: result.error,
    });
  }
  return `${JSON.stringify(report, null, 2)}\n`;
}
