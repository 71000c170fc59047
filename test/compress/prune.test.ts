import { expect } from 'chai';
import fc from 'fast-check';
import { cubicSparsity, gradualPruning, magnitudeMask, type PruneTarget, pruneByMagnitude } from '../../lib/compress';
import { philox } from '../../lib/random';
import { full, type Tensor, tensor, tidy } from '../../lib/tensor';
import { TrainableMatrix } from '../../lib/weights';
import { errorOf } from '../formats/files';
import { expectNoLeaks } from '../tensor/leaks';

/** Which elements stay, by sorting: those above the count-th smallest magnitude, and none that is 0. */
function maskReference(w: readonly number[], sparsity: number): number[] {
  const count = Math.round(sparsity * w.length);
  const sorted = w.map(Math.abs).sort((a, b) => a - b);
  const threshold = count === 0 ? 0 : (sorted[count - 1] as number);
  return w.map((value) => (Math.abs(value) > threshold ? 1 : 0));
}

/** 1, −2, 3, −4 … in random order: no two magnitudes are equal. */
function distinct(count: number, seed = 7): Float32Array {
  return Float32Array.from(philox(seed).permutation(count), (i) => (i % 2 === 0 ? i + 1 : -i - 1));
}

function maskOf(values: Float32Array | readonly number[], target: PruneTarget, shape = [1, values.length]): number[] {
  return tidy(() => [...magnitudeMask(tensor(Float32Array.from(values), shape), target).toArray()].map(Number));
}

function zerosIn(x: Tensor): number {
  return (x.toArray() as Float32Array).filter((value: number) => value === 0).length;
}

describe('magnitudeMask', () => {
  expectNoLeaks();

  it('gives the textbook answer: 3 of 9 elements are not above 0.2', () => {
    const w = [0.9, 0.1, 0.2, 0.4, 0.6, 0.8, 0.1, 0.9, 0.5];
    expect(maskOf(w, { threshold: 0.2 }, [3, 3])).to.deep.equal([1, 0, 0, 1, 1, 1, 0, 1, 1]);
  });

  it('agrees with sorting, for any shape, with ties and zeros', () => {
    const element = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1, -1, 2));
    const matrix = fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
      .chain(([rows, columns]) =>
        fc
          .array(element, { minLength: rows * columns, maxLength: rows * columns })
          .map((values) => ({ values, shape: [rows, columns] })),
      );
    fc.assert(
      fc.property(matrix, fc.double({ min: 0, max: 1, noNaN: true }), ({ values, shape }, sparsity) => {
        expect(maskOf(values, { sparsity }, shape)).to.deep.equal(maskReference(values, sparsity));
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it('keeps the largest of every group of a pattern, the last of which may be short', () => {
    expect(maskOf([5, -7, 1, 6, 2, -2, 2, 1, 3], { pattern: '2:4' })).to.deep.equal([0, 1, 0, 1, 1, 1, 0, 0, 1]);
    expect(maskOf([1, 2, 3, 4, 5, 6], { pattern: '1:3' }, [2, 3])).to.deep.equal([0, 0, 1, 0, 0, 1]);
  });

  it('keeps the blocks of largest norm; a block at the edge may be smaller', () => {
    const w = Float32Array.from({ length: 34 * 3 }, (_, i) => (i < 32 * 3 ? [1, 3, 2] : [9, 9, 99])[i % 3] as number);
    const kept = maskOf(w, { sparsity: 0.5, blocks: '32x1' }, [34, 3]);
    // Norms: 5.7, 17 and 11.3 of 32 rows, then 12.7, 12.7 and 140 of two.
    expect(kept).to.deep.equal([...Array(32).fill([0, 1, 0]).flat(), 1, 0, 1, 1, 0, 1]);
    expect(() => maskOf([1, 2], { sparsity: 0.5, blocks: '8x8' as '32x1' }))
      .to.throw("got '8x8'")
      .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
  });

  it('refuses what is no pattern', () => {
    for (const pattern of ['4:2', '0:4', '2:17', '2/4', ' 2:4', '']) {
      expect(() => maskOf([1, 2], { pattern: pattern as '2:4' }))
        .to.throw(`got '${pattern}'`)
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
    }
  });

  it('removes exactly the rounded share when no two magnitudes are equal', () => {
    for (const [rows, columns, sparsity] of [
      [128, 784, 0.8],
      [128, 784, 0.99999],
      [17, 13, 0.5],
      [1, 1, 0.5],
      [3, 1, 1 / 3],
    ] as const) {
      const mask = maskOf(distinct(rows * columns), { sparsity }, [rows, columns]);
      const removed = mask.filter((kept) => kept === 0).length;
      expect(removed, `${rows} x ${columns} at ${sparsity}`).to.equal(Math.round(sparsity * rows * columns));
    }
  });

  it('removes all of a tie', () => {
    expect(maskOf([1, -1, 1, 2], { sparsity: 0.25 })).to.deep.equal([0, 0, 0, 1]);
    expect(maskOf([-1, -1, -1, -1], { sparsity: 0.25 })).to.deep.equal([0, 0, 0, 0]);
  });

  it('keeps all but the zeros when the share rounds to no element, and removes all at sparsity 1', () => {
    expect(maskOf([3, 0, -0, 1e-45], { sparsity: 0.1 })).to.deep.equal([1, 0, 0, 1]);
    expect(maskOf([3, 0, -0, 1e-45], { sparsity: 0 })).to.deep.equal([1, 0, 0, 1]);
    expect(maskOf(distinct(50), { sparsity: 1 })).to.deep.equal(Array(50).fill(0));
  });

  it('counts zeros that are there already', () => {
    expect(maskOf([0, 0, 5, -4], { sparsity: 0.5 })).to.deep.equal([0, 0, 1, 1]);
    expect(maskOf([0, 0, 0, -4], { sparsity: 0.5 })).to.deep.equal([0, 0, 0, 1]);
  });

  it('compares with the threshold as f32 holds it, so that an equal element goes', () => {
    for (const threshold of [0, 0.1, 1 / 3, 1e-40]) {
      const above = Math.fround(Math.fround(threshold) * 1.000001 + 1e-44);
      expect(maskOf([threshold, -threshold, above, -above], { threshold })).to.deep.equal([0, 0, 1, 1]);
    }
  });

  it('takes a matrix without elements', () => {
    expect(maskOf([], { sparsity: 0.5 }, [0, 3])).to.deep.equal([]);
    expect(maskOf([], { threshold: 1 }, [3, 0])).to.deep.equal([]);
  });

  it('refuses NaN and infinity, whatever the target', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const target of [{ sparsity: 0 }, { sparsity: 0.5 }, { threshold: 0.5 }]) {
        const { code } = errorOf(() => maskOf([1, value, 3], target));
        expect(code, `${value} at ${JSON.stringify(target)}`).to.equal('ERR_TERSOR_NOT_FINITE');
      }
    }
  });

  it('refuses a share outside 0..1 and a threshold below 0 or infinite', () => {
    for (const sparsity of [-0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const { code, message } = errorOf(() => maskOf([1, 2], { sparsity }));
      expect(code).to.equal('ERR_TERSOR_OUT_OF_RANGE');
      expect(message).to.include('a sparsity from 0 to 1').and.include(`got ${sparsity}`);
    }
    for (const threshold of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const { code, message } = errorOf(() => maskOf([1, 2], { threshold }));
      expect(code).to.equal('ERR_TERSOR_OUT_OF_RANGE');
      expect(message).to.include('threshold').and.include(`got ${threshold}`);
    }
  });

  it('refuses integers', () => {
    const act = () => tidy(() => magnitudeMask(tensor(Int8Array.of(1, 2), [1, 2]), { sparsity: 0.5 }));
    expect(errorOf(act).code).to.equal('ERR_TERSOR_DTYPE');
  });
});

describe('pruneByMagnitude', () => {
  expectNoLeaks();

  it('prunes each matrix by a threshold of its own', () => {
    const small = new TrainableMatrix({ latent: tensor([[0.1, 0.2, 0.3, 0.4]]) });
    const large = new TrainableMatrix({ latent: tensor(Float32Array.of(10, 20, 30, 40), [2, 2]) });
    pruneByMagnitude([small, large], { sparsity: 0.5 });
    expect([...small.latent.toArray()]).to.deep.equal([0, 0, Math.fround(0.3), Math.fround(0.4)]);
    expect([...large.latent.toArray()]).to.deep.equal([0, 0, 30, 40]);
    small.dispose();
    large.dispose();
  });

  it('keeps what was pruned before, also at a lower sparsity', () => {
    const matrix = new TrainableMatrix({ latent: tensor(distinct(8), [1, 8]) });
    pruneByMagnitude([matrix], { sparsity: 0.5 });
    const pruned = matrix.latent.toArray();
    pruneByMagnitude([matrix], { sparsity: 0.01 });
    tidy(() => {
      matrix.latent.copyFrom(full([1, 8], 5));
      matrix.applyMask();
    });
    expect([...matrix.latent.toArray()].map((value) => value !== 0)).to.deep.equal(
      [...pruned].map((value) => value !== 0),
    );
    matrix.dispose();
  });
});

describe('cubicSparsity', () => {
  it('is the schedule of Zhu and Gupta: s_f + (s_i − s_f)(1 − (t − t_0) / (n Δt))³ with s_i = 0, t_0 = 0', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 1000 }),
        (final, spans, t) => {
          const steps = 1000;
          const initial = 0;
          const expected = t >= spans ? final : final + (initial - final) * (1 - t / spans) ** 3;
          expect(cubicSparsity(final, t / steps, spans / steps)).to.be.closeTo(expected, 1e-12);
        },
      ),
      { seed: 1 },
    );
  });

  it('starts at 0, never falls, and stays at the target from the end on', () => {
    const course = Array.from({ length: 101 }, (_, i) => cubicSparsity(0.8, i / 100, 0.6));
    expect(course[0]).to.equal(0);
    expect(course.slice(1).every((value, i) => value >= (course[i] as number))).to.equal(true);
    expect(course.slice(60)).to.deep.equal(Array(41).fill(0.8));
    expect(course[59]).to.be.below(0.8);
  });
});

describe('gradualPruning', () => {
  expectNoLeaks();
  const SIZE = 400;

  /** Calls the hook for steps 1 to `steps` on weights that move at every step, as training does; zeros after each step. */
  function run(steps: number, options: { sparsity: number; end?: number; every?: number }): number[] {
    const matrix = new TrainableMatrix({ latent: tensor(distinct(SIZE), [20, 20]) });
    const hook = gradualPruning([matrix], options);
    const random = philox(11);
    const counts = Array.from({ length: steps }, (_, i) => {
      const moved = (matrix.latent.toArray() as Float32Array).map((value) => value + random.uniform() - 0.5);
      matrix.latent.write(moved);
      matrix.applyMask();
      hook(i + 1, steps);
      return zerosIn(matrix.latent);
    });
    matrix.dispose();
    return counts;
  }

  it('prunes to the schedule every so many steps and not in between', () => {
    const counts = run(100, { sparsity: 0.8, end: 0.5, every: 10 });
    counts.forEach((count, i) => {
      const chosen = Math.floor((i + 1) / 10) * 10;
      expect(count, `step ${i + 1}`).to.equal(Math.round(cubicSparsity(0.8, chosen / 100, 0.5) * SIZE));
    });
  });

  it('reaches the target at the last step of a run shorter than the interval', () => {
    expect(run(3, { sparsity: 0.5 })).to.deep.equal([0, 0, 200]);
    expect(run(1, { sparsity: 0.9, every: 1000 })).to.deep.equal([360]);
  });

  it('gives matrices their masks before the first step and changes them in place, so that a checkpoint holds them', () => {
    const matrix = new TrainableMatrix({ latent: tensor(distinct(SIZE), [20, 20]) });
    const hook = gradualPruning([matrix], { sparsity: 0.5 });
    const mask = matrix.state().get('mask') as Tensor;
    expect(zerosIn(mask)).to.equal(0);
    hook(100, 100);
    expect(matrix.state().get('mask')).to.equal(mask);
    expect(mask.disposed).to.equal(false);
    expect(zerosIn(mask)).to.equal(200);
    matrix.dispose();
  });

  it('keeps what an earlier step pruned while its own sparsity is still lower', () => {
    const matrix = new TrainableMatrix({ latent: tensor(distinct(SIZE), [20, 20]) });
    pruneByMagnitude([matrix], { sparsity: 0.5 });
    const hook = gradualPruning([matrix], { sparsity: 0.9, every: 1 });
    for (let step = 1; step <= 5; step++) {
      matrix.latent.write((matrix.latent.toArray() as Float32Array).map((value) => value + 1));
      matrix.applyMask();
      hook(step, 1000);
      expect(zerosIn(matrix.latent), `step ${step}`).to.equal(200);
    }
    matrix.dispose();
  });

  it('refuses a sparsity out of range before the training', () => {
    for (const sparsity of [-1, 1.5, Number.NaN]) {
      expect(errorOf(() => gradualPruning([], { sparsity })).code).to.equal('ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});

describe('pruneByMagnitude with a pattern', () => {
  expectNoLeaks();

  it('leads to a weight of that pattern; codes that it has no kernels for, or another mask, to a sparse one', () => {
    const parts: { dispose(): void }[] = [];
    const kept = <P extends { dispose(): void }>(part: P): P => {
      parts.push(part);
      return part;
    };
    tidy(() => {
      const matrix = kept(new TrainableMatrix({ latent: tensor(distinct(64), [4, 16]) }));
      pruneByMagnitude([matrix], { pattern: '2:4' });
      const packed = kept(matrix.pack());
      expect(packed.kind).to.equal('semi-structured');
      expect(packed.nonzeros()).to.equal(32);
      const trained = (matrix.unrounded().toArray() as Float32Array).map((value) => value + 0); // no -0
      expect([...packed.dense().toArray()]).to.deep.equal([...trained]);
      const again = kept(packed.trainable());
      expect(kept(again.pack()).kind).to.equal('semi-structured');
      for (const part of again.matrices()) part.quantize({ bits: 8, scheme: 'symmetric', granularity: 'channel' });
      expect(kept(again.pack()).representation).to.equal('int8 per channel, 2:4 sparse');
      pruneByMagnitude([matrix], { sparsity: 0.25, blocks: '16x4' });
      const blocks = kept(matrix.pack());
      expect(blocks.kind).to.equal('block-sparse');
      expect(kept(kept(blocks.trainable()).pack()).kind).to.equal('block-sparse');
      const [coded] = kept(blocks.trainable()).matrices() as [TrainableMatrix];
      coded.quantize({ bits: 8, scheme: 'symmetric', granularity: 'channel' });
      coded.quantizeInputs('dynamic');
      expect(kept(coded.pack()).representation).to.match(
        /^int8 per channel, .* in blocks of 16x4, dynamic int8 inputs$/,
      );
      pruneByMagnitude([coded], { sparsity: 0.25, blocks: '32x1' });
      expect(kept(coded.pack()).kind).to.equal('sparse');
      pruneByMagnitude([matrix], { sparsity: 0.75 });
      expect(kept(matrix.pack()).kind).to.equal('sparse');
    });
    for (const part of parts) part.dispose();
  });
});
