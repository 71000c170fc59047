import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  auc,
  averagePrecision,
  binaryPrecision,
  binaryRecall,
  calibration,
  f1,
  logLoss,
  mean,
  normalizedEntropy,
  type PooledMetric,
  pearson,
  perplexity,
  rmse,
  spearman,
} from '../../lib/evaluate/metrics';
import { pairedBootstrap, pairedBootstrapPooled } from '../../lib/evaluate/significance';
import { philox } from '../../lib/random';
import { withShared } from '../support/shared';

const LABELS = [1, 0, 1, 1, 0, 0, 1, 0];
const SCORES = [0.9, 0.8, 0.7, 0.7, 0.7, 0.2, 0.1, 0.05];

/** Every metric of numbers and 0/1 labels. */
const OF_LABELS: Record<string, (scores: readonly number[], labels: readonly number[]) => PooledMetric> = {
  auc,
  averagePrecision,
  normalizedEntropy,
  calibration,
  binaryPrecision: (scores, labels) => binaryPrecision(scores, labels),
  binaryRecall: (scores, labels) => binaryRecall(scores, labels),
  f1: (scores, labels) => f1(scores, labels),
  rmse,
  pearson,
  spearman,
};

describe('metrics of binary classification', () => {
  it('give scikit-learn’s golden values, ties included', function () {
    this.timeout(10_000);
    withShared(['vectors', 'metrics.json'], (file) => {
      const golden = JSON.parse(readFileSync(file, 'utf8'));
      const { labels, scores } = golden;
      expect(auc(scores, labels).value).to.be.closeTo(golden.auc, 1e-14);
      expect(averagePrecision(scores, labels).value).to.be.closeTo(golden.average_precision, 1e-14);
      expect(mean(logLoss(scores, labels).values)).to.be.closeTo(golden.log_loss, 1e-14);
      expect(normalizedEntropy(scores, labels).value).to.be.closeTo(golden.normalized_entropy, 1e-14);
      expect(calibration(scores, labels).value).to.be.closeTo(golden.calibration, 1e-14);
      expect(f1(scores, labels).value).to.be.closeTo(golden['f1_at_0.5'], 1e-14);
    });
  });

  it('AUC counts the pairs that are ordered, ties half', () => {
    const lists = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 1 })), { maxLength: 25 });
    fc.assert(
      fc.property(lists, (examples) => {
        const all = [...examples, [3, 0], [3, 1]] as [number, number][];
        let ordered = 0;
        let pairs = 0;
        for (const [positive, label] of all) {
          for (const [negative, other] of all) {
            if (label !== 1 || other !== 0) continue;
            pairs++;
            ordered += positive > negative ? 1 : positive === negative ? 0.5 : 0;
          }
        }
        const [scores, labels] = [all.map(([score]) => score), all.map(([, label]) => label)];
        expect(auc(scores, labels).value).to.be.closeTo(ordered / pairs, 1e-12);
      }),
    );
  });

  it('precision, recall and F1 above a threshold', () => {
    expect(binaryPrecision(SCORES, LABELS, 0.6).value).to.equal(3 / 5);
    expect(binaryRecall(SCORES, LABELS, 0.6).value).to.equal(3 / 4);
    expect(f1(SCORES, LABELS, 0.6).value).to.be.closeTo((2 * 0.6 * 0.75) / (0.6 + 0.75), 1e-15);
    expect(binaryRecall(SCORES, LABELS, 0.7).value, 'a score at the threshold says 0').to.equal(1 / 4);
    expect(binaryPrecision(SCORES, LABELS, 2).value).to.equal(0);
    expect(binaryRecall(SCORES, LABELS, -Infinity).value).to.equal(1);
  });

  it('log loss of a sure and wrong answer is finite: 52 bits', () => {
    const bits = [...logLoss([0, 1, 1], [1, 0, 1]).values].map((nats) => nats / Math.LN2);
    expect(bits[0]).to.equal(52);
    expect(bits[1]).to.be.closeTo(52, 1e-12);
    expect(bits[2]).to.be.closeTo(0, 1e-15);
  });

  it('normalized entropy is 1 for a model that always says the share', () => {
    const labels = [1, 0, 0, 0];
    expect(normalizedEntropy([0.25, 0.25, 0.25, 0.25], labels).value).to.be.closeTo(1, 1e-15);
    expect(calibration([0.25, 0.25, 0.25, 0.25], labels).value).to.equal(1);
  });

  it('refuse NaN, labels that are neither 0 nor 1, other lengths, one class alone and impossible probabilities', () => {
    const cases: [() => unknown, string, string][] = [
      [() => auc([1, Number.NaN], [0, 1]), 'ERR_TERSOR_NOT_FINITE', 'scores[1]'],
      [() => auc([1, 2], [0, 2]), 'ERR_TERSOR_OUT_OF_RANGE', 'labels[1]'],
      [() => auc([1, 2], [0]), 'ERR_TERSOR_SHAPE', 'got 2 and 1'],
      [() => auc([1, 2], [0, 0]), 'ERR_TERSOR_DATA', 'no 1'],
      [() => averagePrecision([1, 2], [1, 1]), 'ERR_TERSOR_DATA', 'no 0'],
      [() => logLoss([], []), 'ERR_TERSOR_DATA', 'none'],
      [() => logLoss([1.5], [1]), 'ERR_TERSOR_OUT_OF_RANGE', 'probabilities[0]'],
      [() => normalizedEntropy([0.5], [1]), 'ERR_TERSOR_DATA', 'no 0'],
      [() => calibration([0.5], [0]), 'ERR_TERSOR_DATA', 'label 1'],
      [() => f1([0.5], [1], Number.NaN), 'ERR_TERSOR_NOT_FINITE', 'threshold'],
    ];
    for (const [call, code, where] of cases) expect(call, where).to.throw(where).with.property('code', code);
  });
});

describe('metrics of predicted numbers', () => {
  it('correlations of hours of television and IQ: the worked example of Spearman’s coefficient, −29/165', () => {
    const iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110];
    const hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17];
    expect(spearman(iq, hours).value).to.be.closeTo(-29 / 165, 1e-14);
  });

  it('Spearman’s shares ranks among equals and does not mind a monotonic change, Pearson’s does not mind a line', () => {
    // Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: 4.5 / sqrt(4.5 · 5).
    expect(spearman([1, 2, 2, 9], [0, 5, 3, 8]).value).to.be.closeTo(4.5 / Math.sqrt(4.5 * 5), 1e-14);
    expect(spearman([1, 2, 3, 4], [1, 8, 27, 64]).value).to.be.closeTo(1, 1e-15);
    expect(pearson([1, 2, 3, 4], [-2, -4, -6, -8]).value).to.be.closeTo(-1, 1e-15);
    expect(pearson([0, 0, 1, 1], [0, 1, 0, 1]).value).to.equal(0);
  });

  it('RMSE and perplexity by hand', () => {
    expect(rmse([3, 5, 1], [4, 3, 1]).value).to.be.closeTo(Math.sqrt(5 / 3), 1e-15);
    expect(perplexity([Math.log(0.5), Math.log(0.125)]).value).to.be.closeTo(4, 1e-14);
    expect(perplexity([-Infinity, -1]).value).to.equal(Infinity);
  });

  it('refuse what has no value', () => {
    const cases: [() => unknown, string, string][] = [
      [() => pearson([1, 1], [1, 2]), 'ERR_TERSOR_DATA', 'predictions'],
      [() => spearman([1, 2], [3, 3]), 'ERR_TERSOR_DATA', 'targets'],
      [() => rmse([Infinity], [0]), 'ERR_TERSOR_NOT_FINITE', 'predictions[0]'],
      [() => rmse([0], [Number.NaN]), 'ERR_TERSOR_NOT_FINITE', 'targets[0]'],
      [() => perplexity([0.1]), 'ERR_TERSOR_OUT_OF_RANGE', 'logProbabilities[0]'],
      [() => perplexity([]), 'ERR_TERSOR_DATA', 'token'],
    ];
    for (const [call, code, where] of cases) expect(call, where).to.throw(where).with.property('code', code);
  });
});

describe('a resample of a pooled metric', () => {
  for (const [name, metric] of Object.entries(OF_LABELS)) {
    it(`${name}: is the metric of the examples written out as often as they were drawn`, () => {
      fc.assert(
        fc.property(fc.array(fc.nat(3), { minLength: 8, maxLength: 8 }), (extra) => {
          const counts = extra.map((count, i) => (i < 4 || i === 5 ? count + 1 : count)); // both classes, two values
          const repeat = (values: readonly number[]) => values.flatMap((value, i) => Array(counts[i]!).fill(value));
          const expected = metric(repeat(SCORES), repeat(LABELS)).value;
          expect(metric(SCORES, LABELS).resampled(counts)).to.be.closeTo(expected, 1e-12);
        }),
      );
    });
  }

  it('is NaN without an example of one class', () => {
    expect(auc(SCORES, LABELS).resampled([1, 0, 1, 0, 0, 0, 0, 0])).to.be.NaN;
  });

  it('of tokens leaves out those that were not drawn, impossible ones too', () => {
    expect(perplexity([-Infinity, Math.log(0.5)]).resampled([0, 3])).to.be.closeTo(2, 1e-14);
  });
});

describe('pairedBootstrapPooled', () => {
  const random = philox(5, 0);
  const labels = Array.from({ length: 400 }, () => (random.uniform() < 0.3 ? 1 : 0));
  const noisy = (noise: number) => labels.map((label) => label + noise * (random.uniform() - 0.5));

  it('gives the interval of the mean’s bootstrap for a metric that is a mean', () => {
    const [a, b] = [noisy(3), noisy(2)];
    const pooledMean = (values: readonly number[]): PooledMetric => {
      const resampled = (counts: ArrayLike<number>) =>
        values.reduce((sum, value, i) => sum + value * counts[i]!, 0) / values.length;
      return { name: 'mean', value: mean(values), examples: values.length, resampled };
    };
    const expected = pairedBootstrap(a, b, { resamples: 4000 });
    const got = pairedBootstrapPooled(pooledMean(a), pooledMean(b), { resamples: 4000, seed: 1 });
    const width = expected.high - expected.low;
    expect(got.difference).to.be.closeTo(expected.difference, 1e-12);
    // A 2.5 % quantile of 4,000 has a standard error of 4 % of the deviation, 1 % of the width: both sides, 4 of them.
    expect(got.low).to.be.closeTo(expected.low, 0.06 * width);
    expect(got.high).to.be.closeTo(expected.high, 0.06 * width);
  });

  it('tells a better model from a worse one and holds 0 for one against itself', () => {
    const good = auc(noisy(1.5), labels);
    const { difference, low } = pairedBootstrapPooled(good, auc(noisy(6), labels));
    expect(difference).to.be.above(low);
    expect(low).to.be.above(0);
    expect(pairedBootstrapPooled(good, good, { resamples: 50 })).to.include({ difference: 0, low: 0, high: 0 });
  });

  it('draws again where a resample has one class alone', () => {
    const rare = [1, 0, 0, 0];
    const { low, high } = pairedBootstrapPooled(auc([3, 2, 1, 0], rare), auc([0, 1, 2, 3], rare));
    expect([low, high]).to.deep.equal([1, 1]);
  });

  it('refuses different metrics, sizes and infinite values, and gives up where hardly a resample is defined', () => {
    const undefinedOften: PooledMetric = { name: 'auc', value: 0.5, examples: 2, resampled: () => Number.NaN };
    const cases: [() => unknown, string][] = [
      [() => pairedBootstrapPooled(auc([0, 1], [0, 1]), f1([0, 1], [0, 1])), 'ERR_TERSOR_INVALID_ARGUMENT'],
      [() => pairedBootstrapPooled(auc([0, 1], [0, 1]), auc([0, 1, 2], [0, 1, 1])), 'ERR_TERSOR_SHAPE'],
      [() => pairedBootstrapPooled(perplexity([-Infinity]), perplexity([-1])), 'ERR_TERSOR_NOT_FINITE'],
      [() => pairedBootstrapPooled(undefinedOften, undefinedOften, { resamples: 5 }), 'ERR_TERSOR_DATA'],
      [
        () => pairedBootstrapPooled(auc([0, 1], [0, 1]), auc([0, 1], [0, 1]), { resamples: 0 }),
        'ERR_TERSOR_OUT_OF_RANGE',
      ],
    ];
    for (const [call, code] of cases) expect(call).to.throw().with.property('code', code);
  });
});
