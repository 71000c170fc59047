import { TersorError } from '../errors';
import { native } from '../native';
import { empty, type Tensor, tensor, tidy } from '../tensor';
import { assertVectors } from './codes';
import type { Hits, SearchIndex } from './search-index';

/** Options of {@link topK}. */
export interface TopKOptions {
  /** Vectors to find for each query, 1 to the size of the index. */
  readonly k: number;
  /**
   * Find so many by their codes, k or more, and rank them by the f32 vectors; needs an index that keeps them. Default: none, codes alone
   * rank.
   */
  readonly rescore?: number;
}

/** The nearest vectors of each query, nearest first; of equally near ones the one with the lower id. */
export interface SearchResult {
  /** i32 [queries, k]. */
  readonly ids: Tensor;
  /** f32 [queries, k]; larger is nearer: the product, the cosine, or minus the squared distance. Of signs, the product of ±1. */
  readonly scores: Tensor;
}

/**
 * Exact search by the index's codes, and by its vectors for the best of them when asked.
 *
 * @param queries f32 [queries, columns]
 * @throws ERR_TERSOR_OUT_OF_RANGE for a k or rescore outside its range; ERR_TERSOR_INVALID_ARGUMENT for rescoring without vectors;
 *   ERR_TERSOR_NOT_FINITE for NaN or infinity in a query of codes, and for a score that is NaN; ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 * @example
 * const index = new tersor.search.SearchIndex(tersor.tensor([[1, 2], [2, 1], [-1, 0]]), { kind: 'int4', keepVectors: true })
 * const { ids, scores } = tersor.search.topK(tersor.tensor([[1, 1]]), index, { k: 1, rescore: 3 })
 * console.log(ids.toArray(), scores.toArray()) // [0], [3]: both first vectors score 3
 */
export function topK(queries: Tensor, index: SearchIndex, { k, rescore }: TopKOptions): SearchResult {
  assertVectors(queries, 'queries');
  const [rows, columns] = index.shape;
  if (queries.shape[1] !== columns) {
    throw new TersorError('ERR_TERSOR_SHAPE', `expected queries of ${columns} columns, got ${queries.shape[1]}`);
  }
  assertCount(k, 1, rows, 'k');
  if (rescore !== undefined) assertCount(rescore, k, rows, 'rescore');
  return tidy(() => {
    const prepared = index.prepare(queries);
    const hits = index.find(prepared, rescore ?? k);
    return rescore === undefined ? hits : rescored(prepared, index, hits, k);
  });
}

function assertCount(count: number, low: number, high: number, name: string): void {
  if (Number.isInteger(count) && count >= low && count <= high) return;
  throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected ${low} <= ${name} <= ${high}, got ${count}, at topK`);
}

/** The k best of the candidates by their vectors, in float64. */
function rescored(queries: Tensor, index: SearchIndex, hits: Hits, k: number): SearchResult {
  if (index.vectors === null) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      'expected an index with keepVectors to rescore, got one that holds codes alone',
    );
  }
  const [count, candidates] = hits.ids.shape as readonly [number, number];
  const columns = index.shape[1];
  const rows = empty([count * candidates, columns]);
  native.gather(index.vectors.handle, hits.ids.reshape([count * candidates]).handle, rows.handle);
  const vectors = rows.toArray() as Float32Array;
  const asked = queries.toArray() as Float32Array;
  const ids = hits.ids.toArray() as Int32Array;
  const best: { id: number; score: number }[] = [];
  for (let query = 0; query < count; query++) {
    const q = asked.subarray(query * columns, (query + 1) * columns);
    const scored = Array.from(ids.subarray(query * candidates, (query + 1) * candidates), (id, i) => {
      const at = (query * candidates + i) * columns;
      const x = vectors.subarray(at, at + columns);
      return { id, score: index.similarity === 'l2' ? -squaredDistance(q, x) : product(q, x) };
    });
    scored.sort((a, b) => b.score - a.score || a.id - b.id);
    best.push(...scored.slice(0, k));
  }
  const shape = [count, k];
  return {
    ids: tensor(
      Int32Array.from(best, ({ id }) => id),
      shape,
    ),
    scores: tensor(
      Float32Array.from(best, ({ score }) => score),
      shape,
    ),
  };
}

function product(q: Float32Array, x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < q.length; i++) sum += (q[i] as number) * (x[i] as number);
  return sum;
}

function squaredDistance(q: Float32Array, x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < q.length; i++) sum += ((q[i] as number) - (x[i] as number)) ** 2;
  return sum;
}
