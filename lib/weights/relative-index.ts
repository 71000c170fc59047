import { TersorError } from '../errors';
import { packBits, unpackBits } from './bit-stream';

/**
 * Positions of the nonzeros of a row-major matrix as gaps: the number of zeros before each nonzero in fixed-width codes. The largest
 * code is an escape that skips that many zeros without a nonzero. One bit makes this a bit mask; the cheapest width is chosen.
 * After the relative indices of Deep Compression (Han, Mao and Dally 2016), where an escape costs a stored zero as well.
 */
export interface RelativeIndex {
  /** Width of a code, 1 to 16. */
  readonly bits: number;
  readonly bytes: Uint8Array;
}

const MAX_BITS = 16;

/** Encodes ascending positions (row · columns + column). */
export function encodePositions(positions: Float64Array): RelativeIndex {
  const gaps = positions.map((position, i) => position - (i === 0 ? 0 : (positions[i - 1] as number) + 1));
  const bits = cheapestWidth(gaps);
  const escapeCode = 2 ** bits - 1;
  const codes = new Uint16Array(codesNeeded(gaps, bits));
  let next = 0;
  for (const gap of gaps) {
    let rest = gap;
    for (; rest >= escapeCode; rest -= escapeCode) codes[next++] = escapeCode;
    codes[next++] = rest;
  }
  return { bits, bytes: packBits(codes, bits) };
}

/**
 * Decodes exactly `count` positions below `size`.
 *
 * @throws ERR_TERSOR_CORRUPT_FILE when the stream is too short or too long, or leads past the matrix
 */
export function decodePositions(
  { bits, bytes }: RelativeIndex,
  count: number,
  size: number,
  what: string,
): Float64Array {
  const expect = (condition: boolean, expected: string, got: string) => {
    if (!condition) throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected ${expected}, got ${got}, at ${what}`);
  };
  expect(count <= size, `at most ${size} nonzeros`, `${count}`);
  const escapeCode = 2 ** bits - 1;
  const codes = unpackBits(bytes, bits, Math.floor((bytes.length * 8) / bits));
  const positions = new Float64Array(count);
  let position = 0;
  let found = 0;
  let used = 0;
  for (; used < codes.length && found < count; used++) {
    const gap = codes[used] as number;
    position += gap;
    if (gap === escapeCode) continue;
    expect(position < size, `positions below ${size}`, `${position}`);
    positions[found++] = position++;
  }
  expect(found === count, `${count} positions`, `${found}`);
  const usedBytes = Math.ceil((used * bits) / 8);
  expect(usedBytes === bytes.length, `${usedBytes} bytes of relative indices`, `${bytes.length}`);
  return positions;
}

function codesNeeded(gaps: Float64Array, bits: number): number {
  const escapeCode = 2 ** bits - 1;
  return gaps.reduce((codes, gap) => codes + Math.floor(gap / escapeCode), gaps.length);
}

function cheapestWidth(gaps: Float64Array): number {
  let best = 1;
  for (let bits = 2; bits <= MAX_BITS; bits++) {
    if (codesNeeded(gaps, bits) * bits < codesNeeded(gaps, best) * best) best = bits;
  }
  return best;
}
