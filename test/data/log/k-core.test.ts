import { expect } from 'chai';
import fc from 'fast-check';
import { kCore } from '../../../lib/data/log';
import { logOf, logs } from './logs';

const count = (ids: readonly string[]) => {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
};

/** The definition: remove one user or item that has too few until there is none. */
function reduced(rows: readonly (readonly [string, string, number])[], user: number, item: number) {
  for (let left = rows; ; ) {
    const few = [
      [...count(left.map(([u]) => u))].find(([, n]) => n < user),
      [...count(left.map(([, i]) => i))].find(([, n]) => n < item),
    ];
    const next = left.filter(([u, i]) => u !== few[0]?.[0] && i !== few[1]?.[0]);
    if (next.length === left.length) return left;
    left = next;
  }
}

describe('kCore', () => {
  it('is what is left when users and items with too few interactions are removed one by one', () => {
    fc.assert(
      fc.property(logs, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), (rows, user, item) => {
        const expected = reduced(rows, user, item);
        if (expected.length === 0) {
          expect(() => kCore(logOf(rows), { user, item })).to.throw('got none, at kCore');
        } else {
          expect(kCore(logOf(rows), { user, item })).to.deep.equal(logOf(expected));
        }
      }),
    );
  });

  it('refuses counts below 1', () => {
    for (const wrong of [{ user: 0 }, { item: 1.5 }]) {
      expect(() => kCore(logOf([['a', 'x']]), wrong))
        .to.throw('expected an integer of at least 1')
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});
