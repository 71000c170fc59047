import { expect } from 'chai';
import { quantile } from '../lib/quantile';

describe('quantile', () => {
  it('interpolates between ranks as NumPy does by default', () => {
    expect([0, 0.25, 0.5, 0.75, 1].map((q) => quantile([1, 2, 4, 8], q))).to.deep.equal([1, 1.75, 3, 5, 8]);
    expect(quantile([7], 0.99)).to.equal(7);
  });
});
