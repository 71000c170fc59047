import type { ClassificationData } from '../data/classification';
import type { LeaveOneOutData } from '../data/interactions';
import { TersorError } from '../errors';
import type { Model } from '../models';
import { type Tensor, tensor, tidy } from '../tensor';
import { type MetricName, parseMetricNames } from './metric-names';
import { accuracy, hitRate, leaveOneOutRanks, type MetricValues, ndcg } from './metrics';

/** How a model is scored: which examples it answers and what is counted. */
export interface Protocol {
  readonly name: 'classification' | 'leave-one-out';
  /**
   * Runs the model over the whole test set.
   *
   * @returns each metric's value for every example, in a fixed order, so that two models can be compared in pairs
   * @throws `signal.reason` when aborted
   */
  measure(model: Pick<Model, 'forward'>, options?: { signal?: AbortSignal | undefined }): Promise<MetricValues[]>;
}

/** Examples answered in one forward pass. */
const BATCH = 512;

/**
 * Labelled examples: the share whose largest logit is the label's.
 *
 * @param metrics names separated by commas; only 'accuracy' fits
 * @throws ERR_TERSOR_INVALID_ARGUMENT for a metric that does not fit
 */
export function classificationProtocol(data: ClassificationData, metrics = 'accuracy'): Protocol {
  const names = parseFor('classification', metrics, ['accuracy']);
  return {
    name: 'classification',
    async measure(model, { signal } = {}) {
      const { inputs, labels, features } = data;
      const logits = await answers(model, labels.length, signal, (begin, end) => [
        tensor(inputs.subarray(begin * features, end * features), [end - begin, features]),
      ]);
      // As wide as the model says: a test set may lack its last classes.
      return names.map(() => accuracy(logits, labels, logits.length / labels.length));
    },
  };
}

/**
 * Leave-one-out ranking: the held-out item among its user's negatives, ties counted against it (He et al. 2017).
 *
 * @param metrics names separated by commas: 'hr@k', 'ndcg@k'
 * @throws ERR_TERSOR_INVALID_ARGUMENT for a metric that does not fit
 */
export function leaveOneOutProtocol(data: LeaveOneOutData, metrics = 'hr@10,ndcg@10'): Protocol {
  const names = parseFor('leave-one-out', metrics, ['hr', 'ndcg']);
  return {
    name: 'leave-one-out',
    async measure(model, { signal } = {}) {
      const { users, positives, negatives, k } = data;
      const candidates = k + 1;
      const scores = await answers(model, users.length, signal, (begin, end) => {
        const userIds = new Int32Array((end - begin) * candidates);
        const itemIds = new Int32Array(userIds.length);
        for (let i = begin; i < end; i++) {
          const at = (i - begin) * candidates;
          userIds.fill(users[i] as number, at, at + candidates);
          itemIds[at] = positives[i] as number;
          itemIds.set(negatives.subarray(i * k, (i + 1) * k), at + 1);
        }
        return [tensor(userIds), tensor(itemIds)];
      });
      const offsets = Int32Array.from({ length: users.length + 1 }, (_, i) => i * candidates);
      const ranks = leaveOneOutRanks(scores, offsets);
      return names.map(({ kind, k: cutoff }) => (kind === 'hr' ? hitRate(ranks, cutoff) : ndcg(ranks, cutoff)));
    },
  };
}

function parseFor<K extends MetricName['kind']>(
  protocol: Protocol['name'],
  metrics: string,
  kinds: readonly K[],
): Extract<MetricName, { kind: K }>[] {
  return parseMetricNames(metrics).map((metric) => {
    if (fits(metric, kinds)) return metric;
    const fitting = kinds.map((kind) => (kind === 'accuracy' ? kind : `${kind}@k`)).join(', ');
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected metrics of the ${protocol} protocol (${fitting}), got '${metric.name}', at metrics`,
    );
  });
}

function fits<K extends MetricName['kind']>(
  metric: MetricName,
  kinds: readonly K[],
): metric is Extract<MetricName, { kind: K }> {
  return kinds.some((kind) => kind === metric.kind);
}

/**
 * What the model answers to examples 0 to count, one output after another; the event loop breathes between batches.
 *
 * @param inputsOf the model's inputs for examples [begin, end)
 */
async function answers(
  model: Pick<Model, 'forward'>,
  count: number,
  signal: AbortSignal | undefined,
  inputsOf: (begin: number, end: number) => Tensor[],
): Promise<Float32Array> {
  let all = new Float32Array();
  for (let begin = 0; begin < count; begin += BATCH) {
    signal?.throwIfAborted();
    const end = Math.min(begin + BATCH, count);
    const some = tidy(() => model.forward(...inputsOf(begin, end)).toArray() as Float32Array);
    if (begin === 0) all = new Float32Array((some.length / end) * count);
    all.set(some, begin * (all.length / count));
    await new Promise(setImmediate);
  }
  return all;
}
