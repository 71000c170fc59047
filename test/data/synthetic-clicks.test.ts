import { expect } from 'chai';
import { type ClickBatch, type SyntheticClicksOptions, syntheticClicks } from '../../lib/data/synthetic-clicks';
import { expectDistribution } from '../support/chi-square';

const options: SyntheticClicksOptions = { users: 60, items: 40, events: 50_000, factors: 3, seed: 9 };

function eventsOf(batches: Iterable<ClickBatch>) {
  const events: { user: number; item: number; click: number; time: number }[] = [];
  for (const { users, items, clicks, timestamps } of batches) {
    for (const [i, user] of users.entries()) {
      events.push({ user, item: items[i]!, click: clicks[i]!, time: timestamps[i]! });
    }
  }
  return events;
}

/** How far the clicks are from their probabilities, in standard deviations, when each event has a weight. */
function deviation(events: readonly { click: number; p: number; weight: number }[]) {
  let sum = 0;
  let variance = 0;
  for (const { click, p, weight } of events) {
    sum += weight * (click - p);
    variance += weight * weight * p * (1 - p);
  }
  return sum / Math.sqrt(variance);
}

describe('syntheticClicks', () => {
  const log = syntheticClicks(options);
  const events = eventsOf(log.batches());
  const factor = (user: number, item: number, f: number) =>
    log.userFactors[user * 3 + f]! * log.itemFactors[item * 3 + f]!;

  it('shows items by Zipf’s law to users who come uniformly, in order of time', () => {
    for (const exponent of [0, 1, 1.5]) {
      const shown = new Array<number>(40).fill(0);
      const came = new Array<number>(60).fill(0);
      for (const { user, item } of eventsOf(syntheticClicks({ ...options, exponent }).batches())) {
        shown[item]! += 1;
        came[user]! += 1;
      }
      const weights = shown.map((_, i) => (i + 1) ** -exponent);
      const total = weights.reduce((a, b) => a + b);
      expectDistribution(
        shown,
        weights.map((weight) => weight / total),
        `items, exponent ${exponent}`,
      );
      expectDistribution(
        came,
        came.map(() => 1 / 60),
        'users',
      );
    }
    expect(events.map(({ time }) => time)).to.deep.equal(events.map((_, i) => i));
  });

  it('draws clicks with probability σ(bias + strength · p · q): calibrated in every range of it', () => {
    const judged = events.map(({ user, item, click }) => {
      const affinity = factor(user, item, 0) + factor(user, item, 1) + factor(user, item, 2);
      return { click, p: 1 / (1 + Math.exp(1 - 2 * affinity)), weight: 1, user, item };
    });
    for (const { p, user, item } of judged.slice(0, 100)) expect(log.probability(user, item)).to.be.closeTo(p, 1e-12);
    judged.sort((a, b) => a.p - b.p);
    for (let tenth = 0; tenth < 10; tenth++) {
      const part = judged.slice(tenth * 5000, (tenth + 1) * 5000);
      expect(Math.abs(deviation(part)), `tenth ${tenth}`).to.be.lessThan(5);
    }
  });

  it('plants every factor: clicks follow each of them, and none when the strength is 0', () => {
    const rate = events.reduce((sum, { click }) => sum + click, 0) / events.length;
    for (let f = 0; f < 3; f++) {
      const weighed = ({ user, item, click }: (typeof events)[number], p: number) => ({
        click,
        p,
        weight: factor(user, item, f),
      });
      // Against the mean rate: what a model without factors would say.
      expect(deviation(events.map((event) => weighed(event, rate))), `factor ${f}`).to.be.greaterThan(10);
      const flat = eventsOf(syntheticClicks({ ...options, strength: 0 }).batches());
      const without = flat.map((event) => weighed(event, 1 / (1 + Math.E)));
      expect(Math.abs(deviation(without)), `no factor ${f}`).to.be.lessThan(5);
    }
  });

  it('has normal latent vectors', () => {
    const large = syntheticClicks({ ...options, users: 2501, items: 3001, factors: 5 });
    for (const [values, variance] of [
      [large.userFactors, 1],
      [large.itemFactors, 1 / 5],
    ] as const) {
      const n = values.length;
      const mean = values.reduce((a, b) => a + b, 0) / n;
      const spread = values.reduce((a, b) => a + b * b, 0) / n / variance;
      // Five standard deviations of the mean, and of the variance of normal numbers.
      expect(Math.abs(mean)).to.be.lessThan(5 * Math.sqrt(variance / n));
      expect(Math.abs(spread - 1)).to.be.lessThan(5 * Math.sqrt(2 / n));
      const within = values.filter((value) => value * value < variance).length;
      expectDistribution([within, n - within], [0.682689, 0.317311], 'within one standard deviation');
    }
  });

  it('gives the same batch from any start, the remainder last, and other events for other seeds', () => {
    const small = { ...options, events: 1050, batchSize: 100 };
    const all = [...syntheticClicks(small).batches()];
    expect(all.map(({ users }) => users.length)).to.deep.equal([...new Array(10).fill(100), 50]);
    expect([...syntheticClicks(small).batches(7)]).to.deep.equal(all.slice(7));
    expect([...syntheticClicks(small).batches(11)]).to.deep.equal([]);
    expect([...syntheticClicks({ ...small, seed: 10 }).batches()][0]).not.to.deep.equal(all[0]);
    expect(all[1]!.items).not.to.deep.equal(all[0]!.items);
  });

  it('starts at once, however long the log', () => {
    const endless = syntheticClicks({ ...options, events: 2 ** 36 });
    const [first] = endless.batches();
    expect(first!.users).to.have.length(4096);
    const [last] = endless.batches(2 ** 24 - 1);
    expect(last!.timestamps.at(-1)).to.equal(2 ** 36 - 1);
  });

  it('refuses what cannot be', () => {
    for (const wrong of [
      { users: 0 },
      { items: 1.5 },
      { events: 0 },
      { events: 2 ** 36 + 1 },
      { batchSize: 0 },
      { factors: 0 },
      { exponent: -1 },
      { strength: Number.NaN },
      { bias: Number.POSITIVE_INFINITY },
    ]) {
      expect(() => syntheticClicks({ ...options, ...wrong }))
        .to.throw(`at ${Object.keys(wrong)[0]}`)
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
    expect(() => [...log.batches(-1)]).to.throw('at from');
  });
});
