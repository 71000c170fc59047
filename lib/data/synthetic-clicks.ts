/** Click logs of any length with known structure, for tests of scale and of what a model can find. */
import { TersorError } from '../errors';
import type { RandomStream } from '../random';
import { aliasTable } from './negatives/alias';
import { dataStream } from './streams';

/** Options of {@link syntheticClicks}. */
export interface SyntheticClicksOptions {
  readonly users: number;
  readonly items: number;
  /** Number of events, 1..2⁵³−1. */
  readonly events: number;
  /** Events in a batch; the last may be smaller. There are at most 2²⁴ batches. Default 4096. */
  readonly batchSize?: number;
  /** Dimensions of users' and items' latent vectors. Default 8. */
  readonly factors?: number;
  /** Exponent s of Zipf's law, 0 (all items alike) to 16. Default 1. */
  readonly exponent?: number;
  /** How much the latent vectors decide, from 0 on: the standard deviation of the logits. Default 2. */
  readonly strength?: number;
  /** Logit of a click without preference. Default −1, a click in 27 % of events. */
  readonly bias?: number;
  readonly seed: number | bigint;
}

/** Events that follow each other: an item was shown to a user, who clicked or not. */
export interface ClickBatch {
  /** [n], 0..users−1 */
  readonly users: Int32Array;
  /** [n], 0..items−1; item 0 is shown most. */
  readonly items: Int32Array;
  /** [n], 1 for a click, else 0 */
  readonly clicks: Uint8Array;
  /** [n] number of the event, from 0 */
  readonly timestamps: Float64Array;
}

/** A click log that is made while it is read. */
export interface SyntheticClicks {
  /** [users, factors], row-major; standard normal. */
  readonly userFactors: Float32Array;
  /** [items, factors], row-major; normal with variance 1 / factors. */
  readonly itemFactors: Float32Array;
  /** The probability by which clicks are drawn: the best that a model can know. */
  probability(user: number, item: number): number;
  /** The log from a batch on, by default from the beginning. Every call gives the same events, whichever were read before. */
  batches(from?: number): Generator<ClickBatch, void, void>;
}

/**
 * Plans a click log: users come uniformly, item i is shown with probability ∝ (i + 1)^−s (Zipf's law), and a user clicks with probability
 * σ(bias + strength · p_u · q_i), where p_u and q_i are latent vectors. Batches are made one by one and depend on seed and number alone;
 * memory holds the vectors and one table of the items.
 *
 * @throws TersorError ERR_TERSOR_OUT_OF_RANGE for a count, exponent, strength or bias out of range; ERR_TERSOR_INVALID_ARGUMENT for the seed
 *
 * @example
 * const log = syntheticClicks({ users: 1_000, items: 500, events: 1_000_000, seed: 0 });
 * for (const { users, items, clicks } of log.batches()) console.log(users.length, items[0], clicks[0]);
 */
export function syntheticClicks(options: SyntheticClicksOptions): SyntheticClicks {
  const { users, items, events, batchSize = 4096, factors = 8, seed } = options;
  const { exponent = 1, strength = 2, bias = -1 } = options;
  check('users', users, 1, 2 ** 31 - 1);
  check('items', items, 1, 2 ** 31 - 1);
  check('factors', factors, 1, 2 ** 16);
  check('batchSize', batchSize, 1, 2 ** 24);
  check('events', events, 1, Math.min(Number.MAX_SAFE_INTEGER, batchSize * 2 ** 24));
  for (const [name, value, low, high] of [
    ['exponent', exponent, 0, 16],
    ['strength', strength, 0, 1e6],
    ['bias', bias, -1e6, 1e6],
  ] as const) {
    if (!(value >= low && value <= high)) fail(`a number in ${low}..${high}`, value, name);
  }

  const userFactors = normals(dataStream(seed, 'clickFactors', 0), users * factors, 1);
  const itemFactors = normals(dataStream(seed, 'clickFactors', 1), items * factors, 1 / Math.sqrt(factors));
  const drawItem = aliasTable(Float64Array.from({ length: items }, (_, item) => (item + 1) ** -exponent));
  const batchCount = Math.ceil(events / batchSize);

  function probability(user: number, item: number): number {
    let affinity = 0;
    for (let f = 0; f < factors; f++) {
      affinity += (userFactors[user * factors + f] as number) * (itemFactors[item * factors + f] as number);
    }
    return 1 / (1 + Math.exp(-bias - strength * affinity));
  }

  function batch(number: number): ClickBatch {
    const random = dataStream(seed, 'clicks', number);
    const first = number * batchSize;
    const length = Math.min(batchSize, events - first);
    const made = {
      users: new Int32Array(length),
      items: new Int32Array(length),
      clicks: new Uint8Array(length),
      timestamps: Float64Array.from({ length }, (_, i) => first + i),
    };
    for (let i = 0; i < length; i++) {
      const user = random.integer(users);
      const item = drawItem(random);
      made.users[i] = user;
      made.items[i] = item;
      made.clicks[i] = random.uniform() < probability(user, item) ? 1 : 0;
    }
    return made;
  }

  function* batches(from = 0): Generator<ClickBatch, void, void> {
    check('from', from, 0, batchCount);
    for (let number = from; number < batchCount; number++) yield batch(number);
  }

  return { userFactors, itemFactors, probability, batches };
}

/** Normal numbers with mean 0. Source: Box and Muller, "A note on the generation of random normal deviates", 1958. */
function normals(random: RandomStream, count: number, sd: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = sd * Math.sqrt(-2 * Math.log(1 - random.uniform()));
    const angle = 2 * Math.PI * random.uniform();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

function check(name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) fail(`an integer in ${low}..${high}`, value, name);
}

function fail(expected: string, got: number, where: string): never {
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected ${expected}, got ${got}, at ${where}`);
}
