import { TersorError } from './errors';

/** A stream of random numbers: the same seed and stream always give the same sequence. */
export interface RandomStream {
  /** Next 32 uniform bits, 0..2³²−1. */
  nextUint32(): number;
  /** Uniform in [0, 1) with 53 random bits (two words, the first one the high part). */
  uniform(): number;
  /** Unbiased integer in 0..n−1, 1 ≤ n ≤ 2³². */
  integer(n: number): number;
  /** Uniformly random order of 0..n−1 (Fisher-Yates). */
  permutation(n: number): Int32Array;
}

/** The four words of a Philox counter, least significant first. */
export type PhiloxCounter = readonly [number, number, number, number];
/** The two words of a Philox key, least significant first. */
export type PhiloxKey = readonly [number, number];

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;
const TWO_32 = 2 ** 32;
const MAX_SEED = 2n ** 64n - 1n;

/** High word of the 64-bit product of two 32-bit words: a double holds 53 bits only, so it goes by halves. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16);
  const cross = Math.imul(aLow, bHigh) + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

function block(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Uint32Array): void {
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** `value % n` for integers up to 2³²: the quotient is at least 2⁻³² away from rounding up, and `%` of doubles is slow. */
function remainder(value: number, n: number): number {
  return value - Math.floor(value / n) * n;
}

function checkSeed(seed: number | bigint): bigint {
  if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
    throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected an integer seed, got ${seed}, at seed`);
  }
  const value = BigInt(seed);
  if (value < 0n || value > MAX_SEED) {
    throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected a seed in 0..2^64-1, got ${seed}, at seed`);
  }
  return value;
}

function checkCount(value: number, smallest: number, largest: number, where: string): void {
  if (!Number.isInteger(value) || value < smallest || value > largest) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected an integer in ${smallest}..${largest}, got ${value}, at ${where}`,
    );
  }
}

/**
 * Philox4x32 with ten rounds: four random words that depend on counter and key only.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11.
 *
 * @example
 * philox4x32([0, 0, 0, 0], [0, 0])[0] === 0x6627e8d5
 */
export function philox4x32(counter: PhiloxCounter, key: PhiloxKey): Uint32Array {
  const out = new Uint32Array(4);
  block(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
  return out;
}

/**
 * Opens a stream of random numbers: Philox4x32-10 with the 64-bit seed as key and, as counter, the block number in the
 * low two words, the stream in the third and 0 in the fourth (the native random tensors have 1 there). Streams of one
 * seed never overlap, so every use of randomness (shuffle of epoch 3, negatives of epoch 3, …) takes a stream of its own
 * instead of sharing one state.
 *
 * @param seed integer 0..2⁶⁴−1 (a number must be a safe integer)
 * @param stream integer 0..2³²−1
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for a seed, ERR_TERSOR_OUT_OF_RANGE for a stream or count out of range
 *
 * @example
 * const order = philox(0, 1).permutation(1000); // the same 1,000 indices on every machine
 */
export function philox(seed: number | bigint, stream = 0): RandomStream {
  const key = checkSeed(seed);
  checkCount(stream, 0, TWO_32 - 1, 'stream');
  const k0 = Number(key & 0xffffffffn) | 0;
  const k1 = Number(key >> 32n) | 0;
  const words = new Uint32Array(4);
  let blockLow = 0;
  let blockHigh = 0;
  let used = 4;

  function nextUint32(): number {
    if (used === 4) {
      block(blockLow, blockHigh, stream, 0, k0, k1, words);
      blockLow = (blockLow + 1) >>> 0;
      if (blockLow === 0) blockHigh = (blockHigh + 1) >>> 0;
      used = 0;
    }
    return words[used++] as number;
  }

  function uniform(): number {
    const high = nextUint32() >>> 5;
    const low = nextUint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  function integer(n: number): number {
    checkCount(n, 1, TWO_32, 'n');
    // Words past the last whole multiple of n would favour small results: draw again.
    const limit = TWO_32 - remainder(TWO_32, n);
    let word = nextUint32();
    while (word >= limit) word = nextUint32();
    return remainder(word, n);
  }

  function permutation(n: number): Int32Array {
    checkCount(n, 0, 2 ** 31 - 1, 'n');
    const order = new Int32Array(n);
    for (let i = 0; i < n; i++) order[i] = i;
    for (let last = n - 1; last > 0; last--) {
      const other = integer(last + 1);
      const kept = order[last] as number;
      order[last] = order[other] as number;
      order[other] = kept;
    }
    return order;
  }

  return { nextUint32, uniform, integer, permutation };
}
