import { TersorError } from '../errors';
import { nearest } from '../nearest';

/** A metric by name: what to compute, and the cutoff of those that look at the top k. */
export type MetricName =
  | { readonly kind: 'accuracy'; readonly name: string }
  | { readonly kind: 'hr' | 'ndcg'; readonly name: string; readonly k: number };

const SUGGESTIONS = ['accuracy', 'hr@10', 'ndcg@10'];

function parseMetric(text: string): MetricName {
  const name = text.trim();
  if (name === 'accuracy') return { kind: 'accuracy', name };
  const atK = /^(hr|ndcg)@(\d+)$/.exec(name);
  const k = Number(atK?.[2]);
  if (atK && Number.isSafeInteger(k) && k >= 1) {
    const kind = atK[1] === 'hr' ? 'hr' : 'ndcg';
    return { kind, name: `${kind}@${k}`, k };
  }
  const suggestion = nearest(name, SUGGESTIONS);
  const hint = suggestion === undefined ? '' : ` (nearest: '${suggestion}')`;
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected 'accuracy', 'hr@k' or 'ndcg@k' with an integer k >= 1, got '${name}'${hint}, at metrics`,
  );
}

/**
 * Reads a comma-separated list of metrics. Order is kept: the first one is the report's main metric.
 *
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for an unknown or repeated metric, with the nearest valid name
 *
 * @example
 * parseMetricNames('hr@10,ndcg@10'); // [{ kind: 'hr', name: 'hr@10', k: 10 }, { kind: 'ndcg', name: 'ndcg@10', k: 10 }]
 */
export function parseMetricNames(list: string): MetricName[] {
  const metrics = list.split(',').map(parseMetric);
  const names = new Set<string>();
  for (const { name } of metrics) {
    if (names.has(name)) {
      throw new TersorError(
        'ERR_TERSOR_INVALID_ARGUMENT',
        `expected each metric once, got '${name}' twice, at metrics`,
      );
    }
    names.add(name);
  }
  return metrics;
}
