import { expect } from 'chai';
import { sqnrDb } from '../../lib/evaluate/sqnr';

describe('sqnrDb', () => {
  it('is ten times the logarithm of signal over noise', () => {
    expect(sqnrDb([1, -1, 1, -1], [0.9, -0.9, 0.9, -0.9])).to.be.closeTo(20, 1e-12);
    expect(sqnrDb([3, 4], [3, 3])).to.be.closeTo(10 * Math.log10(25), 1e-12);
    expect(sqnrDb([2, 2], [0, 0])).to.equal(0);
  });

  it('gains 6.02 dB with every bit of a uniform quantizer', () => {
    const values = Float64Array.from({ length: 20_000 }, (_, i) => ((i * 0.6180339887498949) % 1) - 0.5);
    const at = (bits: number): number => {
      const step = 1 / 2 ** bits;
      return sqnrDb(
        values,
        values.map((value) => Math.round(value / step) * step),
      )!;
    };
    expect(at(8) - at(7)).to.be.closeTo(6.02, 0.1);
    expect(at(8)).to.be.closeTo(6.02 * 8, 0.2);
  });

  it('is null when exact, also for no values at all', () => {
    expect(sqnrDb([1, 2], [1, 2])).to.equal(null);
    expect(sqnrDb([0, 0], [0, 0])).to.equal(null);
    expect(sqnrDb([], [])).to.equal(null);
  });

  it('refuses different lengths and values that are not finite', () => {
    expect(() => sqnrDb([1, 2], [1]))
      .to.throw()
      .with.property('code', 'ERR_TERSOR_SHAPE');
    for (const bad of [Number.NaN, Infinity]) {
      expect(() => sqnrDb([1, bad], [1, 0]))
        .to.throw('at 1')
        .with.property('code', 'ERR_TERSOR_NOT_FINITE');
      expect(() => sqnrDb([1, 0], [1, bad]))
        .to.throw('at 1')
        .with.property('code', 'ERR_TERSOR_NOT_FINITE');
    }
  });
});
