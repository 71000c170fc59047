import { expect } from 'chai';
import { productCentroids } from '../../lib/compress';
import { philox } from '../../lib/random';
import { SearchIndex, type Similarity, topK } from '../../lib/search';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { ProductQuantized } from '../../lib/weights';
import { expectNoLeaks } from '../tensor/leaks';

const ROWS = 3000;
const COLUMNS = 24;
const K = 10;

/** Vectors around 60 centres, as those of items are around what they are about; of length 1. */
function vectors(rows: number, seed: number): Tensor {
  const random = philox(11);
  const centres = Float32Array.from({ length: 60 * COLUMNS }, () => 2 * random.uniform() - 1);
  const noise = philox(seed);
  const values = new Float32Array(rows * COLUMNS);
  for (let row = 0; row < rows; row++) {
    const centre = noise.integer(60) * COLUMNS;
    let length = 0;
    for (let j = 0; j < COLUMNS; j++) {
      const value = (centres[centre + j] as number) + 0.6 * (2 * noise.uniform() - 1);
      values[row * COLUMNS + j] = value;
      length += value ** 2;
    }
    for (let j = 0; j < COLUMNS; j++)
      values[row * COLUMNS + j] = (values[row * COLUMNS + j] as number) / Math.sqrt(length);
  }
  return tensor(values, [rows, COLUMNS]);
}

function score(q: ArrayLike<number>, x: ArrayLike<number>, similarity: Similarity): number {
  let [product, distance] = [0, 0];
  for (let i = 0; i < q.length; i++) {
    product += (q[i] as number) * (x[i] as number);
    distance += ((q[i] as number) - (x[i] as number)) ** 2;
  }
  return similarity === 'l2' ? -distance : product;
}

describe('search by product codes', () => {
  expectNoLeaks();

  for (const similarity of ['dot', 'cosine', 'l2'] as const) {
    for (const bits of [8, 4] as const) {
      it(`scores by ${similarity} what codes of ${bits} bits stand for, and finds most of the nearest when it rescores`, async () => {
        const all = vectors(ROWS, 1);
        const asked = vectors(20, 2);
        const centroids = await productCentroids(all, { subspaces: 12, bits });
        tidy(() => {
          const index = new SearchIndex(all, { kind: 'product', similarity, centroids, keepVectors: true });
          const decoded = ProductQuantized.from(all, centroids.clone()).dense().toArray() as Float32Array;
          const [exact, queries] = [all.toArray() as Float32Array, asked.toArray() as Float32Array];
          const row = (values: Float32Array, i: number) => values.subarray(i * COLUMNS, (i + 1) * COLUMNS);
          const found = topK(asked, index, { k: K });
          const [ids, scores] = [found.ids.toArray() as Int32Array, found.scores.toArray() as Float32Array];
          const rescored = topK(asked, index, { k: K, rescore: 100 }).ids.toArray() as Int32Array;
          let recall = 0;
          for (let query = 0; query < 20; query++) {
            const q = row(queries, query);
            const byCodes = Array.from({ length: ROWS }, (_, i) => score(q, row(decoded, i), similarity));
            const best = [...byCodes].sort((a, b) => b - a);
            for (let i = 0; i < K; i++) {
              const at = query * K + i;
              expect(scores[at]).to.be.closeTo(best[i] as number, 2e-5);
              expect(byCodes[ids[at] as number]).to.be.closeTo(best[i] as number, 2e-5);
            }
            const nearest = Array.from({ length: ROWS }, (_, i) => ({ i, s: score(q, row(exact, i), similarity) }));
            nearest.sort((a, b) => b.s - a.s);
            const wanted = new Set(nearest.slice(0, K).map(({ i }) => i));
            recall += rescored.subarray(query * K, (query + 1) * K).filter((id) => wanted.has(id)).length;
          }
          expect(recall / (20 * K)).to.be.at.least(bits === 8 ? 0.95 : 0.8);
          expect(index.bytes).to.be.at.least(ROWS * (bits === 8 ? 12 : 6));
          index.dispose();
        });
        for (const each of [all, asked, centroids]) each.dispose();
      });
    }
  }

  it('refuses centroids beside another kind, and the kind without, or of other columns', () =>
    tidy(() => {
      const all = vectors(5, 1);
      const centroids = tensor(new Float32Array(4 * 16 * 6), [4, 16, 6]);
      const expectCode = (make: () => unknown, code: string) => expect(make).to.throw().with.property('code', code);
      expectCode(() => new SearchIndex(all, { kind: 'product' }), 'ERR_TERSOR_INVALID_ARGUMENT');
      expectCode(() => new SearchIndex(all, { kind: 'int8', centroids }), 'ERR_TERSOR_INVALID_ARGUMENT');
      const narrow = tensor(new Float32Array(4 * 16 * 5), [4, 16, 5]);
      expectCode(() => new SearchIndex(all, { kind: 'product', centroids: narrow }), 'ERR_TERSOR_SHAPE');
      const index = new SearchIndex(all, { kind: 'product', centroids });
      const bad = tensor(new Float32Array(COLUMNS).fill(Number.NaN), [1, COLUMNS]);
      expectCode(() => topK(bad, index, { k: 1 }), 'ERR_TERSOR_NOT_FINITE');
      index.dispose();
    }));
});
