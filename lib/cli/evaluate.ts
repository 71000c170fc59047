import { statSync } from 'node:fs';
import { loadModel } from '../models';
import { collectEnvironment } from '../report/environment';
import { formatBytes, formatCount, formatLatency, formatMetric } from '../report/format';
import { measureModel } from '../report/measure';
import { devices, threads } from '../tensor';
import { type Context, type Result, UsageError } from './command';
import { modelFile } from './model-file';
import { protocolOf, type ScoringOptions } from './scoring';
import { renderRows } from './table';

/** Options of `tersor evaluate`. */
export interface EvaluateOptions extends ScoringOptions {
  readonly model?: string;
}

/** `tersor evaluate`: the metrics, size and speed of a packed model. */
export async function evaluate(given: string, options: EvaluateOptions, { signal }: Context): Promise<Result> {
  const protocol = protocolOf(options);
  if (protocol === undefined)
    throw new UsageError('expected --protocol leave-one-out or classification with its files, got none');
  const file = modelFile(given);
  const model = loadModel(file, { kind: options.model });
  try {
    const { stage } = await measureModel(model, { name: file, protocol, signal });
    const { metrics, parameters, nonzeros, macs, latencyMs } = stage;
    const bytes = statSync(file).size;
    const isa = devices().find(({ name }) => name === 'cpu')?.isa ?? 'unknown';
    const environment = collectEnvironment({ device: 'cpu', isa, threads: threads() });
    const rows = [
      ...Object.entries(metrics).map(([name, value]) => [name, formatMetric(name, value)]),
      ['bytes on disk', `${formatCount(bytes)} (${formatBytes(bytes)})`],
      ['parameters', formatCount(parameters)],
      ['nonzeros', formatCount(nonzeros)],
      ['multiply-accumulates', formatCount(macs)],
      ['batch of 1, ms p50 / p99', formatLatency(latencyMs.batch1)],
      ['batch of 128, ms p50 / p99', formatLatency(latencyMs.batch128)],
    ];
    return {
      json: {
        file,
        kind: model.architecture.kind,
        protocol: protocol.name,
        metrics,
        bytes,
        parameters,
        nonzeros,
        macs,
        latencyMs,
        environment,
      },
      text: renderRows([{ heading: file }, { heading: '', align: 'right' }], rows),
    };
  } finally {
    model.dispose();
  }
}
