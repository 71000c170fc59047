import { expect } from 'chai';
import { learningRateAt } from '../../lib/train';

describe('learningRateAt', () => {
  it('stays when constant', () => {
    expect([0, 1, 99].map((step) => learningRateAt('constant', 0.3, step, 100))).to.deep.equal([0.3, 0.3, 0.3]);
  });

  it('starts at the base and falls to 0 along half a cosine', () => {
    const rates = [0, 25, 50, 75, 100].map((step) => learningRateAt('cosine', 0.2, step, 100));
    // 0.1 (1 + cos πt) at quarters: 1, √½, 0, −√½, −1.
    const expected = [0.2, 0.1 * (1 + Math.SQRT1_2), 0.1, 0.1 * (1 - Math.SQRT1_2), 0];
    rates.forEach((rate, i) => {
      expect(rate).to.be.closeTo(expected[i] as number, 1e-15);
    });
  });

  it('is above 0 in the last step, and never rises', () => {
    for (const total of [1, 2, 7, 1000]) {
      const rates = Array.from({ length: total }, (_, step) => learningRateAt('cosine', 1, step, total));
      expect(rates.at(-1)).to.be.above(0);
      expect(rates).to.deep.equal(rates.toSorted((a, b) => b - a));
    }
  });

  it('falls along a line when it is linear', () => {
    expect([0, 25, 50, 100].map((step) => learningRateAt('linear', 0.5, step, 100))).to.deep.equal([
      0.5, 0.375, 0.25, 0,
    ]);
  });

  it('falls by a factor after every so many steps', () => {
    const schedule = { step: { every: 10, factor: 0.5 } };
    const rates = [0, 9, 10, 19, 20].map((step) => learningRateAt(schedule, 0.8, step, 100));
    expect(rates).to.deep.equal([0.8, 0.8, 0.4, 0.4, 0.2]);
  });

  it('rises to its value during the warm-up, and the schedule is that of the steps after it', () => {
    for (const schedule of ['cosine', 'linear', 'constant', { step: { every: 3, factor: 0.1 } }] as const) {
      const rates = Array.from({ length: 30 }, (_, step) => learningRateAt(schedule, 1, step, 30, 10));
      const after = Array.from({ length: 20 }, (_, step) => learningRateAt(schedule, 1, step, 20));
      expect(rates).to.deep.equal([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, ...after]);
    }
  });
});
