import { expect } from 'chai';
import fc from 'fast-check';
import { batchCount, batches } from '../../lib/data/batches';
import { splitIndices } from '../../lib/data/split';

const sorted = (...parts: Int32Array[]) => parts.flatMap((part) => [...part]).sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('splitIndices', () => {
  it('puts every index in exactly one part of the asked size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 400 }), fc.integer({ min: 0, max: 1e6 }), fc.nat(), (count, draw, seed) => {
        const testCount = 1 + (draw % (count - 1));
        const { train, test } = splitIndices(count, testCount, seed);
        expect(test).to.have.length(testCount);
        expect(sorted(train, test)).to.deep.equal(upTo(count));
      }),
    );
  });

  it('depends on the seed and on nothing else', () => {
    expect(splitIndices(1000, 200, 7)).to.deep.equal(splitIndices(1000, 200, 7));
    expect(splitIndices(1000, 200, 7).test).not.to.deep.equal(splitIndices(1000, 200, 8).test);
  });

  it('refuses an empty part', () => {
    for (const [count, testCount] of [
      [10, 0],
      [10, 10],
      [1, 1],
      [0, 0],
      [10, 2.5],
      [10, Number.NaN],
    ] as const) {
      expect(() => splitIndices(count, testCount, 0))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});

describe('batches', () => {
  it('gives every index once an epoch, in batches of the asked size with the remainder last', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 310 }), (count, batchSize) => {
        const parts = batches(count, { batchSize, seed: 3, epoch: 5 });
        expect(parts).to.have.length(batchCount(count, batchSize));
        for (const part of parts.slice(0, -1)) expect(part).to.have.length(batchSize);
        expect(sorted(...parts)).to.deep.equal(upTo(count));
      }),
    );
  });

  it('gives epoch 3 the same batches whether or not epochs 0..2 ran before', () => {
    const options = { batchSize: 32, seed: 11 };
    const full = [0, 1, 2, 3].map((epoch) => batches(1000, { ...options, epoch }));
    expect(batches(1000, { ...options, epoch: 3 })).to.deep.equal(full[3]);
    expect(full[2]).not.to.deep.equal(full[3]);
    expect(batches(1000, { ...options, seed: 12, epoch: 3 })).not.to.deep.equal(full[3]);
  });

  it('shuffles in another order than the split of the same seed', () => {
    const { train, test } = splitIndices(100, 50, 0);
    expect([...batches(100, { batchSize: 100, seed: 0, epoch: 0 })[0]!]).not.to.deep.equal([...train, ...test]);
  });

  it('refuses no examples, and batch sizes and epochs out of range', () => {
    const options = { batchSize: 32, seed: 0, epoch: 0 };
    expect(() => batches(0, options))
      .to.throw('expected at least 1 example')
      .with.property('code', 'ERR_TERSOR_DATA');
    for (const wrong of [{ batchSize: 0 }, { batchSize: 1.5 }, { batchSize: -1 }, { epoch: -1 }, { epoch: 2 ** 24 }]) {
      expect(() => batches(10, { ...options, ...wrong }))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});
