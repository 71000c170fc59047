import { TersorError } from '../errors';
import { quantile } from '../quantile';

/** Percentiles of one call's wall-clock time, in milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** Calls measured; below `minSamples` when the time ran out, and then p99 is closer to the maximum. */
  readonly samples: number;
}

/** Options of {@link measureLatency}. */
export interface LatencyOptions {
  /** Calls thrown away at the start (caches, just-in-time compilation, thread start), default 20. */
  readonly warmup?: number;
  /** Calls measured at least, default 200: the 99th percentile then has two calls above it. */
  readonly minSamples?: number;
  /** Time measured at least, default 200 ms: spreads fast calls over more than one tick of the machine's noise. */
  readonly minMs?: number;
  /** Measuring stops here whatever the number of calls (at least one is measured), default 5,000 ms; the warm-up has a fifth of it. */
  readonly maxMs?: number;
  /** Monotonic clock in milliseconds, default `performance.now`, whose step is below a microsecond in Node. */
  readonly now?: () => number;
}

/** More calls than this say nothing new about a 99th percentile. */
const MAX_SAMPLES = 100_000;

function checkOptions(warmup: number, minSamples: number, minMs: number, maxMs: number): void {
  for (const [name, count, smallest] of [
    ['warmup', warmup, 0],
    ['minSamples', minSamples, 1],
  ] as const) {
    if (!Number.isInteger(count) || count < smallest || count > MAX_SAMPLES) {
      throw new TersorError(
        'ERR_TERSOR_OUT_OF_RANGE',
        `expected an integer in ${smallest}..${MAX_SAMPLES}, got ${count}, at ${name}`,
      );
    }
  }
  if (!(minMs >= 0 && maxMs >= minMs && Number.isFinite(maxMs))) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected 0 <= minMs <= maxMs, got ${minMs} and ${maxMs}`);
  }
}

function refusePromise(result: unknown): void {
  if (result instanceof Promise) {
    throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', 'expected a synchronous function, got a promise, at call');
  }
}

/**
 * Measures how long one call takes: warm-up, then at least `minSamples` calls and at least `minMs`, at most `maxMs`.
 *
 * Every call is timed by itself and nothing is trimmed: pauses of the garbage collector and of the machine are what a
 * tail percentile is for. The call must be synchronous; what it allocates it must free, or the warm-up measures memory.
 *
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an option, ERR_TERSOR_INVALID_ARGUMENT when the call returns a
 *   promise; whatever the call throws
 *
 * @example
 * const { p50, p99 } = measureLatency(() => tidy(() => model.forward(batch)));
 */
export function measureLatency(call: () => unknown, options: LatencyOptions = {}): Latency {
  const { warmup = 20, minSamples = 200, minMs = 200, maxMs = 5000, now = () => performance.now() } = options;
  checkOptions(warmup, minSamples, minMs, maxMs);

  const warmupEnd = now() + maxMs / 5;
  for (let i = 0; i < warmup && (i === 0 || now() < warmupEnd); i++) {
    refusePromise(call());
  }

  const times: number[] = [];
  const start = now();
  for (let elapsed = 0; times.length === 0 || (elapsed < maxMs && times.length < MAX_SAMPLES); ) {
    if (times.length >= minSamples && elapsed >= minMs) break;
    const before = now();
    const result = call();
    const after = now();
    refusePromise(result);
    times.push(after - before);
    elapsed = after - start;
  }
  const sorted = Float64Array.from(times).sort();
  return {
    p50: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    p99: quantile(sorted, 0.99),
    samples: sorted.length,
  };
}
