import { TersorError } from '../../errors';
import { native } from '../../native';
import { empty, runAsync, type Tensor, tidy } from '../../tensor';

/** Options of {@link kmeans}. */
export interface KmeansOptions {
  /** Of the first centroids. Default 0. */
  readonly seed?: number;
  /** Most iterations; it ends earlier when no point changes its cluster. Default 25. */
  readonly iterations?: number;
  /** f32 [n], >= 0: how much each point counts. Default: all the same. */
  readonly weights?: Tensor;
  readonly signal?: AbortSignal | undefined;
}

/** Points shared among clusters; the tensors are the caller's. */
export interface Clusters {
  /** f32 [k, d]. */
  readonly centroids: Tensor;
  /** i32 [n]: the nearest centroid of each point. */
  readonly assignments: Tensor;
}

/**
 * k-means clustering: k-means++ seeds (Arthur and Vassilvitskii 2007), then Lloyd's iteration; a cluster that loses its points takes the
 * one that costs most. Points of one number, such as the weights of a layer that are to share 2^b values, are found by bisection.
 *
 * @param x f32 [n, d]; stays the caller's
 * @param k clusters, from 1 to n
 * @returns the same bits for the same seed
 * @throws ERR_TERSOR_OUT_OF_RANGE for a k, a seed, iterations or a weight outside their range; ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE;
 *   `signal.reason` when aborted
 * @example
 * const x = tersor.tensor([[0], [1], [10], [11]])
 * const { centroids, assignments } = await tersor.kmeans(x, 2)
 * console.log([...centroids.toArray()].sort()) // 0.5, 10.5
 */
export async function kmeans(x: Tensor, k: number, options: KmeansOptions = {}): Promise<Clusters> {
  const { seed = 0, iterations = 25, weights, signal } = options;
  const [points, size] = matrixShape(x);
  checkInteger(k, 1, points, 'clusters');
  checkInteger(seed, 0, Number.MAX_SAFE_INTEGER, 'seed');
  const centroids = empty([k, size]);
  const assignments = empty([points], 'i32');
  try {
    await runAsync(
      'kmeans',
      [x.handle, weights?.handle ?? null, BigInt(seed), iterations, centroids.handle, assignments.handle],
      { signal },
    );
    return { centroids, assignments };
  } catch (error) {
    centroids.dispose();
    assignments.dispose();
    throw error;
  }
}

/** A codebook for each slice of the columns; the tensors are the caller's. */
export interface ProductCodebooks {
  /** One for each slice, in the order of columns. */
  readonly subspaces: readonly Clusters[];
}

/**
 * Codebooks of a product quantizer (Jégou, Douze and Schmid 2011): the columns are cut into slices of equal width, and the rows of each are
 * clustered by themselves, so that a row is a short list of centroid numbers.
 *
 * @param x f32 [n, d]; stays the caller's
 * @param options.subspaces how many slices; divides d
 * @param options.k centroids of each slice, from 1 to n. Default 256: a byte each
 * @throws ERR_TERSOR_OUT_OF_RANGE for a number of slices that does not divide d; as {@link kmeans}
 * @example
 * const x = tersor.tensor([[0, 5, 1, 1], [0, 5, 2, 2], [9, 9, 1, 1]])
 * const { subspaces } = await tersor.productCodebooks(x, { subspaces: 2, k: 2 })
 * console.log(subspaces.length, subspaces[0].centroids.shape) // 2, [2, 2]
 */
export async function productCodebooks(
  x: Tensor,
  { subspaces, k = 256, ...options }: KmeansOptions & { readonly subspaces: number; readonly k?: number },
): Promise<ProductCodebooks> {
  const [points, size] = matrixShape(x);
  checkInteger(subspaces, 1, size, 'subspaces');
  if (size % subspaces !== 0) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      `expected subspaces that divide ${size} columns, got ${subspaces}, at productCodebooks`,
    );
  }
  const width = size / subspaces;
  const found: Clusters[] = [];
  try {
    for (let i = 0; i < subspaces; i++) {
      const slice = tidy(() => {
        const columns = empty([points, width]);
        native.copyColumns(x.handle, i * width, columns.handle, 0, width);
        return columns;
      });
      try {
        found.push(await kmeans(slice, k, options));
      } finally {
        slice.dispose();
      }
    }
    return { subspaces: found };
  } catch (error) {
    for (const { centroids, assignments } of found) {
      centroids.dispose();
      assignments.dispose();
    }
    throw error;
  }
}

function checkInteger(value: number, least: number, most: number, what: string): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected an integer from ${least} to ${most} as ${what}, got ${value}, at kmeans`,
  );
}

function matrixShape({ shape }: Tensor): readonly [points: number, size: number] {
  if (shape.length === 2) return shape as readonly [number, number];
  throw new TersorError('ERR_TERSOR_SHAPE', `expected points of shape [n, d], got [${shape.join(', ')}], at kmeans`);
}
