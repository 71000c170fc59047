import { expect } from 'chai';
import fc from 'fast-check';
import type { UserItems } from '../../../lib/data/log';
import {
  hardNegatives,
  inBatchNegatives,
  logFrequencies,
  type NegativeSampler,
  popularityNegatives,
  uniformNegatives,
} from '../../../lib/data/negatives';
import { aliasTable } from '../../../lib/data/negatives/alias';
import { philox } from '../../../lib/random';
import { expectDistribution } from '../../support/chi-square';

const ITEMS = 12;

function csr(rows: readonly (readonly number[])[]): UserItems {
  const offsets = new Int32Array(rows.length + 1);
  for (const [user, row] of rows.entries()) offsets[user + 1] = offsets[user]! + row.length;
  return { offsets, items: Int32Array.from(rows.flat()) };
}

const repeat = (user: number, times: number) => new Int32Array(times).fill(user);

/** A model whose order of items is by (item · 5 + user) mod 12. */
const best = (users: Int32Array, k: number) => Int32Array.from([...users].flatMap((user) => order(user).slice(0, k)));
const order = (user: number) =>
  Array.from({ length: ITEMS }, (_, item) => item).sort((a, b) => ((a * 5 + user) % ITEMS) - ((b * 5 + user) % ITEMS));

const samplers: Record<string, (train: UserItems) => NegativeSampler> = {
  uniform: (train) => uniformNegatives(train, ITEMS),
  popularity: (train) => popularityNegatives(train, ITEMS, { exponent: 0 }),
  hard: (train) => hardNegatives(train, ITEMS, best, { pool: 4 }),
};

/** Users with items, some twice, none with more than ITEMS − 3 different ones. */
const rows = fc.array(fc.array(fc.nat(ITEMS - 4), { maxLength: 15 }), { minLength: 1, maxLength: 8 });

for (const [name, make] of Object.entries(samplers)) {
  describe(`${name} negatives`, () => {
    it('are never positives of their user', () => {
      fc.assert(
        fc.property(rows, fc.integer({ min: 1, max: 3 }), fc.nat(), (items, count, seed) => {
          const users = Int32Array.from({ length: 3 * items.length }, (_, i) => i % items.length);
          const negatives = make(csr(items))(users, { count, seed, epoch: 0 });
          expect(negatives).to.have.length(users.length * count);
          for (const [i, item] of negatives.entries()) {
            expect(item).to.be.within(0, ITEMS - 1);
            expect(items[users[Math.floor(i / count)]!]).not.to.include(item);
          }
        }),
      );
    });

    it('of an epoch are the same whether or not earlier epochs were drawn, and differ between epochs and seeds', () => {
      const train = csr([[0, 1], [2]]);
      const users = Int32Array.from({ length: 100 }, (_, i) => i % 2);
      const sampler = make(train);
      const epochs = [0, 1, 2].map((epoch) => sampler(users, { seed: 7, epoch }));
      expect(make(train)(users, { seed: 7, epoch: 2 })).to.deep.equal(epochs[2]);
      expect(epochs[1]).not.to.deep.equal(epochs[2]);
      expect(sampler(users, { seed: 8, epoch: 2 })).not.to.deep.equal(epochs[2]);
    });

    it('refuse users, items, counts and epochs out of range, and users with too few items left', () => {
      const all = Array.from({ length: ITEMS }, (_, i) => i);
      const sampler = make(csr([[0], all]));
      const draw = { seed: 0, epoch: 0 };
      const out = 'ERR_TERSOR_OUT_OF_RANGE';
      for (const user of [-1, 2])
        expect(() => sampler(repeat(user, 1), draw))
          .to.throw(`got ${user}`)
          .with.property('code', out);
      for (const count of [0, 1.5]) {
        expect(() => sampler(repeat(0, 1), { ...draw, count }))
          .to.throw('at count')
          .with.property('code', out);
      }
      expect(() => sampler(repeat(0, 1), { seed: 0, epoch: -1 }))
        .to.throw()
        .with.property('code', out);
      expect(() => make(csr([[ITEMS]])))
        .to.throw(`expected an item in 0..11, got ${ITEMS}, at user 0`)
        .with.property('code', out);
      expect(() => sampler(repeat(1, 1), draw))
        .to.throw('expected at least 1 of 12 items to be no positives, got 0, at user 1')
        .with.property('code', 'ERR_TERSOR_DATA');
      expect(sampler(new Int32Array(0), draw)).to.have.length(0);
    });
  });
}

const counted = (drawn: Int32Array) => {
  const counts = new Array<number>(ITEMS).fill(0);
  for (const item of drawn) counts[item]! += 1;
  return counts;
};

describe('uniform negatives', () => {
  it('are all other items with the same probability, repeated positives and users without any included', () => {
    for (const items of [[], [3], [0, 11, 3, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]) {
      const drawn = uniformNegatives(csr([items]), ITEMS)(repeat(0, 5000), { count: 2, seed: 1, epoch: 0 });
      const others = ITEMS - new Set(items).size;
      expectDistribution(
        counted(drawn),
        Array.from({ length: ITEMS }, (_, i) => (items.includes(i) ? 0 : 1 / others)),
        `positives ${items}`,
      );
    }
  });
});

describe('popularity negatives', () => {
  it('are drawn by count^exponent among the other items, even where nearly all of it is the user’s own', () => {
    // Item i has i interactions by user 1; user 0 has some, and user 2 the popular ones.
    const popular = Array.from({ length: ITEMS }, (_, i) => repeat(i, i)).flatMap((row) => [...row]);
    const own = [[11, 2], popular, [...repeat(11, 5000), 10, 9]];
    const train = csr(own);
    for (const exponent of [0.5, 0.75, 1]) {
      for (const user of [0, 2]) {
        const weights = Array.from({ length: ITEMS }, (_, i) =>
          own[user]!.includes(i) ? 0 : train.items.filter((item) => item === i).length ** exponent,
        );
        const total = weights.reduce((a, b) => a + b);
        const sampler = popularityNegatives(train, ITEMS, { exponent });
        const drawn = sampler(repeat(user, 4000), { seed: 2, epoch: 0 });
        expectDistribution(
          counted(drawn),
          weights.map((weight) => weight / total),
          `user ${user}, exponent ${exponent}`,
        );
      }
    }
  });

  it('refuse a user who has everything that is popular, and exponents out of range', () => {
    const sampler = popularityNegatives(csr([[1, 2]]), ITEMS);
    expect(() => sampler(repeat(0, 1), { seed: 0, epoch: 0 }))
      .to.throw('expected a popular item that is no positive, got none, at user 0')
      .with.property('code', 'ERR_TERSOR_DATA');
    for (const exponent of [-1, Number.NaN, 17]) {
      expect(() => popularityNegatives(csr([[1]]), ITEMS, { exponent })).to.throw('at exponent');
    }
  });
});

describe('hard negatives', () => {
  it('are the best of the model that are no positives, each as likely, and none twice for one entry', () => {
    const items = [[...order(0).slice(0, 2), order(0)[3]!]];
    const pool = [order(0)[2]!, ...order(0).slice(4, 7)];
    const sampler = hardNegatives(csr(items), ITEMS, best, { pool: 4 });
    const drawn = sampler(repeat(0, 3000), { count: 2, seed: 3, epoch: 0 });
    expectDistribution(
      counted(drawn),
      Array.from({ length: ITEMS }, (_, i) => (pool.includes(i) ? 1 / 4 : 0)),
      'pool',
    );
    for (let i = 0; i < drawn.length; i += 2) expect(drawn[i]).not.to.equal(drawn[i + 1]);
  });

  it('ask the model for each user once, some users at a time', () => {
    const asked: number[] = [];
    const sampler = hardNegatives(
      csr(Array.from({ length: 600 }, () => [])),
      ITEMS,
      (users, k) => {
        asked.push(users.length);
        expect(k).to.equal(1);
        return best(users, k);
      },
      { pool: 1 },
    );
    const users = Int32Array.from({ length: 1800 }, (_, i) => i % 600);
    const negatives = sampler(users, { seed: 0, epoch: 0 });
    expect(asked).to.deep.equal([256, 256, 88]);
    expect([...negatives]).to.deep.equal([...users].map((user) => order(user)[0]));
  });

  it('refuse counts beyond the pool and models that return other numbers of items or no items', () => {
    const draw = { seed: 0, epoch: 0 };
    const make = (model: typeof best) => hardNegatives(csr([[0]]), ITEMS, model, { pool: 2 });
    expect(() => make(best)(repeat(0, 1), { ...draw, count: 3 })).to.throw('expected a count of at most 2, got 3');
    expect(() => make(() => new Int32Array(2))(repeat(0, 1), draw)).to.throw('expected 1 x 3 items, got 2, at best');
    expect(() => make(() => Int32Array.of(0, 1, 12))(repeat(0, 1), draw)).to.throw('got 12 for user 0, at best');
    expect(() => hardNegatives(csr([[0]]), ITEMS, best, { pool: 0 })).to.throw('at pool');
  });
});

describe('in-batch negatives', () => {
  it('are all items of the batch that the user does not have', () => {
    fc.assert(
      fc.property(rows, fc.array(fc.tuple(fc.nat(), fc.nat(ITEMS - 1)), { maxLength: 20 }), (items, pairs) => {
        const users = Int32Array.from(pairs, ([user]) => user % items.length);
        const batch = Int32Array.from(pairs, ([, item]) => item);
        const expected = [...users].flatMap((user, row) =>
          [...batch].map((item) => Number(item !== batch[row] && !items[user]!.includes(item))),
        );
        expect([...inBatchNegatives(csr(items), ITEMS)(users, batch)]).to.deep.equal(expected);
      }),
    );
  });

  it('refuse batches that do not fit', () => {
    const mask = inBatchNegatives(csr([[0]]), ITEMS);
    expect(() => mask(repeat(0, 2), repeat(0, 1)))
      .to.throw('expected 2 items')
      .with.property('code', 'ERR_TERSOR_SHAPE');
    expect(() => mask(repeat(1, 1), repeat(0, 1)))
      .to.throw('got 1')
      .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
  });

  it('are corrected by the logarithm of each item’s share; an unseen item counts once', () => {
    const logQ = logFrequencies(
      csr([
        [0, 1, 0],
        [0, 2],
      ]),
      4,
    );
    for (const [item, share] of [3 / 5, 1 / 5, 1 / 5, 1 / 5].entries()) {
      // Rounding of the logarithm to f32.
      expect(logQ[item]).to.be.closeTo(Math.log(share), 2 ** -24 * 2);
    }
    expect(() => logFrequencies(csr([[]]), 4)).to.throw('expected at least 1 interaction');
    expect(() => logFrequencies(csr([[4]]), 4))
      .to.throw('expected an item in 0..3, got 4, at train')
      .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
  });
});

describe('aliasTable', () => {
  it('draws by weight, never an index of weight 0', () => {
    for (const weights of [
      [1],
      [0, 1, 0],
      [1, 2, 3, 4],
      [1e-9, 1, 1e9],
      Array.from({ length: 100 }, (_, i) => 1 / (i + 1)),
    ]) {
      const total = weights.reduce((a, b) => a + b);
      const draw = aliasTable(weights);
      const random = philox(4);
      const counts = new Array<number>(weights.length).fill(0);
      for (let i = 0; i < 20_000; i++) counts[draw(random)]! += 1;
      const likely = weights.filter((weight) => (20_000 * weight) / total >= 5).length > 1;
      if (likely)
        expectDistribution(
          counts,
          weights.map((weight) => weight / total),
          `${weights}`,
        );
      else expect(counts[weights.indexOf(Math.max(...weights))]).to.equal(20_000);
    }
  });

  it('refuses weights that are no distribution', () => {
    for (const weights of [[], [0, 0], [1, -1], [Number.NaN], [Number.POSITIVE_INFINITY], [1e308, 1e308]]) {
      expect(() => aliasTable(weights))
        .to.throw('weights')
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});
