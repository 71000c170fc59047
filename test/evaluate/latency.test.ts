import { expect } from 'chai';
import { measureLatency } from '../../lib/evaluate/latency';

/** A clock that only the measured call moves. */
function fakeClock(): { now: () => number; advance: (ms: number) => void } {
  let time = 1000;
  return {
    now: () => time,
    advance: (ms) => {
      time += ms;
    },
  };
}

describe('measureLatency', () => {
  it('reports the percentiles of what follows the warm-up', () => {
    const clock = fakeClock();
    let calls = 0;
    const latency = measureLatency(
      () => {
        calls++;
        // Warm-up calls take a second; then 1, 2, … 101 ms.
        clock.advance(calls <= 3 ? 1000 : calls - 3);
      },
      { warmup: 3, minSamples: 101, minMs: 0, maxMs: 100_000, now: clock.now },
    );
    expect(calls).to.equal(104);
    expect(latency).to.deep.equal({ p50: 51, p95: 96, p99: 100, samples: 101 });
  });

  it('measures at least 200 calls and 200 ms unless told otherwise', () => {
    const slow = fakeClock();
    expect(measureLatency(() => slow.advance(10), { now: slow.now }).samples).to.equal(200);
    const fast = fakeClock();
    expect(measureLatency(() => fast.advance(0.125), { now: fast.now }).samples).to.equal(1600);
  });

  it('stops at the time limit, with one call at least', () => {
    const clock = fakeClock();
    let calls = 0;
    const call = (): void => {
      calls++;
      clock.advance(300);
    };
    expect(measureLatency(call, { warmup: 10, minMs: 0, maxMs: 1000, now: clock.now }).samples).to.equal(4);
    expect(calls).to.equal(5); // the warm-up has a fifth of the limit
    const slower = fakeClock();
    expect(measureLatency(() => slower.advance(5000), { maxMs: 1000, now: slower.now }).samples).to.equal(1);
  });

  it('stops though the clock does not move', () => {
    expect(measureLatency(() => undefined, { now: () => 0 }).samples).to.equal(100_000);
  });

  it('sees real time pass', () => {
    const call = (): void => {
      const end = performance.now() + 2;
      while (performance.now() < end);
    };
    const latency = measureLatency(call, { warmup: 1, minSamples: 20, minMs: 0 });
    expect(latency.p50).to.be.at.least(2);
    expect(latency.p95).to.be.at.least(latency.p50);
    expect(latency.p99).to.be.at.least(latency.p95);
  });

  it('refuses an asynchronous call, whose time it would not see, and options out of range', () => {
    for (const warmup of [0, 1]) {
      expect(() => measureLatency(() => Promise.resolve(), { warmup }))
        .to.throw('got a promise')
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
    }
    for (const options of [{ warmup: -1 }, { minSamples: 0 }, { minMs: Number.NaN }, { minMs: 10, maxMs: 5 }]) {
      expect(() => measureLatency(() => undefined, options))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });

  it('lets the call’s own error through', () => {
    const call = (): never => {
      throw new RangeError('boom');
    };
    expect(() => measureLatency(call)).to.throw(RangeError, 'boom');
  });
});
