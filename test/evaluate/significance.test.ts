import { expect } from 'chai';
import { pairedBootstrap } from '../../lib/evaluate/significance';
import { philox } from '../../lib/random';

/** Every pair drawn, no short cut: the textbook loop. */
function textbookBootstrap(differences: number[], resamples: number): { low: number; high: number } {
  const random = philox(999, 7);
  const means = Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < differences.length; i++) sum += differences[random.integer(differences.length)]!;
    return sum / differences.length;
  }).sort((a, b) => a - b);
  return { low: means[Math.floor(resamples * 0.025)]!, high: means[Math.ceil(resamples * 0.975)]! };
}

/** A test set of n examples on which a wins `wins` and b wins `losses`. */
function outcomes(n: number, wins: number, losses: number): { a: Float64Array; b: Float64Array } {
  const a = Float64Array.from({ length: n }, (_, i) => (i < wins ? 1 : i < wins + losses ? 0 : i % 2));
  const b = Float64Array.from({ length: n }, (_, i) => (i < wins ? 0 : i < wins + losses ? 1 : i % 2));
  return { a, b };
}

describe('pairedBootstrap', () => {
  it('agrees with the normal approximation on 2,000 examples', () => {
    const { a, b } = outcomes(2000, 60, 40);
    const interval = pairedBootstrap(a, b);
    const standardError = Math.sqrt((100 / 2000 - 0.01 ** 2) / 2000);
    expect(interval.difference).to.be.closeTo(0.01, 1e-15);
    expect(interval.confidence).to.equal(0.95);
    // Differences come in steps of 1/2000, a quantile of 10,000 resamples has a standard error of 2.7 % of the deviation.
    const tolerance = 1 / 2000 + 4 * 0.027 * standardError;
    expect(interval.low).to.be.closeTo(0.01 - 1.96 * standardError, tolerance);
    expect(interval.high).to.be.closeTo(0.01 + 1.96 * standardError, tolerance);
  });

  it('agrees with the loop that draws every pair, on skewed differences most of which are zero', () => {
    const random = philox(3, 0);
    const a = Float64Array.from({ length: 300 }, () => (random.uniform() < 0.2 ? random.uniform() ** 4 : 0));
    const b = new Float64Array(300);
    const textbook = textbookBootstrap([...a], 20_000);
    const interval = pairedBootstrap(a, b, { resamples: 20_000 });
    const width = textbook.high - textbook.low;
    expect(interval.low).to.be.closeTo(textbook.low, 0.03 * width);
    expect(interval.high).to.be.closeTo(textbook.high, 0.03 * width);
  });

  it('covers the true difference in 95 % of test sets', () => {
    const random = philox(17, 0);
    const sets = 400;
    let covered = 0;
    for (let set = 0; set < sets; set++) {
      const a = Float64Array.from({ length: 500 }, () => (random.uniform() < 0.15 ? 1 : 0));
      const b = Float64Array.from({ length: 500 }, () => (random.uniform() < 0.1 ? 1 : 0));
      const { low, high } = pairedBootstrap(a, b, { resamples: 1000, seed: set });
      if (low <= 0.05 && high >= 0.05) covered++;
    }
    // Standard error of the coverage: 1.1 %; the percentile interval itself is short by a few tenths at n = 500.
    expect(covered / sets).to.be.within(0.91, 0.985);
  });

  it('is exact when nothing differs and when everything differs alike', () => {
    expect(pairedBootstrap([1, 0, 1], [1, 0, 1])).to.deep.equal({ difference: 0, low: 0, high: 0, confidence: 0.95 });
    expect(pairedBootstrap([1, 1], [0.5, 0.5])).to.deep.equal({
      difference: 0.5,
      low: 0.5,
      high: 0.5,
      confidence: 0.95,
    });
    expect(pairedBootstrap([2], [1]).low).to.equal(1);
  });

  it('does not leave zero out for one changed answer in a million', () => {
    const { a, b } = outcomes(1_000_000, 1, 0);
    const { difference, low, high } = pairedBootstrap(a, b, { resamples: 2000 });
    expect(difference).to.equal(1e-6);
    expect(low).to.equal(0);
    expect(high).to.be.within(2e-6, 4e-6); // Poisson(1): the 97.5 % point is 3
  });

  it('widens with the confidence and turns around with the order of the models', () => {
    const { a, b } = outcomes(1000, 40, 25);
    const at = (confidence: number): number => {
      const { low, high } = pairedBootstrap(a, b, { confidence });
      return high - low;
    };
    expect(at(0.99)).to.be.above(at(0.95));
    expect(at(0.95)).to.be.above(at(0.8));
    const forth = pairedBootstrap(a, b);
    const back = pairedBootstrap(b, a);
    expect(back.difference).to.equal(-forth.difference);
    expect(back.low).to.be.closeTo(-forth.high, 1e-12);
    expect(back.high).to.be.closeTo(-forth.low, 1e-12);
  });

  it('gives the same interval for the same seed only', () => {
    const random = philox(1, 1);
    const a = Float64Array.from({ length: 100 }, () => random.uniform());
    const b = Float64Array.from({ length: 100 }, () => random.uniform());
    expect(pairedBootstrap(a, b, { seed: 5 })).to.deep.equal(pairedBootstrap(a, b, { seed: 5 }));
    expect(pairedBootstrap(a, b, { seed: 5 })).to.not.deep.equal(pairedBootstrap(a, b, { seed: 6 }));
  });

  it('takes well under a second for 10,000 resamples of 2,000 examples that all differ', () => {
    const random = philox(2, 0);
    const a = Float64Array.from({ length: 2000 }, () => random.uniform());
    const start = performance.now();
    pairedBootstrap(a, new Float64Array(2000));
    expect(performance.now() - start).to.be.below(3000); // half a second alone; the machine may be busy
  }).timeout(10_000);

  it('refuses sides of different length, empty sides, values that are not finite and options out of range', () => {
    const code = 'code';
    expect(() => pairedBootstrap([1], [1, 2]))
      .to.throw()
      .with.property(code, 'ERR_TERSOR_SHAPE');
    expect(() => pairedBootstrap([], []))
      .to.throw()
      .with.property(code, 'ERR_TERSOR_DATA');
    for (const bad of [Number.NaN, Infinity]) {
      expect(() => pairedBootstrap([0, bad], [0, 0]))
        .to.throw('at pair 1')
        .with.property(code, 'ERR_TERSOR_NOT_FINITE');
    }
    for (const options of [{ resamples: 0 }, { resamples: 1.5 }, { confidence: 0 }, { confidence: 95 }]) {
      expect(() => pairedBootstrap([1], [0], options))
        .to.throw()
        .with.property(code, 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});
