import { TersorError } from '../../errors';
import { native } from '../../native';
import { empty, keep, type Tensor, tensor, tidy } from '../../tensor';
import { type Clusters, type KmeansOptions, productCodebooks } from './kmeans';

/** Options of {@link productCentroids}. */
export interface ProductCentroidsOptions extends Pick<KmeansOptions, 'seed' | 'iterations' | 'signal'> {
  /** How many slices the columns are cut into; divides their number. */
  readonly subspaces: number;
  /** Of a code: 8 for 256 centroids of each slice (default), 4 for 16. */
  readonly bits?: 8 | 4;
}

/** Rows that k-means looks at for each centroid; of a larger matrix, so many spread evenly over it. */
const ROWS_PER_CENTROID = 64;

/**
 * The centroids of a product quantizer, which `ProductQuantized.from` and a search index of product codes take. Of a matrix with fewer rows than
 * centroids, every row is one, and the last stands in for the rest.
 *
 * @param w f32 [rows, columns], at least one row; stays the caller's
 * @returns f32 [subspaces, 2^bits, columns / subspaces]; the caller's
 * @throws ERR_TERSOR_OUT_OF_RANGE for a number of slices that does not divide the columns; ERR_TERSOR_SHAPE; ERR_TERSOR_NOT_FINITE;
 *   `signal.reason` when aborted
 * @example
 * const w = tersor.tensor([[0, 5, 1, 1], [0, 5, 2, 2], [9, 9, 1, 1]])
 * const centroids = await tersor.productCentroids(w, { subspaces: 2, bits: 4 })
 * console.log(centroids.shape) // 2, 16, 2
 */
export async function productCentroids(
  w: Tensor,
  { subspaces, bits = 8, ...options }: ProductCentroidsOptions,
): Promise<Tensor> {
  const [rows = 0, columns = 0] = w.shape;
  if (w.shape.length !== 2 || rows === 0) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected a matrix with at least one row, got [${w.shape.join(', ')}], at productCentroids`,
    );
  }
  const count = 2 ** bits;
  const k = Math.min(count, rows);
  const points = sample(w, ROWS_PER_CENTROID * count);
  try {
    const found = await productCodebooks(points, { ...options, subspaces, k });
    try {
      return stack(found.subspaces, count, columns / subspaces);
    } finally {
      for (const { centroids, assignments } of found.subspaces) {
        centroids.dispose();
        assignments.dispose();
      }
    }
  } finally {
    points.dispose();
  }
}

function sample(w: Tensor, most: number): Tensor {
  const [rows, columns] = w.shape as readonly [number, number];
  const count = Math.min(rows, most);
  return tidy(() => {
    const ids = tensor(Int32Array.from({ length: count }, (_, i) => Math.floor((i * rows) / count)));
    const points = empty([count, columns]);
    native.gather(w.handle, ids.handle, points.handle);
    return keep(points);
  });
}

function stack(subspaces: readonly Clusters[], count: number, width: number): Tensor {
  const all = new Float32Array(subspaces.length * count * width);
  subspaces.forEach(({ centroids }, s) => {
    const values = centroids.toArray() as Float32Array;
    const last = values.length - width;
    for (let c = 0; c < count; c++) {
      const from = Math.min(c * width, last);
      all.set(values.subarray(from, from + width), (s * count + c) * width);
    }
  });
  return tensor(all, [subspaces.length, count, width]);
}
