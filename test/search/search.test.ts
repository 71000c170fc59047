import { expect } from 'chai';
import { philox } from '../../lib/random';
import { type IndexKind, SearchIndex, type Similarity, topK } from '../../lib/search';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { expectNoLeaks } from '../tensor/leaks';

const ROWS = 700;
const COLUMNS = 50;
const QUERIES = 9;
const K = 10;

/** Numbers in [−1, 1), by two uniform ones, so that vectors differ in length too. */
function vectors(rows: number, seed: number): Float32Array {
  const random = philox(seed);
  return Float32Array.from({ length: rows * COLUMNS }, () => (2 * random.uniform() - 1) * (0.2 + random.uniform()));
}

function similarityOf(q: Float32Array, x: Float32Array, similarity: Similarity): number {
  let [product, distance, qq, xx] = [0, 0, 0, 0];
  for (let i = 0; i < q.length; i++) {
    const [a, b] = [q[i] as number, x[i] as number];
    product += a * b;
    distance += (a - b) ** 2;
    qq += a * a;
    xx += b * b;
  }
  return similarity === 'dot' ? product : similarity === 'l2' ? -distance : product / Math.sqrt(qq * xx);
}

/** Every similarity of each query, in float64. */
function exactScores(queries: Float32Array, all: Float32Array, similarity: Similarity): number[][] {
  const row = (values: Float32Array, i: number) => values.subarray(i * COLUMNS, (i + 1) * COLUMNS);
  return Array.from({ length: queries.length / COLUMNS }, (_, query) =>
    Array.from({ length: all.length / COLUMNS }, (_, id) =>
      similarityOf(row(queries, query), row(all, id), similarity),
    ),
  );
}

/** Ids in the order of falling scores. */
function ranked(scores: readonly number[]): number[] {
  return Array.from(scores.keys()).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

const matrix = (values: Float32Array) => tensor(values, [values.length / COLUMNS, COLUMNS]);
const intsOf = (x: Tensor) => Array.from(x.toArray() as Int32Array);
const floatsOf = (x: Tensor) => Array.from(x.toArray() as Float32Array);

/** What a score may be off by, and how many of the nearest are found by codes: rounding is half a step of 127, 7.5 or 1. */
const KINDS: readonly { kind: IndexKind; error: number; recall: number }[] = [
  { kind: 'f32', error: 2e-5, recall: 1 },
  { kind: 'int8', error: 0.15, recall: 0.9 },
  { kind: 'int4', error: 2, recall: 0.55 },
];

describe('vector search', () => {
  expectNoLeaks();

  for (const similarity of ['dot', 'cosine', 'l2'] as const) {
    for (const { kind, error, recall } of KINDS) {
      it(`finds the nearest by ${similarity} in ${kind}, and all of them when it rescores`, () => {
        tidy(() => {
          const [all, asked] = [vectors(ROWS, 1), vectors(QUERIES, 2)];
          const exact = exactScores(asked, all, similarity);
          const index = new SearchIndex(matrix(all), { kind, similarity, keepVectors: true });
          const found = topK(matrix(asked), index, { k: K });
          expect(found.ids.shape).to.deep.equal([QUERIES, K]);
          const [ids, scores] = [intsOf(found.ids), floatsOf(found.scores)];
          let hits = 0;
          exact.forEach((row, query) => {
            const nearest = new Set(ranked(row).slice(0, K));
            for (let i = query * K; i < (query + 1) * K; i++) {
              if (nearest.has(ids[i] as number)) hits += 1;
              expect(scores[i]).to.be.closeTo(row[ids[i] as number] as number, error);
              if (i > query * K) expect(scores[i]).to.be.at.most(scores[i - 1] as number);
            }
          });
          expect(hits / (QUERIES * K)).to.be.at.least(recall);

          const rescored = topK(matrix(asked), index, { k: K, rescore: 150 });
          expect(intsOf(rescored.ids)).to.deep.equal(exact.flatMap((row) => ranked(row).slice(0, K)));
          floatsOf(rescored.scores).forEach((score, i) => {
            const id = intsOf(rescored.ids)[i] as number;
            expect(score).to.be.closeTo(exact[Math.floor(i / K)]?.[id] as number, 1e-5);
          });
          index.dispose();
        });
      });
    }
  }

  it('finds the nearest signs exactly, ties by the lower id', () => {
    tidy(() => {
      const [all, asked] = [vectors(ROWS, 3), vectors(QUERIES, 4)];
      const signs = (values: Float32Array) => values.map((value) => (value > 0 ? 1 : -1));
      const exact = exactScores(signs(asked), signs(all), 'dot');
      const index = new SearchIndex(matrix(all), { kind: 'binary', similarity: 'cosine' });
      const { ids, scores } = topK(matrix(asked), index, { k: K });
      expect(intsOf(ids)).to.deep.equal(exact.flatMap((row) => ranked(row).slice(0, K)));
      expect(floatsOf(scores)).to.deep.equal(
        exact.flatMap((row) =>
          ranked(row)
            .slice(0, K)
            .map((id) => row[id]),
        ),
      );
      // A tile of 32 rows: the products' place, and two steps of 32 signs, four bytes a row each.
      expect(index.bytes).to.equal(Math.ceil(ROWS / 32) * 32 * 4 * 3);
      index.dispose();
    });
  });

  it('gives equal vectors in the order of their ids, and a vector of zeros a score of 0', () => {
    for (const kind of ['f32', 'int8', 'int4'] as const) {
      tidy(() => {
        const index = new SearchIndex(
          tensor([
            [1, 2],
            [0, 0],
            [1, 2],
            [1, 2],
          ]),
          { kind, similarity: 'cosine' },
        );
        const { ids, scores } = topK(tensor([[1, 2]]), index, { k: 4 });
        expect(intsOf(ids), kind).to.deep.equal([0, 2, 3, 1]);
        expect(floatsOf(scores)[3], kind).to.equal(0);
        index.dispose();
      });
    }
  });

  it('refuses what it cannot search', () => {
    tidy(() => {
      const index = new SearchIndex(
        tensor([
          [1, 2],
          [3, 4],
        ]),
        { kind: 'int8' },
      );
      const code = (body: () => unknown) => {
        try {
          body();
        } catch (error) {
          return (error as { code: string }).code;
        }
        return 'no error';
      };
      const query = tensor([[1, 1]]);
      for (const k of [0, 3, 1.5, Number.NaN]) {
        expect(
          code(() => topK(query, index, { k })),
          `k ${k}`,
        ).to.equal('ERR_TERSOR_OUT_OF_RANGE');
      }
      expect(code(() => topK(query, index, { k: 2, rescore: 1 }))).to.equal('ERR_TERSOR_OUT_OF_RANGE');
      expect(code(() => topK(query, index, { k: 1, rescore: 2 }))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
      expect(code(() => topK(tensor([[1, 1, 1]]), index, { k: 1 }))).to.equal('ERR_TERSOR_SHAPE');
      expect(code(() => topK(tensor([1, 1]), index, { k: 1 }))).to.equal('ERR_TERSOR_SHAPE');
      expect(code(() => topK(query.cast('i8'), index, { k: 1 }))).to.equal('ERR_TERSOR_DTYPE');
      expect(code(() => topK(tensor([[Number.NaN, 1]]), index, { k: 1 }))).to.equal('ERR_TERSOR_NOT_FINITE');
      const floats = new SearchIndex(
        tensor([
          [1, 2],
          [3, 4],
        ]),
        { kind: 'f32' },
      );
      expect(code(() => topK(tensor([[Number.NaN, 1]]), floats, { k: 1 }))).to.equal('ERR_TERSOR_NOT_FINITE');
      expect(code(() => new SearchIndex(query, { kind: 'binary', similarity: 'l2' }))).to.equal(
        'ERR_TERSOR_UNSUPPORTED',
      );
      for (const kind of ['int8', 'int4', 'binary'] as const) {
        expect(code(() => new SearchIndex(tensor([[Number.NaN]]), { kind }))).to.equal('ERR_TERSOR_NOT_FINITE');
      }
      index.dispose();
      floats.dispose();
    });
  });
});
