import { expect } from 'chai';
import fc from 'fast-check';
import { type PhiloxCounter, type PhiloxKey, philox, philox4x32 } from '../lib/random';

describe('philox', () => {
  it("gives Random123's known answers", () => {
    const cases: [PhiloxCounter, PhiloxKey, number[]][] = [
      [
        [0, 0, 0, 0],
        [0, 0],
        [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
      ],
      [
        [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
        [0xffffffff, 0xffffffff],
        [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
      ],
      [
        [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
        [0xa4093822, 0x299f31d0],
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
      ],
    ];
    for (const [counter, key, expected] of cases) expect([...philox4x32(counter, key)]).to.deep.equal(expected);
  });

  it('runs through the blocks of its counter with the seed as key', () => {
    const seed = 0x0123456789abcdefn;
    const stream = philox(seed, 0xfffffffe);
    const drawn = Array.from({ length: 12 }, () => stream.nextUint32());
    const blocks = [0, 1, 2].flatMap((i) => [...philox4x32([i, 0, 0xfffffffe, 0], [0x89abcdef, 0x01234567])]);
    expect(drawn).to.deep.equal(blocks);
  });

  it('takes the same seed as number and as bigint, and separates seeds and streams', () => {
    const first = (seed: number | bigint, stream: number): number => philox(seed, stream).nextUint32();
    expect(first(7, 3)).to.equal(first(7n, 3));
    const words = new Set([first(0, 0), first(0, 1), first(1, 0), first(1, 1), first(2n ** 32n, 0)]);
    expect(words.size).to.equal(5);
  });

  it('draws uniforms in [0, 1) with the moments of the uniform distribution', () => {
    const random = philox(1, 0);
    const count = 100_000;
    let sum = 0;
    let squares = 0;
    let outside = 0;
    for (let i = 0; i < count; i++) {
      const u = random.uniform();
      if (!(u >= 0 && u < 1)) outside++;
      sum += u;
      squares += u * u;
    }
    expect(outside).to.equal(0);
    // Five standard errors: sd of U is 0.2887, of U² 0.2981.
    expect(sum / count).to.be.closeTo(1 / 2, (5 * 0.2887) / Math.sqrt(count));
    expect(squares / count).to.be.closeTo(1 / 3, (5 * 0.2981) / Math.sqrt(count));
  });

  it('draws integers without the bias of a plain modulo', () => {
    // With n = 3·2³⁰ a plain modulo would give the lowest third half of all draws.
    const n = 3 * 2 ** 30;
    const random = philox(5, 0);
    const thirds = [0, 0, 0];
    for (let i = 0; i < 30_000; i++) {
      const third = Math.floor(random.integer(n) / 2 ** 30);
      thirds[third] = (thirds[third] ?? 0) + 1;
    }
    expect(thirds).to.have.length(3);
    for (const count of thirds) expect(count).to.be.closeTo(10_000, 5 * Math.sqrt(30_000 * (1 / 3) * (2 / 3)));
  });

  it('permutes: every index once, whatever the seed and length', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.integer({ min: 0, max: 300 }), (seed, n) => {
        const sorted = [...philox(seed, 2).permutation(n)].sort((a, b) => a - b);
        expect(sorted).to.deep.equal(Array.from({ length: n }, (_, i) => i));
      }),
    );
  });

  it('permutes uniformly: each of the 24 orders of four equally often', () => {
    const counts = new Map<string, number>();
    const random = philox(11, 0);
    for (let i = 0; i < 24_000; i++) {
      const order = random.permutation(4).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).to.equal(24);
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).to.be.below(49.7); // 99.9 % point of chi-square with 23 degrees of freedom
  });

  it('refuses seeds, streams and counts out of range', () => {
    const code = 'code';
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53, -1n, 2n ** 64n]) {
      expect(() => philox(seed, 0))
        .to.throw()
        .with.property(code, 'ERR_TERSOR_INVALID_ARGUMENT');
    }
    expect(() => philox(0, -1))
      .to.throw()
      .with.property(code, 'ERR_TERSOR_OUT_OF_RANGE');
    for (const n of [0, -1, 1.5, Number.NaN, 2 ** 32 + 1]) {
      expect(() => philox(0, 0).integer(n))
        .to.throw()
        .with.property(code, 'ERR_TERSOR_OUT_OF_RANGE');
    }
    expect(philox(0, 0).integer(1)).to.equal(0);
  });
});
