import { TersorError } from '../errors';
import { native, SearchFormat } from '../native';
import { empty, keep, type Tensor, tidy } from '../tensor';
import { assertVectors, codeQueries, codeVectors, INT4_QUERY_UNITS, normalized, signBits } from './codes';

/**
 * How an index holds its vectors: as they are, in codes of 8 or 4 bits with one scale, by their signs, or in product codes (Jégou, Douze and
 * Schmid 2011), which queries are compared with as they are.
 */
export type IndexKind = 'f32' | 'int8' | 'int4' | 'binary' | 'product';

/** What makes a vector near: a large product, a small angle, or a small Euclidean distance. */
export type Similarity = 'dot' | 'cosine' | 'l2';

/** Options of a {@link SearchIndex}. */
export interface IndexOptions {
  readonly kind: IndexKind;
  /** Default 'dot'. Signs have no 'l2'. */
  readonly similarity?: Similarity;
  /**
   * Of 'product': f32 [subspaces, 256 or 16, columns / subspaces], as `productCentroids` finds them (for 'cosine', from vectors of length 1);
   * copied.
   */
  readonly centroids?: Tensor;
  /** Also hold the f32 vectors, which rescoring needs. Default false. */
  readonly keepVectors?: boolean;
}

const FORMATS = {
  f32: SearchFormat.f32,
  int8: SearchFormat.int8,
  int4: SearchFormat.int4,
  binary: SearchFormat.binary,
} as const;

/** Rows found for each query, best first: i32 and f32, each [queries, count]. */
export interface Hits {
  readonly ids: Tensor;
  readonly scores: Tensor;
}

/**
 * Vectors laid out for exhaustive search. Every vector is compared with every query: recall is lost to the rounding of codes alone, and
 * comes back by rescoring.
 *
 * @example
 * const vectors = tersor.tensor([[1, 0], [0, 1], [0.6, 0.8]])
 * const index = new tersor.search.SearchIndex(vectors, { kind: 'int8', similarity: 'cosine' })
 * const { ids } = tersor.search.topK(tersor.tensor([[0, 2]]), index, { k: 2 })
 * console.log(ids.toArray()) // [1, 2]
 */
export class SearchIndex implements Disposable {
  readonly kind: IndexKind;
  readonly similarity: Similarity;
  /** [vectors, columns]. */
  readonly shape: readonly [number, number];
  private readonly packed: Tensor;
  private readonly kept: Tensor | null;
  /** Of product codes. */
  private readonly centroids: Tensor | null;
  /** One step of the codes; 1 without. */
  private readonly scale: number;

  /**
   * @param vectors f32 [rows, columns], none of them 0; copied
   * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE; ERR_TERSOR_NOT_FINITE for NaN or infinity; ERR_TERSOR_UNSUPPORTED for 'l2' of signs and
   *   for more than 32,768 columns; ERR_TERSOR_INVALID_ARGUMENT for centroids without 'product', or 'product' without
   */
  constructor(vectors: Tensor, { kind, similarity = 'dot', centroids, keepVectors = false }: IndexOptions) {
    assertVectors(vectors, 'vectors');
    if (kind === 'binary' && similarity === 'l2') {
      throw new TersorError('ERR_TERSOR_UNSUPPORTED', "expected 'dot' or 'cosine' for an index of signs, got 'l2'");
    }
    if ((kind === 'product') !== (centroids !== undefined)) {
      throw new TersorError(
        'ERR_TERSOR_INVALID_ARGUMENT',
        `expected centroids with an index of kind 'product', and only with it, got kind '${kind}' ${centroids ? 'with' : 'without'} them`,
      );
    }
    this.kind = kind;
    this.similarity = similarity;
    this.shape = [vectors.shape[0], vectors.shape[1]];
    const made = tidy(() => {
      const values = similarity === 'cosine' ? normalized(vectors) : vectors.clone();
      const kept = keepVectors ? values : null;
      if (kind === 'product') {
        const own = (centroids as Tensor).clone();
        return { packed: packProductCodes(values, own), scale: 1, kept, centroids: own };
      }
      const { codes, scale } = code(values, FORMATS[kind]);
      const packed = empty([native.searchBytes(...this.shape, FORMATS[kind], vectors.device)], 'u8', vectors.device);
      native.packSearch(codes.handle, this.distances, packed.handle);
      return { packed, scale, kept, centroids: null };
    });
    this.packed = keep(made.packed);
    this.kept = made.kept === null ? null : keep(made.kept);
    this.centroids = made.centroids === null ? null : keep(made.centroids);
    this.scale = made.scale;
  }

  /** The f32 vectors, of length 1 for 'cosine'; null unless they were kept. */
  get vectors(): Tensor | null {
    return this.kept;
  }

  /** Bytes in native memory. */
  get bytes(): number {
    return this.packed.bytes + (this.kept?.bytes ?? 0) + (this.centroids?.bytes ?? 0);
  }

  /** Queries f32 as they are compared: of length 1 for 'cosine'. */
  prepare(queries: Tensor): Tensor {
    return this.similarity === 'cosine' ? normalized(queries) : queries;
  }

  /**
   * The nearest vectors by their codes. Scores are what the codes say of the similarity, larger is nearer: the product, the cosine, or minus
   * the squared distance; of signs, the product of ±1.
   *
   * @param queries as {@link prepare} made them
   */
  find(queries: Tensor, count: number): Hits {
    const { codes, scales } = this.codeQueries(queries);
    const shape = [queries.shape[0] as number, count];
    const ids = empty(shape, 'i32');
    const raw = empty(shape, this.kind === 'f32' || this.kind === 'product' ? 'f32' : 'i32');
    if (this.kind === 'product') {
      const { handle } = this.centroids as Tensor;
      const operands = [this.packed.handle, this.shape[0], this.distances] as const;
      native.productSearch(queries.handle, handle, ...operands, ids.handle, raw.handle);
      return { ids, scores: this.toSimilarity(raw, codes, scales) };
    }
    const format = FORMATS[this.kind];
    native.search(codes.handle, this.packed.handle, ...this.shape, format, this.distances, ids.handle, raw.handle);
    return { ids, scores: this.toSimilarity(raw, codes, scales) };
  }

  /** Frees the memory. */
  dispose(): void {
    this.packed.dispose();
    this.kept?.dispose();
    this.centroids?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private get distances(): boolean {
    return this.similarity === 'l2';
  }

  private codeQueries(queries: Tensor): { codes: Tensor; scales: Float32Array } {
    if (this.kind === 'f32' || this.kind === 'product') return { codes: queries, scales: Float32Array.of(1) };
    if (this.kind === 'binary') return { codes: signBits(queries), scales: Float32Array.of(1) };
    if (!this.distances) return codeQueries(queries, null);
    return codeQueries(queries, this.kind === 'int8' ? this.scale : this.scale / INT4_QUERY_UNITS);
  }

  /** Scores of codes in the units of the vectors. */
  private toSimilarity(raw: Tensor, codes: Tensor, scales: Float32Array): Tensor {
    const [queries, count] = raw.shape as readonly [number, number];
    const columns = this.shape[1];
    const values = raw.toArray() as Float32Array | Int32Array;
    if (this.kind === 'binary')
      return empty(raw.shape).write(Float32Array.from(values, (value) => columns + 2 * value));
    if (!this.distances && (this.kind === 'f32' || this.kind === 'product')) return raw;
    const numbers = codes.toArray() as Float32Array | Int8Array;
    const scores = new Float32Array(values.length);
    for (let query = 0; query < queries; query++) {
      const step = (scales[scales.length === 1 ? 0 : query] as number) * this.scale;
      // 2 q·x − x·x lacks the query's own part, which ranks nothing.
      let own = 0;
      if (this.distances) {
        for (let i = query * columns; i < (query + 1) * columns; i++) own += (numbers[i] as number) ** 2;
        if (this.kind === 'int4') own /= INT4_QUERY_UNITS;
      }
      for (let i = query * count; i < (query + 1) * count; i++) scores[i] = ((values[i] as number) - own) * step;
    }
    return empty(raw.shape).write(scores);
  }
}

/** Vectors by the nearest centroids, laid out for search. */
function packProductCodes(values: Tensor, centroids: Tensor): Tensor {
  const [subspaces = 0, count = 0] = centroids.shape;
  const bits = count === 256 ? 8 : 4;
  const codes = empty([values.shape[0] as number, subspaces], bits === 8 ? 'u8' : 'u4');
  native.productEncode(values.handle, centroids.handle, codes.handle);
  const bytes = native.productSearchBytes(codes.shape[0] as number, subspaces, bits, values.device);
  const packed = empty([bytes], 'u8', values.device);
  native.packProductSearch(codes.handle, packed.handle);
  return packed;
}

function code(values: Tensor, format: SearchFormat): { codes: Tensor; scale: number } {
  switch (format) {
    case SearchFormat.f32:
      return { codes: values, scale: 1 };
    case SearchFormat.binary:
      return { codes: signBits(values), scale: 1 };
    default: {
      const { codes, scales } = codeVectors(values, format);
      return { codes, scale: scales[0] as number };
    }
  }
}
