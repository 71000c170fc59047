import type { ClassificationData } from '../data/classification';
import type { LeaveOneOutData } from '../data/interactions';
import { TersorError } from '../errors';
import type { Model } from '../models';
import { tensor, tidy } from '../tensor';
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
      const { inputs, labels, features, classes } = data;
      const logits = new Float32Array(labels.length * classes);
      await inBatches(labels.length, signal, (begin, end) => {
        const x = tensor(inputs.subarray(begin * features, end * features), [end - begin, features]);
        logits.set(model.forward(x).toArray() as Float32Array, begin * classes);
      });
      return names.map(() => accuracy(logits, labels, classes));
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
      const scores = new Float32Array(users.length * candidates);
      await inBatches(users.length, signal, (begin, end) => {
        const userIds = new Int32Array((end - begin) * candidates);
        const itemIds = new Int32Array(userIds.length);
        for (let i = begin; i < end; i++) {
          const at = (i - begin) * candidates;
          userIds.fill(users[i] as number, at, at + candidates);
          itemIds[at] = positives[i] as number;
          itemIds.set(negatives.subarray(i * k, (i + 1) * k), at + 1);
        }
        scores.set(model.forward(tensor(userIds), tensor(itemIds)).toArray() as Float32Array, begin * candidates);
      });
      const offsets = Int32Array.from({ length: users.length + 1 }, (_, i) => i * candidates);
      const ranks = leaveOneOutRanks(scores, offsets);
      return names.map((metric) => {
        const cutoff = 'k' in metric ? metric.k : 1;
        return metric.kind === 'hr' ? hitRate(ranks, cutoff) : ndcg(ranks, cutoff);
      });
    },
  };
}

function parseFor(protocol: Protocol['name'], metrics: string, kinds: readonly MetricName['kind'][]): MetricName[] {
  const names = parseMetricNames(metrics);
  const unfit = names.find(({ kind }) => !kinds.includes(kind));
  if (unfit === undefined) return names;
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected metrics of the ${protocol} protocol (${kinds.map((kind) => (kind === 'accuracy' ? kind : `${kind}@k`)).join(', ')}), got '${unfit.name}'`,
  );
}

/** Runs `body` over [0, count) in batches, freeing its tensors and letting the event loop breathe after each. */
async function inBatches(count: number, signal: AbortSignal | undefined, body: (begin: number, end: number) => void) {
  for (let begin = 0; begin < count; begin += BATCH) {
    signal?.throwIfAborted();
    tidy(() => body(begin, Math.min(begin + BATCH, count)));
    await new Promise(setImmediate);
  }
}
