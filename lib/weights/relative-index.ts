import { TersorError } from '../errors';
import { huffmanDecode, huffmanEncode } from './huffman';

/**
 * Positions of the nonzeros of a row-major matrix as Huffman-coded gaps: the number of zeros before each nonzero; 255 skips 255
 * zeros without a nonzero. After the relative indices of Deep Compression (Han, Mao and Dally 2016), where a skip costs a stored
 * zero as well.
 */

const SKIP = 255;

/** Encodes ascending positions (row · columns + column); no bytes for no positions. */
export function encodePositions(positions: Float64Array): Uint8Array {
  if (positions.length === 0) return new Uint8Array();
  const gaps = positions.map((position, i) => position - (i === 0 ? 0 : (positions[i - 1] as number) + 1));
  const symbols = new Uint8Array(gaps.reduce((count, gap) => count + Math.floor(gap / SKIP), gaps.length));
  let next = 0;
  for (const gap of gaps) {
    const skips = Math.floor(gap / SKIP);
    symbols.fill(SKIP, next, next + skips);
    next += skips;
    symbols[next++] = gap - skips * SKIP;
  }
  return huffmanEncode(symbols);
}

/**
 * Decodes exactly `count` positions below `size`.
 *
 * @throws ERR_TERSOR_CORRUPT_FILE when the bytes hold fewer or more, or lead past the matrix
 */
export function decodePositions(bytes: Uint8Array, count: number, size: number, where: string): Float64Array {
  const expect = (condition: boolean, expected: string, got: string) => {
    if (!condition) throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected ${expected}, got ${got}, at ${where}`);
  };
  expect(count <= size, `at most ${size} nonzeros`, `${count}`);
  expect(count <= bytes.length * 8, `at least ${count} bits of relative indices`, `${bytes.length * 8}`);
  const positions = new Float64Array(count);
  let position = 0;
  let found = 0;
  const accept = (gap: number): boolean => {
    position += gap;
    if (gap === SKIP) return true;
    expect(position < size, `positions below ${size}`, `${position}`);
    positions[found++] = position++;
    return found < count;
  };
  const used = count === 0 ? 0 : huffmanDecode(bytes, accept, where);
  expect(used === bytes.length, `${used} bytes of relative indices`, `${bytes.length}`);
  return positions;
}
