import { expect } from 'chai';
import { productCentroids } from '../../lib/compress';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import { ProductQuantized, restoreWeight, type StoredWeight } from '../../lib/weights';
import { rejectionOf } from '../support/rejection';
import { expectNoLeaks } from '../tensor/leaks';

const ROWS = 600;
const COLUMNS = 12;

/** Rows near one of 20 centres for each three columns, so that few centroids say nearly all. */
function structured(): Tensor {
  const random = philox(1);
  const centres = Float32Array.from({ length: 4 * 20 * 3 }, () => 2 * random.uniform() - 1);
  const values = new Float32Array(ROWS * COLUMNS);
  for (let row = 0; row < ROWS; row++) {
    for (let subspace = 0; subspace < 4; subspace++) {
      const centre = (subspace * 20 + random.integer(20)) * 3;
      for (let j = 0; j < 3; j++) {
        values[row * COLUMNS + subspace * 3 + j] = (centres[centre + j] as number) + 0.01 * random.uniform();
      }
    }
  }
  return tensor(values, [ROWS, COLUMNS]);
}

function floats(x: Tensor): Float32Array {
  return x.toArray() as Float32Array;
}

function relativeError(w: Tensor, packed: ProductQuantized): number {
  return tidy(() => {
    const [exact, rounded] = [floats(w), floats(packed.dense())];
    const error = exact.reduce((sum, value, i) => sum + (value - (rounded[i] as number)) ** 2, 0);
    return Math.sqrt(error / exact.reduce((sum, value) => sum + value ** 2, 0));
  });
}

describe('product quantization', () => {
  expectNoLeaks();

  it('finds centroids that structured rows lie near to, and more of them lie nearer', async () => {
    const w = structured();
    const errors: number[] = [];
    for (const bits of [4, 8] as const) {
      const packed = ProductQuantized.from(w, await productCentroids(w, { subspaces: 4, bits }));
      errors.push(relativeError(w, packed));
      const codes = ROWS * (bits === 8 ? 4 : 2);
      expect(packed.bytes()).to.equal(codes + 4 * 2 ** bits * 3 * 4);
      packed.dispose();
    }
    w.dispose();
    expect(errors[0]).to.be.below(0.45);
    expect(errors[1]).to.be.below(0.02);
  });

  it('gives the same centroids for the same seed, of the sample that large matrices are known by too', async () => {
    const random = philox(2);
    const w = tensor(
      Float32Array.from({ length: 5000 * 2 }, () => random.uniform()),
      [5000, 2],
    );
    const found = [];
    for (let i = 0; i < 2; i++) found.push(await productCentroids(w, { subspaces: 2, bits: 4, seed: 5 }));
    expect(found.map(({ shape }) => [...shape])).to.deep.equal([
      [2, 16, 1],
      [2, 16, 1],
    ]);
    expect([...floats(found[0] as Tensor)]).to.deep.equal([...floats(found[1] as Tensor)]);
    for (const centroids of [w, ...found]) centroids.dispose();
  });

  it('keeps rows as they are when there are no more than centroids', async () => {
    const w = tensor([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [-1, 0, 1, 0],
    ]);
    const packed = ProductQuantized.from(w, await productCentroids(w, { subspaces: 2 }));
    tidy(() => expect([...floats(packed.dense())]).to.deep.equal([...floats(w)]));
    packed.dispose();
    w.dispose();
  });

  it('trains rows behind their codes: what is packed is what was seen', async () => {
    const w = structured();
    const packed = ProductQuantized.from(w, await productCentroids(w, { subspaces: 4, bits: 4 }));
    const trained = packed.trainable();
    const random = philox(3);
    for (const parameter of trained.parameters()) {
      parameter.write(floats(parameter).map((value) => value + random.uniform() - 0.5));
    }
    const again = trained.pack();
    tidy(() => {
      expect([...floats(again.dense())]).to.deep.equal([...floats(trained.dense())]);
      expect([...floats(again.dense())]).to.not.deep.equal([...floats(packed.dense())]);
    });
    for (const each of [again, trained, packed, w]) each.dispose();
  });

  it('refuses slices that do not divide the columns, no rows, codes of other centroids', async () => {
    const w = structured();
    const codeOf = async (promise: Promise<unknown>) => ((await rejectionOf(promise)) as { code?: string }).code;
    expect(await codeOf(productCentroids(w, { subspaces: 5 }))).to.equal('ERR_TERSOR_OUT_OF_RANGE');
    w.dispose();
    const none = zeros([0, 4]);
    expect(await codeOf(productCentroids(none, { subspaces: 2 }))).to.equal('ERR_TERSOR_SHAPE');
    none.dispose();
    tidy(() => {
      const expectCode = (make: () => unknown, code: string) => expect(make).to.throw().with.property('code', code);
      const centroids = zeros([2, 16, 2]);
      expectCode(() => new ProductQuantized({ codes: zeros([3, 2], 'u8'), centroids }), 'ERR_TERSOR_DTYPE');
      expectCode(() => new ProductQuantized({ codes: zeros([3, 3], 'u4'), centroids }), 'ERR_TERSOR_SHAPE');
      expectCode(
        () => new ProductQuantized({ codes: zeros([3, 2], 'u4'), centroids: zeros([2, 17, 2]) }),
        'ERR_TERSOR_SHAPE',
      );
      expectCode(() => ProductQuantized.from(zeros([3, 6]), centroids), 'ERR_TERSOR_SHAPE');
    });
  });

  it('refuses files whose codes or centroids do not fit, or are not finite', async () => {
    const w = structured();
    const packed = ProductQuantized.from(w, await productCentroids(w, { subspaces: 4, bits: 4 }));
    const stored = packed.store();
    const restored = (change: Partial<Record<string, { shape: number[]; data: Uint8Array }>>, subspaces = 4) => {
      const tensors = new Map([...stored.tensors].map(([blob, entry]) => [`w.${blob}`, { ...entry, ...change[blob] }]));
      const descriptor = { ...stored.descriptor, subspaces } as StoredWeight['descriptor'];
      return () => restoreWeight('w', tensors, descriptor).dispose();
    };
    restored({})();
    const expectCode = (make: () => unknown, code: string) => expect(make).to.throw().with.property('code', code);
    const bytes = (count: number) => new Uint8Array(count);
    expectCode(restored({ codes: { shape: [ROWS, 3], data: bytes(ROWS * 3) } }), 'ERR_TERSOR_CORRUPT_FILE');
    expectCode(restored({ codes: { shape: [ROWS - 1, 2], data: bytes((ROWS - 1) * 2) } }), 'ERR_TERSOR_CORRUPT_FILE');
    expectCode(restored({ centroids: { shape: [4, 15, 3], data: bytes(4 * 15 * 3 * 4) } }), 'ERR_TERSOR_CORRUPT_FILE');
    expectCode(restored({}, 2), 'ERR_TERSOR_CORRUPT_FILE');
    const spoilt = new Uint8Array(
      Float32Array.from({ length: 4 * 16 * 3 }, (_, i) => (i === 7 ? Number.NaN : 0)).buffer,
    );
    expectCode(restored({ centroids: { shape: [4, 16, 3], data: spoilt } }), 'ERR_TERSOR_NOT_FINITE');
    packed.dispose();
    w.dispose();
  });
});
