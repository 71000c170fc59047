import { expect } from 'chai';
import { multiply } from '../../lib/autograd';
import { magnitudeMask } from '../../lib/compress';
import { philox } from '../../lib/random';
import { memory, tensor, tidy } from '../../lib/tensor';
import {
  BlockSparse,
  type QuantizationScheme,
  quantizeMatrix,
  SemiStructured,
  Sparse,
  type Weight,
} from '../../lib/weights';

const INT8: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };
const INPUT = { scale: Math.fround(2 / 255), zeroPoint: 128 };

/** [rows, columns] of which about `density` differ from zero. */
function randomMatrix(rows: number, columns: number, density: number, seed: number) {
  const random = philox(seed);
  const values = Float32Array.from({ length: rows * columns }, () => {
    const kept = random.uniform() < density;
    return (2 * random.uniform() - 1) * (kept ? 1 : 0);
  });
  return tensor(values, [rows, columns]);
}

/** Tells −0 from 0 and one NaN from another. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

describe('a sparse int8 weight with int8 inputs', () => {
  // 1 % runs the kernel over the nonzeros, 30 % the dense one.
  for (const density of [0, 0.01, 0.3]) {
    for (const batch of [1, 3, 40]) {
      it(`answers bit for bit like the dense int8 weight of the same numbers: ${100 * density} % nonzero, batch ${batch}`, () => {
        const before = memory();
        tidy(() => {
          const w = randomMatrix(37, 301, density, 1);
          const bias = tensor(Float32Array.from({ length: 37 }, (_, i) => i / 8 - 2));
          const x = randomMatrix(batch, 301, 1, 2);
          const weights = [Sparse.from(w, INT8, INPUT), quantizeMatrix(w, INT8, INPUT)];
          const [sparse, dense] = weights.map((weight) =>
            bitsOf(weight.matmul(x, { bias, activation: 'relu' }).toArray() as Float32Array),
          );
          for (const weight of weights) weight.dispose();
          expect(sparse).to.deep.equal(dense);
        });
        expect(memory()).to.deep.equal(before);
      });
    }
  }
});

describe('sparse weights of 4 bits', () => {
  const INT4: QuantizationScheme = { ...INT8, bits: 4 };

  /** Native memory that a weight keeps, after a product. */
  function residentBytes(make: () => Weight): number {
    const before = memory().bytes;
    const weight = make();
    tidy(() => {
      weight.matmul(randomMatrix(2, weight.shape[1] as number, 1, 9));
    });
    const bytes = memory().bytes - before;
    weight.dispose();
    return bytes;
  }

  for (const [pattern, density] of [
    ['2:4', 0.5],
    ['4:8', 0.5],
    ['1:4', 0.25],
  ] as const) {
    it(`keep half the bytes of int8 values when they are served: ${pattern}`, () =>
      tidy(() => {
        const [rows, columns] = [64, 1024];
        const dense = randomMatrix(rows, columns, 1, 3);
        const w = multiply(dense, magnitudeMask(dense, { pattern }));
        const [int8, int4] = [INT8, INT4].map((scheme) =>
          residentBytes(() => SemiStructured.from(w, pattern, scheme, 'dynamic')),
        ) as [number, number];
        // 4:8 has all columns of four in memory: any of them may be kept.
        const values = rows * columns * (pattern === '4:8' ? 1 : density);
        expect(int8 - int4).to.equal(values / 2);
      }));
  }

  for (const blocks of ['32x4', '16x4'] as const) {
    it(`keep half the bytes of int8 values when they are served: blocks of ${blocks}`, () =>
      tidy(() => {
        const [rows, columns] = [64, 1024];
        const dense = randomMatrix(rows, columns, 1, 3);
        const w = multiply(dense, magnitudeMask(dense, { sparsity: 0.75, blocks }));
        const [int8, int4] = [INT8, INT4].map((scheme) =>
          residentBytes(() => BlockSparse.from(w, blocks, scheme, INPUT)),
        ) as [number, number];
        expect(int8 - int4).to.equal((rows * columns) / 4 / 2);
      }));
  }

  it("keep half the bytes of int8 values and of their words in the kernels' order: unstructured", () =>
    tidy(() => {
      const signs = (randomMatrix(64, 1024, 0.05, 3).toArray() as Float32Array).map(Math.sign);
      const w = tensor(signs, [64, 1024]);
      const [int8, int4] = [INT8, INT4].map((scheme) => residentBytes(() => Sparse.from(w, scheme, INPUT))) as [
        number,
        number,
      ];
      const nonzeros = signs.filter((sign) => sign !== 0).length;
      const words = signs.filter((_, i) => i % 4 === 0 && signs.subarray(i, i + 4).some((sign) => sign !== 0)).length;
      expect(int8 - int4).to.be.at.least(nonzeros / 2 - 1 + 2 * words);
    }));
});
