import { expect } from 'chai';
import { lowRankCorrection } from '../../lib/compress';
import { philox } from '../../lib/random';
import { keep, memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { type QuantizationScheme, quantizeMatrix, type Weight } from '../../lib/weights';
import { rejectionOf } from '../support/rejection';

const INT2: QuantizationScheme = { bits: 2, scheme: 'asymmetric', granularity: 'channel' };

/** Low rank but for a little noise, so that what rounding loses has structure. */
function matrix(rows: number, columns: number): Tensor {
  const random = philox(3);
  const left = Array.from({ length: rows }, () => 2 * random.uniform() - 1);
  const right = Array.from({ length: columns }, () => 2 * random.uniform() - 1);
  return tensor(
    Float32Array.from({ length: rows * columns }, (_, i) => {
      const product = (left[Math.floor(i / columns)] as number) * (right[i % columns] as number);
      return product + 0.2 * random.uniform();
    }),
    [rows, columns],
  );
}

function errorOf(weight: Weight, w: Tensor): number {
  const [actual, expected] = tidy(() => [weight.dense(), w].map((x) => x.toArray() as Float32Array));
  return Math.hypot(
    ...Float64Array.from(actual as Float32Array, (x, i) => x - ((expected as Float32Array)[i] as number)),
  );
}

describe('lowRankCorrection', () => {
  it('leaves the error that the best approximation of the rank leaves of what was lost', async () => {
    const before = memory();
    const w = keep(matrix(30, 20));
    const codes = quantizeMatrix(w, INT2);
    const lost = errorOf(codes, w);
    const corrected = await lowRankCorrection(w, codes, { rank: 4 });
    expect(corrected.representation).to.equal('int2 per channel + rank 4 (f32)');
    expect(errorOf(corrected, w)).to.be.below(0.85 * lost);
    const more = await lowRankCorrection(w, quantizeMatrix(w, INT2), { rank: 10 });
    expect(errorOf(more, w)).to.be.below(errorOf(corrected, w));
    for (const owner of [corrected, more, w]) owner.dispose();
    expect(memory()).to.deep.equal(before);
  });

  it('refuses a matrix of another shape', async () => {
    const codes = quantizeMatrix(matrix(6, 5), INT2);
    const reason = await rejectionOf(lowRankCorrection(matrix(5, 6), codes, { rank: 1 }));
    expect(reason).to.have.property('code', 'ERR_TERSOR_SHAPE');
    codes.dispose();
  });
});
