import { expect } from 'chai';
import { gptq } from '../../lib/compress';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import {
  type QuantizationScheme,
  Quantized,
  quantizeMatrix,
  restoreWeight,
  type StoredWeight,
} from '../../lib/weights';
import { rejectionOf } from '../support/rejection';

const NF4: QuantizationScheme = { bits: 4, scheme: 'nf4', granularity: 'group', groupSize: 64 };

/** As bitsandbytes publishes them. */
const PUBLISHED = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

/** Uniform numbers in [-1, 1). */
function random([rows, columns]: readonly [number, number], seed: number): Tensor {
  const stream = philox(seed);
  return tensor(
    Float32Array.from({ length: rows * columns }, () => 2 * stream.uniform() - 1),
    [rows, columns],
  );
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
}

function restored({ tensors, descriptor }: StoredWeight) {
  return restoreWeight('w', new Map([...tensors].map(([blob, entry]) => [`w.${blob}`, entry])), descriptor);
}

function floats(x: Tensor): Float32Array {
  return x.toArray() as Float32Array;
}

function squaredError(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0);
}

describe('weights of a codebook', () => {
  it('have the sixteen values of NF4', () =>
    tidy(() => {
      const w = tensor(Float32Array.from(PUBLISHED), [1, 16]);
      expect([...floats(quantizeMatrix(w, { ...NF4, groupSize: 16 }).dense())]).to.deep.equal([
        ...Float32Array.from(PUBLISHED),
      ]);
      const every = tensor(
        Float32Array.from({ length: 4096 }, (_, i) => i / 2047.5 - 1),
        [1, 4096],
      );
      const values = new Set(floats(quantizeMatrix(every, { bits: 4, scheme: 'nf4', granularity: 'tensor' }).dense()));
      expect([...values]).to.have.members([...Float32Array.from(PUBLISHED)]);
    }));

  it('round each number to the nearest value times the largest magnitude of its group', () =>
    tidy(() => {
      const w = random([7, 150], 1);
      const source = floats(w);
      const rounded = floats(quantizeMatrix(w, NF4).dense());
      for (let row = 0; row < 7; row++) {
        for (let first = 0; first < 150; first += 64) {
          const group = source.subarray(row * 150 + first, row * 150 + Math.min(first + 64, 150));
          const scale = group.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
          group.forEach((value, i) => {
            const error = Math.abs(value - (rounded[row * 150 + first + i] as number));
            const least = Math.min(...PUBLISHED.map((each) => Math.abs(value - Math.fround(each) * scale)));
            expect(error).to.be.closeTo(least, 2e-7 * scale);
          });
        }
      }
    }));

  it('multiply by packed codes as by the decoded weight', () =>
    tidy(() => {
      for (const scheme of [NF4, { bits: 3, scheme: 'kmeans', granularity: 'channel' } as const]) {
        const w = quantizeMatrix(random([70, 192], 2), scheme);
        const dense = floats(w.dense());
        for (const rows of [1, 4, 5, 33]) {
          const x = random([rows, 192], 3);
          const numbers = floats(x);
          const exact = Float64Array.from({ length: rows * 70 }, (_, i) => {
            const [row, column] = [Math.floor(i / 70) * 192, (i % 70) * 192];
            let sum = 0;
            for (let k = 0; k < 192; k++) sum += (numbers[row + k] as number) * (dense[column + k] as number);
            return sum;
          });
          const norm = Math.sqrt(exact.reduce((sum, value) => sum + value ** 2, 0));
          const errorOf = (y: Float32Array) =>
            Math.sqrt(y.reduce((sum, value, i) => sum + (value - (exact[i] as number)) ** 2, 0)) / norm;
          expect(errorOf(floats(w.matmul(x)))).to.be.below(1e-6);
          expect(errorOf(floats(w.withInputPrecision('int8').matmul(x)))).to.be.below(2e-2);
        }
      }
    }));

  it('learn values that err less than even steps and than NF4 do, and the less the more there are', () =>
    tidy(() => {
      // A skewed distribution, which no fixed codebook expects.
      const w = tensor(
        floats(random([64, 256], 4)).map((value) => Math.abs(value) ** 3 - 0.1),
        [64, 256],
      );
      const error = (scheme: QuantizationScheme) => squaredError(floats(w), floats(quantizeMatrix(w, scheme).dense()));
      const learned = ([2, 3, 4] as const).map((bits) => error({ bits, scheme: 'kmeans', granularity: 'channel' }));
      expect(learned[2]).to.be.below(0.5 * error({ bits: 4, scheme: 'symmetric', granularity: 'channel' }));
      expect(learned[2]).to.be.below(0.5 * error({ bits: 4, scheme: 'nf4', granularity: 'channel' }));
      expect(learned[1]).to.be.below(0.5 * (learned[0] as number));
      expect(learned[2]).to.be.below(0.5 * (learned[1] as number));
    }));

  it('take as many bytes as their file: codes, scales and learned values', () =>
    tidy(() => {
      const w = random([6, 128], 5);
      expect(quantizeMatrix(w, NF4).bytes()).to.equal(6 * 64 + 6 * 2 * 4);
      expect(quantizeMatrix(w, { bits: 2, scheme: 'kmeans', granularity: 'channel' }).bytes()).to.equal(
        6 * 32 + 6 * 4 + 4 * 4,
      );
    }));

  it('learn from matrices of fewer numbers than values, of equal numbers, and of none', () =>
    tidy(() => {
      const scheme: QuantizationScheme = { bits: 4, scheme: 'kmeans', granularity: 'tensor' };
      for (const rows of [[[0.5, -0.25, 0.125]], [[0, 0, 0, 0, 0]], [new Array<number>(40).fill(3)]]) {
        const w = tensor(rows);
        expect([...floats(quantizeMatrix(w, scheme).dense())]).to.deep.equal([...floats(w)]);
      }
      expect(quantizeMatrix(tensor(new Float32Array(0), [0, 5]), scheme).dense().shape).to.deep.equal([0, 5]);
    }));

  it('keep the learned values when trained: what is packed is what was seen', () =>
    tidy(() => {
      const w = quantizeMatrix(random([9, 32], 6), { bits: 2, scheme: 'kmeans', granularity: 'channel' });
      const trained = w.trainable();
      const values = trained.state().get('codebook') as Tensor;
      expect([...floats(values)]).to.deep.equal([...floats(w.parts.codebook as Tensor)]);
      for (const parameter of trained.parameters()) {
        parameter.write(floats(parameter).map((value, i) => value + 0.2 * Math.sin(i)));
      }
      const packed = trained.pack() as Quantized;
      expect([...floats(packed.dense())]).to.deep.equal([...floats(trained.dense())]);
      expect([...floats(packed.parts.codebook as Tensor)]).to.deep.equal([...floats(values)]);
      expect(trained.pack()).to.be.instanceOf(Quantized);
    }));

  it('refuse a width that the codebook does not have, int8 inputs, masks and gptq', async () => {
    const w = tidy(() => random([4, 32], 7));
    const kmeans = (bits: 1 | 8): QuantizationScheme => ({ bits, scheme: 'kmeans', granularity: 'channel' });
    for (const scheme of [{ ...NF4, bits: 3 as const }, kmeans(1), kmeans(8)]) {
      expect(codeOf(() => quantizeMatrix(w, scheme))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    }
    const channel: QuantizationScheme = { bits: 4, scheme: 'nf4', granularity: 'channel' };
    expect(codeOf(() => quantizeMatrix(w, channel, 'dynamic'))).to.equal('ERR_TERSOR_UNSUPPORTED');
    const moments = tidy(() => random([32, 32], 8));
    const error = await rejectionOf(gptq(w, moments, NF4));
    expect(error).to.have.property('code', 'ERR_TERSOR_UNSUPPORTED');
    w.dispose();
    moments.dispose();
  });

  it('refuse a file whose values are too few, not finite, or out of order', () =>
    tidy(() => {
      const stored = quantizeMatrix(random([4, 32], 9), { bits: 3, scheme: 'kmeans', granularity: 'channel' }).store();
      const withValues = (values: number[]) => {
        const data = new Uint8Array(Float32Array.from(values).buffer);
        const tensors = new Map([
          ...stored.tensors,
          ['codebook', { dtype: 'F32' as const, shape: [values.length], data }],
        ]);
        return codeOf(() => restored({ ...stored, tensors }));
      };
      expect(withValues([-3, -2, -1, 0, 1, 2, 3, 4])).to.equal(undefined);
      expect(withValues([-3, -2, -1, 0, 1, 2, 3])).to.equal('ERR_TERSOR_CORRUPT_FILE');
      expect(withValues([-3, -2, -1, 0, 1, 2, 3, 4, 5])).to.equal('ERR_TERSOR_CORRUPT_FILE');
      expect(withValues([-3, -2, -1, Number.NaN, 1, 2, 3, 4])).to.equal('ERR_TERSOR_NOT_FINITE');
      expect(withValues([-3, -2, -1, 0, 2, 1, 3, 4])).to.equal('ERR_TERSOR_CORRUPT_FILE');
    }));
});
