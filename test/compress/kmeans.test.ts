import { expect } from 'chai';
import { kmeans, productCodebooks } from '../../lib/compress';
import { philox } from '../../lib/random';
import { type Tensor, tensor } from '../../lib/tensor';
import { rejectionOf } from '../recipe/small-model';
import { expectNoLeaks } from '../tensor/leaks';

/** Points around centres far apart: the clusters are plain. */
function around(centres: readonly (readonly number[])[], each: number, seed: number): Tensor {
  const random = philox(seed);
  const points = Array.from({ length: centres.length * each }, (_, i) =>
    (centres[i % centres.length] as readonly number[]).map((value) => value + random.uniform() - 0.5),
  );
  return tensor(points);
}

describe('kmeans', () => {
  expectNoLeaks();

  it('finds clusters that are plain, in any number of dimensions, from any seed', async () => {
    for (const centres of [
      [[0], [100], [200], [350]],
      [
        [0, 0],
        [100, 0],
        [0, 100],
        [100, 100],
      ],
    ]) {
      for (const seed of [0, 1, 2]) {
        const x = around(centres, 50, 7);
        const { centroids, assignments } = await kmeans(x, 4, { seed });
        const codes = [...assignments.toArray()];
        // Point i belongs to centre i % 4: four different codes, repeated.
        expect(new Set(codes.slice(0, 4)).size).to.equal(4);
        codes.forEach((code, i) => {
          expect(code).to.equal(codes[i % 4]);
        });
        const size = centres[0]!.length;
        const found = centroids.toArray() as Float32Array;
        centres.forEach((centre, i) => {
          centre.forEach((value, j) => {
            expect(found[(codes[i] as number) * size + j]).to.be.closeTo(value, 0.2);
          });
        });
        for (const each of [x, centroids, assignments]) each.dispose();
      }
    }
  });

  it('weighs points', async () => {
    const x = tensor([[0], [1]]);
    const weights = tensor([3, 1]);
    const { centroids, assignments } = await kmeans(x, 1, { weights });
    expect(centroids.item()).to.equal(0.25);
    for (const each of [x, weights, centroids, assignments]) each.dispose();
  });

  it('refuses what it cannot use, and stops when aborted', async () => {
    const x = tensor([[0], [1]]);
    const bad = tensor([[0], [Number.NaN]]);
    const vector = tensor([0, 1]);
    for (const [call, code] of [
      [() => kmeans(x, 3), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => kmeans(x, 0), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => kmeans(x, 1, { seed: -1 }), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => kmeans(x, 1, { iterations: -1 }), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => kmeans(bad, 1), 'ERR_TERSOR_NOT_FINITE'],
      [() => kmeans(vector, 1), 'ERR_TERSOR_SHAPE'],
      [() => productCodebooks(x, { subspaces: 2 }), 'ERR_TERSOR_OUT_OF_RANGE'],
    ] as const) {
      expect(await rejectionOf(call())).to.include({ code });
    }
    const reason = new Error('enough');
    expect(await rejectionOf(kmeans(x, 1, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    for (const each of [x, bad, vector]) each.dispose();
  });
});

describe('productCodebooks', () => {
  expectNoLeaks();

  it('clusters every slice of the columns by itself', async () => {
    const x = tensor([
      [0, 5, 1, 1],
      [0, 5, 2, 2],
      [9, 9, 1, 1],
    ]);
    const { subspaces } = await productCodebooks(x, { subspaces: 2, k: 2 });
    const rebuilt = [0, 1, 2].map((row) =>
      subspaces.flatMap(({ centroids, assignments }) => {
        const code = assignments.toArray()[row] as number;
        return [...(centroids.toArray() as Float32Array).subarray(code * 2, code * 2 + 2)];
      }),
    );
    expect(rebuilt).to.deep.equal([
      [0, 5, 1, 1],
      [0, 5, 2, 2],
      [9, 9, 1, 1],
    ]);
    for (const { centroids, assignments } of subspaces) for (const each of [centroids, assignments]) each.dispose();
    x.dispose();
  });
});
