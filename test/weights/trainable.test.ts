import { expect } from 'chai';
import { multiply, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { philox } from '../../lib/random';
import { full, memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import {
  DEFAULT_OBSERVER,
  Dense,
  LowRank,
  type QuantizationScheme,
  quantizeMatrix,
  Sparse,
  TrainableMatrix,
} from '../../lib/weights';
import { expectClose, expectSameBits } from '../support/close';
import { CODEBOOK_SCHEMES, isInteger, SCHEMES, schemeName } from './cases';

const ROWS = 11;
const COLUMNS = 17;
const INT8: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };

function random(rows: number, columns: number, seed = 1): Tensor {
  const stream = philox(seed);
  return tensor(
    Float32Array.from({ length: rows * columns }, () => 3 * stream.uniform() - 1),
    [rows, columns],
  );
}

/** Removes two elements of three and a whole row. */
function mask(rows = ROWS, columns = COLUMNS): Tensor {
  const kept = Float32Array.from({ length: rows * columns }, (_, i) =>
    Math.floor(i / columns) === 4 || i % 3 !== 0 ? 0 : 1,
  );
  return tensor(kept, [rows, columns]);
}

/** A matrix under training, freed after the check. */
function withMatrix(check: (matrix: TrainableMatrix) => void): void {
  tidy(() => {
    const matrix = new TrainableMatrix({ latent: random(ROWS, COLUMNS) });
    try {
      check(matrix);
    } finally {
      matrix.dispose();
    }
  });
}

describe('a matrix under training', () => {
  for (const scheme of [...SCHEMES, ...CODEBOOK_SCHEMES]) {
    it(`is seen by training as it is packed, bit for bit: ${schemeName(scheme)}`, () => {
      withMatrix((matrix) => {
        matrix.quantize(scheme);
        expectSamePacked(matrix);
        // As an optimizer would.
        matrix.latent.copyFrom(random(ROWS, COLUMNS, 2));
        expectSamePacked(matrix);
      });
    });

    if (isInteger(scheme)) {
      it(`is seen by training as it is packed, bit for bit: ${schemeName(scheme)}, masked`, () => {
        withMatrix((matrix) => {
          matrix.prune(mask());
          matrix.quantize(scheme);
          expectSamePacked(matrix);
          // Momentum moves what the mask removed; training must not see it.
          matrix.latent.copyFrom(random(ROWS, COLUMNS, 2));
          expectSamePacked(matrix);
        });
      });
    }
  }

  it('is seen by training as it is packed without a scheme, masked or not', () => {
    withMatrix((matrix) => {
      expectSamePacked(matrix);
      matrix.prune(mask());
      const packed = matrix.pack();
      expect(packed.kind).to.equal('sparse');
      expect(packed.nonzeros()).to.equal((mask().toArray() as Float32Array).filter((kept) => kept === 1).length);
      // A masked -0.5 is -0 to training and absent, +0, when packed: the same number.
      expectClose(packed.dense(), matrix.dense().toArray() as Float32Array, 0, 'masked');
      packed.dispose();
    });
  });

  it('keeps pruned elements at zero under masks chosen later', () => {
    withMatrix((matrix) => {
      const first = mask();
      const pattern = first.toArray() as Float32Array;
      matrix.prune(first);
      matrix.prune(full([ROWS, COLUMNS], 1));
      const values = matrix.latent.toArray() as Float32Array;
      pattern.forEach((kept, i) => {
        if (kept === 0) expect(values[i]).to.be.closeTo(0, 0);
      });
    });
  });

  it('passes gradients straight through the rounding, and none through the mask', () => {
    withMatrix((matrix) => {
      const pattern = mask().toArray() as Float32Array;
      matrix.prune(mask());
      matrix.quantize(INT8);
      const factors = random(ROWS, COLUMNS, 5);
      const { gradients } = valueAndGradients(() => sum(multiply(matrix.dense(), factors)), matrix.parameters());
      const expected = (factors.toArray() as Float32Array).map((factor, i) => factor * (pattern[i] as number));
      expectClose(gradients[0] as Tensor, expected, 0, 'gradient');
    });
  });

  it('has a state that a checkpoint needs', () => {
    withMatrix((matrix) => {
      expect([...matrix.state().keys()]).to.deep.equal(['latent']);
      matrix.prune(mask());
      matrix.quantize(INT8);
      matrix.quantizeInputs(DEFAULT_OBSERVER);
      expect([...matrix.state().keys()]).to.deep.equal(['latent', 'mask', 'input_range']);
    });
  });

  it('stays usable after it was packed', () => {
    withMatrix((matrix) => {
      matrix.quantize(INT8);
      const packed = matrix.pack();
      const before = packed.dense();
      matrix.latent.copyFrom(random(ROWS, COLUMNS, 9));
      expectSameBits(packed.dense(), before, 'the packed copy');
      packed.dispose();
      expectSamePacked(matrix);
    });
  });

  it('frees what it holds, also what it replaced', () => {
    const before = memory();
    const matrix = new TrainableMatrix({ latent: random(ROWS, COLUMNS) });
    for (let i = 0; i < 3; i++) {
      matrix.prune(mask());
      matrix.quantize(INT8);
      matrix.quantizeInputs(DEFAULT_OBSERVER);
    }
    matrix.dispose();
    expect(memory().tensors).to.be.at.most(before.tensors);
    expect(memory().bytes).to.be.at.most(before.bytes);
  });

  describe('refuses at once what no packed weight can be', () => {
    for (const scheme of SCHEMES.filter((each) => !isInteger(each))) {
      it(`${schemeName(scheme)} with a mask or with quantized inputs, whichever comes first`, () => {
        withMatrix((matrix) => {
          matrix.quantize(scheme);
          expectCode(() => matrix.prune(mask()), 'ERR_TERSOR_UNSUPPORTED');
          expectCode(() => matrix.quantizeInputs(DEFAULT_OBSERVER), 'ERR_TERSOR_UNSUPPORTED');
          expectSamePacked(matrix);
        });
        withMatrix((matrix) => {
          matrix.prune(mask());
          expectCode(() => matrix.quantize(scheme), 'ERR_TERSOR_UNSUPPORTED');
          expect(matrix.pack().representation).to.match(/^f32/);
        });
        withMatrix((matrix) => {
          matrix.quantize(INT8);
          matrix.quantizeInputs(DEFAULT_OBSERVER);
          expectCode(() => matrix.quantize(scheme), 'ERR_TERSOR_UNSUPPORTED');
        });
        tidy(() => {
          const w = random(4, 6);
          expectCode(() => Sparse.from(w, scheme), 'ERR_TERSOR_UNSUPPORTED');
          expectCode(() => quantizeMatrix(w, scheme, { scale: 1, zeroPoint: 0 }), 'ERR_TERSOR_UNSUPPORTED');
        });
      });
    }

    it('quantized inputs beside float weights', () => {
      withMatrix((matrix) => expectCode(() => matrix.quantizeInputs(DEFAULT_OBSERVER), 'ERR_TERSOR_UNSUPPORTED'));
      tidy(() => {
        const w = random(4, 6);
        expectCode(() => Sparse.from(w, null, { scale: 1, zeroPoint: 0 }), 'ERR_TERSOR_UNSUPPORTED');
      });
    });

    it('quantized inputs of more columns than 32-bit sums hold', () => {
      tidy(() => {
        const matrix = new TrainableMatrix({ latent: full([1, 65_794], 0.5) });
        matrix.quantize(INT8);
        expectCode(() => matrix.quantizeInputs(DEFAULT_OBSERVER), 'ERR_TERSOR_UNSUPPORTED');
        matrix.dispose();
        const widest = quantizeMatrix(full([1, 65_793], -0.5), INT8, { scale: 1, zeroPoint: 255 });
        // The longest exact sum: 65,793 products of -255 and -127, each scale rounded once.
        const y = widest.matmul(full([1, 65_793], -255)).item();
        expect(y).to.be.closeTo(65_793 * 255 * 0.5, 65_793 * 255 * 0.5 * 2 ** -22);
        widest.dispose();
      });
    });

    it('a vector, a matrix without columns, a mask of another shape', () => {
      tidy(() => {
        const bias = new TrainableMatrix({ latent: tensor([1, 2, 3]) });
        expectCode(() => bias.quantize(INT8), 'ERR_TERSOR_SHAPE');
        expectCode(() => bias.prune(tensor([1, 0, 1])), 'ERR_TERSOR_SHAPE');
        bias.dispose();
        for (const shape of [[3], [3, 0], [2, 2, 2]]) {
          const w = full(shape, 1);
          expectCode(() => quantizeMatrix(w, INT8), 'ERR_TERSOR_SHAPE');
          expectCode(() => Sparse.from(w), 'ERR_TERSOR_SHAPE');
        }
        expectCode(() => new LowRank(new Dense(full([4, 2], 1)), new Dense(full([3, 4], 1))), 'ERR_TERSOR_SHAPE');
      });
      withMatrix((matrix) => expectCode(() => matrix.prune(mask(COLUMNS, ROWS)), 'ERR_TERSOR_SHAPE'));
    });

    it('schemes that are none', () => {
      const bad = [
        { ...INT8, bits: 5 },
        { ...INT8, bits: 16 },
        { ...INT8, scheme: 'affine' },
        { ...INT8, granularity: 'block' },
        { ...INT8, granularity: 'group' },
        { ...INT8, granularity: 'group', groupSize: 0 },
        { ...INT8, granularity: 'group', groupSize: 2.5 },
        { ...INT8, groupSize: 4 },
      ] as QuantizationScheme[];
      for (const scheme of bad) {
        withMatrix((matrix) => expectCode(() => matrix.quantize(scheme), 'ERR_TERSOR_INVALID_ARGUMENT'));
        tidy(() => {
          const w = random(2, 3);
          expectCode(() => quantizeMatrix(w, scheme), 'ERR_TERSOR_INVALID_ARGUMENT');
        });
      }
    });

    it('values so large that a code would stand for infinity', () => {
      tidy(() => {
        const w = tensor([[1, -3e38]]);
        for (const scheme of SCHEMES) expectCode(() => quantizeMatrix(w, scheme), 'ERR_TERSOR_OUT_OF_RANGE');
      });
    });

    it('a product of a product', () => {
      tidy(() => {
        const dense = () => new Dense(full([2, 2], 1));
        expectCode(() => new LowRank(new LowRank(dense(), dense()), dense()), 'ERR_TERSOR_UNSUPPORTED');
      });
    });
  });
});

describe('two factors under training', () => {
  it('are seen by training as they are packed, bit for bit', () => {
    tidy(() => {
      const weight = new LowRank(new Dense(random(9, 4)), new Dense(random(4, 12)));
      const trainable = weight.trainable();
      const [left, right] = trainable.matrices() as [TrainableMatrix, TrainableMatrix];
      left.quantize({ bits: 4, scheme: 'asymmetric', granularity: 'row' });
      right.prune(mask(4, 12));
      right.quantize(INT8);
      const packed = trainable.pack();
      expectSameBits(trainable.dense(), packed.dense(), 'matrix');
      expectSameBits(trainable.gather(tensor(Int32Array.of(8, 0))), packed.gather(tensor(Int32Array.of(8, 0))), 'rows');
      // Another kernel adds in another order.
      const x = random(3, 12, 4);
      expectClose(packed.matmul(x), trainable.matmul(x).toArray() as Float32Array, 1e-5, 'product');
      expect(trainable.parameters()).to.have.length(2);
      expect([...trainable.state().keys()]).to.deep.equal(['left.latent', 'right.latent', 'right.mask']);
      expectClose(trainable.unrounded(), productOf(left.unrounded(), right.unrounded()), 1e-5, 'unrounded');
      packed.dispose();
      trainable.dispose();
      weight.dispose();
    });
  });
});

describe('packed weights and gradients', () => {
  it('refuse inputs that are differentiated by, instead of a gradient of zero', () => {
    tidy(() => {
      const w = random(3, 4);
      const x = random(2, 4);
      for (const weight of [
        quantizeMatrix(w, INT8),
        Sparse.from(w),
        new LowRank(new Dense(random(3, 2)), new Dense(random(2, 4))),
      ]) {
        expectCode(() => valueAndGradients(() => sum(weight.matmul(x)), [x]), 'ERR_TERSOR_UNSUPPORTED');
        weight.dispose();
      }
    });
  });
});

function productOf(a: Tensor, b: Tensor): Float64Array {
  const [m, k] = a.shape as readonly [number, number];
  const n = b.shape[1] as number;
  const [left, right] = [a.toArray() as Float32Array, b.toArray() as Float32Array];
  return Float64Array.from({ length: m * n }, (_, i) => {
    let total = 0;
    for (let p = 0; p < k; p++)
      total += (left[Math.floor(i / n) * k + p] as number) * (right[p * n + (i % n)] as number);
    return total;
  });
}

function expectSamePacked(matrix: TrainableMatrix): void {
  const seen = matrix.dense();
  const packed = matrix.pack();
  expectSameBits(seen, packed.dense(), packed.representation);
  const ids = tensor(Int32Array.of(2, 0, 2));
  expectSameBits(matrix.gather(ids), packed.gather(ids), `rows of ${packed.representation}`);
  packed.dispose();
}

function expectCode(act: () => unknown, code: string): void {
  expect(act)
    .to.throw(/^expected /)
    .with.property('code', code);
}
