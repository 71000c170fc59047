import { expect } from 'chai';
import fc from 'fast-check';
import { TersorError } from '../../lib/errors';
import { philox } from '../../lib/random';
import { packBits, unpackBits } from '../../lib/weights/bit-stream';
import { huffmanDecode, huffmanEncode } from '../../lib/weights/huffman';
import { decodePositions, encodePositions } from '../../lib/weights/relative-index';

const decode = (bytes: Uint8Array, count: number, size: number) => decodePositions(bytes, count, size, 'the test');

/** Gaps of every length class: a byte holds up to 254 zeros, then skips begin. */
const gap = fc.oneof(
  { arbitrary: fc.nat(3), weight: 5 },
  { arbitrary: fc.integer({ min: 250, max: 260 }), weight: 2 },
  { arbitrary: fc.integer({ min: 505, max: 515 }), weight: 1 },
  { arbitrary: fc.nat(70_000), weight: 1 },
);

/** Ascending positions, and a size that holds them. */
const pattern = fc.tuple(fc.array(gap, { maxLength: 200 }), gap).map(([gaps, rest]) => {
  const positions = Float64Array.from(gaps);
  for (let i = 1; i < positions.length; i++) positions[i]! += (positions[i - 1] as number) + 1;
  return { positions, size: (positions.at(-1) ?? -1) + 1 + rest };
});

describe('relative indices', () => {
  it('decode to what was encoded, for any pattern', () => {
    fc.assert(
      fc.property(pattern, ({ positions, size }) => {
        expect(decode(encodePositions(positions), positions.length, size)).to.deep.equal(positions);
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it('decode an empty, a full and a single-element pattern', () => {
    for (const [positions, size] of [
      [[], 0],
      [[], 10],
      [[0], 1],
      [[9], 10],
      [Array.from({ length: 3000 }, (_, i) => i), 3000],
    ] as const) {
      expect([...decode(encodePositions(Float64Array.from(positions)), positions.length, size)]).to.deep.equal([
        ...positions,
      ]);
    }
    expect(encodePositions(new Float64Array())).to.have.length(0);
  });

  it('decode gaps of exactly a skip, around 255 and beyond 65,535', () => {
    for (const zeros of [253, 254, 255, 256, 509, 510, 511, 65_535, 65_536, 2 ** 24 + 3]) {
      const positions = Float64Array.of(0, zeros + 1, 2 * zeros + 2);
      expect(decode(encodePositions(positions), 3, 2 * zeros + 3), `${zeros} zeros`).to.deep.equal(positions);
    }
  });

  it('take at most 2 % more bits than the entropy of the gaps', () => {
    const random = philox(3);
    const kept = Float64Array.from(Array.from({ length: 100_000 }, (_, i) => i).filter(() => random.uniform() < 0.2));
    const counts = new Map<number, number>();
    kept.forEach((position, i) => {
      const zeros = position - (i === 0 ? 0 : (kept[i - 1] as number) + 1);
      counts.set(zeros, (counts.get(zeros) ?? 0) + 1);
    });
    const entropy = [...counts.values()].reduce((bits, n) => bits - n * Math.log2(n / kept.length), 0);
    const bits = 8 * encodePositions(kept).length;
    expect(bits)
      .to.be.at.least(entropy)
      .and.at.most(1.02 * entropy + 8 * 130);
  });

  describe('of a file that lies', () => {
    const positions = Float64Array.of(0, 3, 4, 9, 300, 301, 302, 700, 701, 1300);
    const size = 1400;
    const bytes = encodePositions(positions);

    it('decode to valid positions or are refused, whichever single bit is flipped', () => {
      let refused = 0;
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const flipped = Uint8Array.from(bytes);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        refused += isRefused(flipped, positions.length, size) ? 1 : 0;
      }
      expect(refused).to.be.above(0);
    });

    it('are refused when truncated or followed by more bytes', () => {
      for (let length = 0; length < bytes.length; length++) {
        expect(isRefused(bytes.subarray(0, length), positions.length, size), `${length} bytes`).to.equal(true);
      }
      expect(isRefused(Uint8Array.from([...bytes, 0]), positions.length, size)).to.equal(true);
    });

    it('are refused for a count that needs fewer or more bytes, and for impossible counts', () => {
      for (const count of [0, 1, 50, 1401, 2 ** 31, 2 ** 53 - 1]) {
        expect(isRefused(bytes, count, size), `count ${count}`).to.equal(true);
      }
      expect(isRefused(new Uint8Array(), 1, size)).to.equal(true);
      expect(isRefused(bytes, positions.length, 9), 'more than the size').to.equal(true);
      expect(isRefused(bytes, positions.length, 1300), 'beyond the size').to.equal(true);
    });

    it('decode or are refused whatever the bytes are', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(80), fc.nat(100_000), (noise, count, limit) => {
          isRefused(noise, count, limit);
        }),
        { numRuns: 3000, seed: 2 },
      );
    });
  });
});

describe('Huffman codes', () => {
  const decodeAll = (bytes: Uint8Array, count: number): number[] => {
    const symbols: number[] = [];
    const used = huffmanDecode(bytes, (symbol) => symbols.push(symbol) < count, 'the test');
    expect(used).to.equal(bytes.length);
    return symbols;
  };

  it('decode to what was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (symbols) => {
        expect(decodeAll(huffmanEncode(symbols), symbols.length)).to.deep.equal([...symbols]);
      }),
      { numRuns: 200, seed: 3 },
    );
  });

  it('stay within 15 bits where optimal codes would be longer', () => {
    // Counts of Fibonacci's numbers make Huffman's tree a chain.
    const counts = [1, 1];
    while (counts.length < 24) counts.push((counts.at(-1) as number) + (counts.at(-2) as number));
    const symbols = Uint8Array.from(counts.flatMap((count, symbol) => Array<number>(count).fill(symbol)));
    expect(decodeAll(huffmanEncode(symbols), symbols.length)).to.deep.equal([...symbols]);
  });

  it('are as short as the textbook says', () => {
    // Counts 45 13 12 16 9 5 take 224 bits (Cormen et al., Introduction to Algorithms, 16.3).
    const symbols = Uint8Array.from(
      [45, 13, 12, 16, 9, 5].flatMap((count, symbol) => Array<number>(count).fill(symbol)),
    );
    expect(huffmanEncode(symbols)).to.have.length(1 + 3 + 224 / 8);
  });

  for (const [name, lengths] of Object.entries({
    'no codes at all': [0, 0, 0, 0],
    'an incomplete table': [3, 3, 0, 0],
    'an oversubscribed table': [1, 1, 1, 1],
    'a wildly oversubscribed table': Array<number>(256).fill(1),
    'codes of the longest length only': Array<number>(256).fill(15),
  })) {
    it(`decode or are refused with ${name}`, () => {
      const head = [lengths.length - 1];
      for (let i = 0; i < lengths.length; i += 2) head.push((lengths[i] as number) | ((lengths[i + 1] as number) << 4));
      for (const fill of [0, 0x55, 0xff]) isRefused(Uint8Array.from([...head, fill, fill, fill, fill]), 20, 10_000);
    });
  }
});

describe('packed bits', () => {
  it('unpack to what was packed, in as few bytes as hold them', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3, 4, 8), fc.uint8Array({ maxLength: 100 }), (bits, noise) => {
        const codes = noise.map((code) => code % 2 ** bits);
        const packed = packBits(codes, bits);
        expect(packed.length).to.equal(Math.ceil((codes.length * bits) / 8));
        expect([...unpackBits(packed, bits, codes.length)]).to.deep.equal([...codes]);
      }),
      { seed: 4 },
    );
  });

  it('begin at the lowest bit', () => {
    expect([...packBits([1, 2, 3, 4, 5], 3)]).to.deep.equal([0b11_010_001, 0b0_101_100_0]);
  });
});

/** Whether decoding fails as it should; what it yields instead must be ascending positions below the size. */
function isRefused(bytes: Uint8Array, count: number, size: number): boolean {
  let positions: Float64Array;
  try {
    positions = decode(bytes, count, size);
  } catch (error) {
    expect(error).to.be.instanceOf(TersorError).with.property('code', 'ERR_TERSOR_CORRUPT_FILE');
    expect((error as Error).message).to.match(/^expected .+, got .+, at the test$/);
    return true;
  }
  expect(positions).to.have.length(count);
  for (let i = 0; i < count; i++) {
    expect(positions[i])
      .to.satisfy(Number.isInteger)
      .and.at.least(i === 0 ? 0 : (positions[i - 1] as number) + 1);
    expect(positions[i]).to.be.below(size);
  }
  return false;
}
