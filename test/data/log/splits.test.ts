import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  type InteractionLog,
  type InteractionSplit,
  itemsOf,
  leaveOneOutSplit,
  randomSplit,
  readInteractions,
  temporalSplit,
} from '../../../lib/data/log';
import { withSharedAsync } from '../../support/shared';
import { logOf, logs } from './logs';

const PARTS = ['train', 'valid', 'test'] as const;

/** Items of a user by part. */
const partsOf = (split: InteractionSplit, user: number) => PARTS.map((part) => [...itemsOf(split[part], user)]);

/** Every user's items, part after part, are the user's items in the log. */
function expectAllOnce(split: InteractionSplit, log: InteractionLog) {
  expect([split.users, split.items]).to.deep.equal([log.userIds.size, log.itemIds.size]);
  const sorted = (items: number[]) => items.sort((a, b) => a - b);
  for (let user = 0; user < split.users; user++) {
    const all = [...log.items].filter((_, row) => log.users[row] === user);
    expect(sorted(partsOf(split, user).flat())).to.deep.equal(sorted(all));
  }
  for (const part of PARTS) expect(split[part].offsets.at(-1)).to.equal(split[part].items.length);
}

/** A user's items by time, ties in the order of the log. */
function chronological(log: InteractionLog, user: number) {
  const rows = [...log.users.keys()].filter((row) => log.users[row] === user);
  const times = log.timestamps!;
  return rows.sort((a, b) => times[a]! - times[b]! || a - b);
}

describe('randomSplit', () => {
  it('gives floor(n · share) of each user to valid and test, every interaction once, in the order of the log', () => {
    const unique = logs.map((rows) => logOf(rows.map(([user, , time], row) => [user, `i${row}`, time])));
    const ratios = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(9), fc.nat(9));
    fc.assert(
      fc.property(unique, ratios, fc.nat(), (log, [a, b, c], seed) => {
        const split = randomSplit(log, { ratios: [a, b, c], seed });
        expectAllOnce(split, log);
        for (let user = 0; user < split.users; user++) {
          const parts = partsOf(split, user);
          const n = parts.flat().length;
          expect(parts[1]).to.have.length(Math.floor((n * b) / (a + b + c)));
          expect(parts[2]).to.have.length(Math.floor((n * c) / (a + b + c)));
          // Items are numbered in the order of the log here.
          for (const part of parts) expect(part).to.deep.equal(part.toSorted((x, y) => x - y));
        }
      }),
    );
  });

  it('does not lose an interaction to rounding: 10 at .1 is 1, 30 at .1 is 3', () => {
    for (const n of [10, 20, 30, 70, 110, 1000]) {
      const log = logOf(Array.from({ length: n }, (_, i) => ['u', `i${i}`] as const));
      for (const ratios of [
        [0.8, 0.1, 0.1],
        [8, 1, 1],
      ] as const) {
        expect(randomSplit(log, { ratios, seed: 1 }).test.items).to.have.length(n / 10);
      }
    }
  });

  it('depends on the seed alone, and puts each interaction into each part equally often', () => {
    const log = logOf(Array.from({ length: 10 }, (_, i) => ['u', `i${i}`] as const));
    expect(randomSplit(log, { seed: 5 })).to.deep.equal(randomSplit(log, { seed: 5 }));
    const counts = new Int32Array(10);
    for (let seed = 0; seed < 2000; seed++) counts[randomSplit(log, { seed }).test.items[0]!]! += 1;
    // Binomial with p = .1: standard deviation 13.4; five of them.
    for (const count of counts) expect(count).to.be.closeTo(200, 67);
  });

  it('refuses ratios without train, below 0 or not finite', () => {
    for (const ratios of [
      [0, 1, 1],
      [8, -1, 1],
      [8, 1, Number.NaN],
      [Number.POSITIVE_INFINITY, 1, 1],
    ] as const) {
      expect(() => randomSplit(logOf([['u', 'i']]), { ratios, seed: 0 }))
        .to.throw('at ratios')
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});

describe('leaveOneOutSplit', () => {
  it('tests on the last, validates on the one before and trains on the rest in order; ties go by the order of the log', () => {
    fc.assert(
      fc.property(logs, (rows) => {
        const log = logOf(rows);
        const split = leaveOneOutSplit(log);
        expectAllOnce(split, log);
        for (let user = 0; user < split.users; user++) {
          const items = chronological(log, user).map((row) => log.items[row]);
          const [train, valid, test] = partsOf(split, user);
          expect([...train!, ...valid!, ...test!]).to.deep.equal(items);
          expect([valid!.length, test!.length]).to.deep.equal([items.length > 2 ? 1 : 0, items.length > 1 ? 1 : 0]);
        }
      }),
    );
  });

  it('refuses a log without times', () => {
    expect(() => leaveOneOutSplit(logOf([['a', 'x']])))
      .to.throw('expected a log with times')
      .with.property('code', 'ERR_TERSOR_DATA');
  });
});

describe('temporalSplit', () => {
  it('cuts everybody at the same two moments', () => {
    const log = logOf([
      ['a', 'x', 3],
      ['b', 'y', 1],
      ['a', 'z', 1],
      ['b', 'x', 2],
      ['a', 'y', 2],
      ['b', 'z', 9],
    ]);
    const split = temporalSplit(log, { validFrom: 2, testFrom: 3 });
    const [x, y, z] = ['x', 'y', 'z'].map((item) => log.itemIds.id(item)!);
    expect(partsOf(split, 0)).to.deep.equal([[z], [y], [x]]);
    expect(partsOf(split, 1)).to.deep.equal([[y], [x], [z]]);
  });

  it('never tests on something earlier than what it learned from, whatever the ratios', () => {
    fc.assert(
      fc.property(logs, fc.integer({ min: 1, max: 9 }), fc.nat(4), fc.nat(4), (rows, a, b, c) => {
        const log = logOf(rows);
        const times = log.timestamps!;
        const sorted = [...times].sort((x, y) => x - y);
        const n = sorted.length;
        const test = n - Math.floor((n * c) / (a + b + c));
        const valid = test - Math.floor((n * b) / (a + b + c));
        const moments = [sorted[valid] ?? Number.POSITIVE_INFINITY, sorted[test] ?? Number.POSITIVE_INFINITY];
        const run = () => temporalSplit(log, { ratios: [a, b, c] });
        if (sorted[0] === moments[0]) {
          expect(run).to.throw('got none, at temporalSplit');
          return;
        }
        const split = run();
        expectAllOnce(split, log);
        for (let user = 0; user < split.users; user++) {
          const ordered = chronological(log, user);
          const between = (from: number, to: number) =>
            ordered.filter((row) => times[row]! >= from && times[row]! < to).map((row) => log.items[row]);
          expect(partsOf(split, user)).to.deep.equal([
            between(Number.NEGATIVE_INFINITY, moments[0]!),
            between(moments[0]!, moments[1]!),
            between(moments[1]!, Number.POSITIVE_INFINITY),
          ]);
        }
      }),
    );
  });

  it('refuses moments in the wrong order, and nothing to train on', () => {
    const log = logOf([['a', 'x', 3]]);
    expect(() => temporalSplit(log, { validFrom: 5, testFrom: 4 })).to.throw('got 5 and 4, at temporalSplit');
    expect(() => temporalSplit(log, { validFrom: Number.NaN, testFrom: 4 })).to.throw('got NaN and 4');
    expect(() => temporalSplit(log, { validFrom: 3, testFrom: 4 })).to.throw(
      'expected interactions before 3, got none',
    );
  });
});

describe('splits of MovieLens-100k', () => {
  it('have the sizes of the published protocols, and leave out the latest item of each user', () =>
    withSharedAsync(['data', 'ml-100k', 'ml-100k.inter'], async (file) => {
      const log = await readInteractions(file, { strict: true });
      const sizes = (split: InteractionSplit) => PARTS.map((part) => split[part].items.length);
      expect(sizes(randomSplit(log, { seed: 0 }))).to.deep.equal([80_808, 9_596, 9_596]);
      const split = leaveOneOutSplit(log);
      expect(sizes(split)).to.deep.equal([98_114, 943, 943]);
      expect(sizes(temporalSplit(log, { ratios: [8, 1, 1] })).reduce((a, b) => a + b)).to.equal(100_000);

      const latest = new Map<string, { item: string; time: number }>();
      for (const line of readFileSync(file, 'utf8').trim().split('\n').slice(1)) {
        const [user, item, , time] = line.split('\t') as [string, string, string, string];
        if (Number(time) >= (latest.get(user)?.time ?? 0)) latest.set(user, { item, time: Number(time) });
      }
      for (let user = 0; user < split.users; user++) {
        const item = log.itemIds.token(itemsOf(split.test, user)[0]!);
        expect(item).to.equal(latest.get(log.userIds.token(user))?.item);
      }
    }));
});
