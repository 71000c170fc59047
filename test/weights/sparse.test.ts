import { expect } from 'chai';
import { philox } from '../../lib/random';
import { memory, tensor, tidy } from '../../lib/tensor';
import { type QuantizationScheme, quantizeMatrix, Sparse } from '../../lib/weights';

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
