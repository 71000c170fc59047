import { type LatencyOptions, measureLatency } from '../evaluate/latency';
import { type MetricValues, mean } from '../evaluate/metrics';
import type { Protocol } from '../evaluate/protocol';
import { pairedBootstrap } from '../evaluate/significance';
import { sqnrDb } from '../evaluate/sqnr';
import { type Model, modelFileBytes } from '../models';
import { tidy } from '../tensor';
import type { Weight } from '../weights';
import type { LatencyPercentiles, Stage, WeightRow } from './schema';

/** Stands for −infinity, which JSON has not: the ratio of an all-zero weight that is stored as something else. */
const LOWEST_SQNR_DB = -1000;

/** A model's row of a report, with the values per example that it was computed from. */
export interface Measurement {
  readonly stage: Stage;
  /** One entry per metric of the protocol. */
  readonly metrics: readonly MetricValues[];
}

/** Options of {@link measureModel}. */
export interface MeasureOptions {
  readonly name: string;
  /** How to score the model; without one the row has no metrics. */
  readonly protocol?: Protocol | undefined;
  /** Compare each metric, example by example, with this measurement. */
  readonly baseline?: Measurement | undefined;
  /** The float weights that the stored ones were rounded from, by name; a weight without one counts as exact. */
  readonly references?: ReadonlyMap<string, Float32Array> | undefined;
  /** Why a weight was not compressed, by name. */
  readonly skipped?: ReadonlyMap<string, string> | undefined;
  /** Of the bootstrap. Default 0. */
  readonly seed?: number | undefined;
  /** How long latency is measured. */
  readonly latency?: LatencyOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Measures a packed model as it is served: metrics, bytes of its file, parameters, nonzeros, multiply-accumulates, latency,
 * and each weight's representation.
 *
 * @throws `signal.reason` when aborted, and what the protocol throws
 * @example
 * const { stage } = await tersor.measureModel(model, { name: 'fp32', protocol: tersor.classificationProtocol(test) })
 * console.log(stage.metrics.accuracy, stage.bytes, stage.latencyMs.batch1.p50)
 */
export async function measureModel(model: Model, options: MeasureOptions): Promise<Measurement> {
  const { name, protocol, baseline, references, skipped, seed = 0, signal } = options;
  signal?.throwIfAborted();
  const metrics = (await protocol?.measure(model, { signal })) ?? [];
  const batch1 = await latencyOf(model, 1, options);
  const batch128 = await latencyOf(model, 128, options);
  const stage: Stage = {
    name,
    metrics: Object.fromEntries(metrics.map((metric) => [metric.name, mean(metric.values)])),
    bytes: modelFileBytes(model),
    parameters: model.parameters(),
    nonzeros: model.nonzeros(),
    macs: model.macs(),
    latencyMs: { batch1, batch128 },
    weights: weightRows(model, references, skipped),
  };
  if (baseline !== undefined) stage.comparisons = compare(metrics, baseline, seed);
  return { stage, metrics };
}

function compare(metrics: readonly MetricValues[], baseline: Measurement, seed: number) {
  return Object.fromEntries(
    metrics.flatMap(({ name, values }) => {
      const reference = baseline.metrics.find((metric) => metric.name === name);
      if (reference === undefined) return [];
      return [[name, { against: baseline.stage.name, ...pairedBootstrap(values, reference.values, { seed }) }]];
    }),
  );
}

/** Of `count` examples at once. The clock runs on this thread, so the event loop gets its turn first. */
async function latencyOf(model: Model, count: number, options: MeasureOptions): Promise<LatencyPercentiles> {
  await new Promise(setImmediate);
  options.signal?.throwIfAborted();
  const inputs = model.architecture.exampleInputs(count);
  try {
    const forward = () => tidy(() => void model.forward(...inputs));
    const { p50, p99 } = measureLatency(forward, options.latency);
    return { p50, p99 };
  } finally {
    for (const input of inputs) input.dispose();
  }
}

function weightRows(
  model: Model,
  references: ReadonlyMap<string, Float32Array> | undefined,
  skipped: ReadonlyMap<string, string> | undefined,
): WeightRow[] {
  return [...model.weights].map(([name, weight]) => {
    const reference = references?.get(name);
    const reason = skipped?.get(name);
    return {
      name,
      representation: weight.representation,
      bytes: weight.bytes(),
      sqnrDb: reference === undefined ? null : sqnrOf(weight, reference),
      ...(reason === undefined ? {} : { skipped: reason }),
    };
  });
}

function sqnrOf(weight: Weight, reference: Float32Array): number | null {
  const decibels = tidy(() => sqnrDb(reference, weight.dense().toArray() as Float32Array));
  return decibels === null ? null : Math.max(decibels, LOWEST_SQNR_DB);
}
