/** Goodness of fit of counts. */

/**
 * Fails unless counts fit a distribution: Pearson's chi-square stays below its quantile at five standard deviations of a normal
 * distribution (p = 3e-7), by Wilson and Hilferty's approximation (PNAS 17, 1931). Outcomes of probability 0 must not occur.
 *
 * @param probabilities - Of each outcome; with at least about 5 expected of each that is possible, the approximation holds.
 */
export function expectDistribution(counts: ArrayLike<number>, probabilities: ArrayLike<number>, what: string): void {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  let statistic = 0;
  let freedom = -1;
  for (let i = 0; i < counts.length; i++) {
    const expected = total * probabilities[i]!;
    if (expected === 0) {
      if (counts[i] !== 0) throw new Error(`${what}: expected outcome ${i} never, got it ${counts[i]} times`);
      continue;
    }
    statistic += (counts[i]! - expected) ** 2 / expected;
    freedom++;
  }
  const spread = 2 / (9 * freedom);
  const limit = freedom * (1 - spread + 5 * Math.sqrt(spread)) ** 3;
  // Written so that NaN fails.
  if (!(statistic <= limit)) {
    throw new Error(`${what}: expected a chi-square of at most ${limit} with ${freedom} degrees, got ${statistic}`);
  }
}
