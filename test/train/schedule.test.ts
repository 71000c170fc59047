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
});
