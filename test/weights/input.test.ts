import { expect } from 'chai';
import fc from 'fast-check';
import { initialize, Model, mlp } from '../../lib/models';
import { philox } from '../../lib/random';
import { full, type Tensor, tensor, tidy } from '../../lib/tensor';
import {
  Dense,
  type ObserverOptions,
  type QuantizationScheme,
  quantizeMatrix,
  Sparse,
  TrainableMatrix,
  type Weight,
} from '../../lib/weights';
import { InputObserver, InputQuantizer, inputQuantizationFor } from '../../lib/weights/input';
import { expectClose, expectSameBits } from '../support/close';
import { inputCode } from './reference';

const INT8: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };
const EMA: ObserverOptions = { observer: 'ema', momentum: 0.9 };
const WIDEST: ObserverOptions = { observer: 'min-max' };
const LEAST_ERROR: ObserverOptions = { observer: 'histogram' };
const MOST: ObserverOptions = { observer: 'percentile', percentile: 99 };

/** Batches whose range drifts. */
function batches(): Tensor[] {
  const random = philox(11);
  return Array.from({ length: 8 }, (_, i) =>
    tensor(
      Float32Array.from({ length: 15 }, () => (1 + i / 4) * (random.uniform() - 0.3)),
      [3, 5],
    ),
  );
}

function extremes(x: Tensor): [number, number] {
  const values = x.toArray() as Float32Array;
  return [Math.min(...values), Math.max(...values)];
}

describe('input ranges observed in training', () => {
  it('follow an exponential moving average of the batches, beginning with the first', () => {
    observe(EMA, (seen, range) => {
      let expected: [number, number] | undefined;
      for (const [low, high] of seen) {
        expected =
          expected === undefined ? [low, high] : [0.9 * expected[0] + 0.1 * low, 0.9 * expected[1] + 0.1 * high];
      }
      expectClose(range, expected ?? [], seen.length * 4 * 2 ** -24, 'moving average');
    });
  });

  it('are the widest seen with min-max', () => {
    observe(WIDEST, (seen, range) => {
      expect([...range]).to.deep.equal([
        Math.min(...seen.map(([low]) => low)),
        Math.max(...seen.map(([, high]) => high)),
      ]);
    });
  });

  /** Values with long tails, and ReLU's zeros. */
  function tailed(count: number): Float32Array {
    const random = philox(12);
    return Float32Array.from({ length: count }, () =>
      Math.max(-0.5, 2000 * (random.uniform() - 0.4) ** 9 + random.uniform() - 0.5),
    );
  }

  it('leave the least squared error with histogram: as good as any share of the extremes', () => {
    tidy(() => {
      const values = tailed(20_000);
      const observer = new InputObserver(LEAST_ERROR);
      observer.fakeQuantize(tensor(values, [100, 200]));
      const error = (low: number, high: number) => {
        const quantization = inputQuantizationFor([low, high]);
        const { scale, zeroPoint } = quantization;
        return values.reduce((sum, v) => sum + (scale * (inputCode(v, quantization) - zeroPoint) - v) ** 2, 0);
      };
      const [low, high] = observer.range.toArray() as unknown as [number, number];
      const shares = Array.from({ length: 20 }, (_, i) => 0.8 ** i);
      const [least, most] = [Math.min(...values), Math.max(...values)];
      const best = Math.min(...shares.flatMap((a) => shares.map((b) => error(a * least, b * most))));
      expect(error(low, high)).to.be.at.most(1.03 * best);
      expect(error(low, high)).to.be.below(error(least, most));
      observer.dispose();
    });
  });

  it('leave out the outermost values with percentile', () => {
    tidy(() => {
      const values = tailed(20_000);
      for (const percentile of [99, 99.9]) {
        const observer = new InputObserver({ observer: 'percentile', percentile });
        observer.fakeQuantize(tensor(values, [100, 200]));
        const sorted = Float32Array.from(values).sort();
        const outside = Math.round(20_000 * (1 - percentile / 100));
        const [low, high] = observer.range.toArray() as unknown as [number, number];
        const bin = (Math.max(...values) - Math.min(...values)) / 2048;
        expect(low).to.be.closeTo(sorted[outside - 1] as number, bin);
        expect(high).to.be.closeTo(sorted[20_000 - outside - 1] as number, bin);
        observer.dispose();
      }
    });
  });

  it('do not depend on how a histogram was cut into batches', () => {
    tidy(() => {
      for (const options of [LEAST_ERROR, MOST]) {
        const values = tailed(900);
        const [whole, parts] = [new InputObserver(options), new InputObserver(options)];
        whole.fakeQuantize(tensor(values, [9, 100]));
        for (let row = 8; row >= 0; row--)
          parts.fakeQuantize(tensor(values.slice(100 * row, 100 * row + 100), [1, 100]));
        expectSameBits(parts.range, whole.range, options.observer);
        whole.dispose();
        parts.dispose();
      }
    });
  });

  it('stay when they are not to follow, and under empty batches', () => {
    tidy(() => {
      const observer = new InputObserver(EMA);
      observer.fakeQuantize(tensor([[-1, 2]]));
      const range = observer.range.toArray();
      observer.fakeQuantize(tensor([], [0, 2]));
      observer.observing = false;
      observer.fakeQuantize(tensor([[-100, 200]]));
      expect(observer.range.toArray()).to.deep.equal(range);
      observer.dispose();
    });
  });

  it('refuse to quantize before anything was observed, saying what to do', () => {
    tidy(() => {
      const matrix = new TrainableMatrix({ latent: full([2, 3], 1), scheme: INT8 });
      matrix.quantizeInputs(EMA);
      matrix.observe(false);
      for (const act of [() => matrix.pack(), () => matrix.matmul(full([1, 3], 1))]) {
        expect(act)
          .to.throw(/calibration or training/)
          .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
      }
      matrix.dispose();
    });
  });

  it('refuse NaN and infinity without taking them over', () => {
    tidy(() => {
      for (const options of [EMA, WIDEST, LEAST_ERROR, MOST]) {
        const observer = new InputObserver(options);
        observer.fakeQuantize(tensor([[-1, 2]]));
        const before = [...observer.state().values()].map((part) => [...part.toArray()]);
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
          expect(() => observer.fakeQuantize(tensor([[1, bad]])))
            .to.throw()
            .with.property('code', 'ERR_TERSOR_NOT_FINITE');
        }
        expect([...observer.state().values()].map((part) => [...part.toArray()])).to.deep.equal(before);
        observer.dispose();
      }
    });
  });

  it('round inputs in training as the packed weight does', () => {
    tidy(() => {
      for (const options of [EMA, WIDEST, LEAST_ERROR, MOST]) {
        const observer = new InputObserver(options);
        for (const x of batches()) observer.fakeQuantize(x);
        observer.observing = false;
        const packed = new InputQuantizer(observer.quantization());
        for (const x of batches()) {
          const codes = packed.quantize(x).toArray() as Uint8Array;
          expect([...codes]).to.deep.equal(
            Array.from(x.toArray() as Float32Array, (value) => inputCode(value, packed)),
          );
          const rounded = Float32Array.from(codes, (code) => Math.fround(packed.scale * (code - packed.zeroPoint)));
          expectSameBits(observer.fakeQuantize(x), tensor(rounded, x.shape), options.observer);
        }
        packed.dispose();
        observer.dispose();
      }
    });
  });

  it('survive packing and training again', () => {
    tidy(() => {
      const matrix = new TrainableMatrix({ latent: full([2, 5], 0.5), scheme: INT8 });
      matrix.quantizeInputs(EMA);
      for (const x of batches()) matrix.matmul(x);
      const packed = matrix.pack();
      const again = packed.trainable();
      for (const each of again.matrices()) each.observe(false);
      const repacked = again.pack();
      const inputOf = ({ descriptor }: ReturnType<typeof packed.store>) =>
        descriptor?.kind === 'quantized' && descriptor.input !== 'dynamic' ? descriptor.input : undefined;
      const [first, second] = [inputOf(packed.store()), inputOf(repacked.store())];
      expect(second?.zeroPoint).to.equal(first?.zeroPoint);
      expect(second?.scale).to.be.closeTo(first?.scale ?? 0, 1e-6 * (first?.scale ?? 0));
      for (const each of [matrix, packed, again, repacked]) each.dispose();
    });
  });
});

describe('dynamic quantization of inputs', () => {
  /** Rows whose ranges lie far apart. */
  const rows = () =>
    tensor([
      [-1, 2, 0.3, 0, 1e-3],
      [1e6, 3e6, 2e6, 0, 7e5],
      [0, 0, 0, 0, 0],
      [-4e-5, 0, -1e-5, -2e-5, -3e-5],
    ]);

  it('codes every row by its own range, in training as when served', () => {
    tidy(() => {
      const matrix = new TrainableMatrix({ latent: full([3, 5], 0.5), scheme: INT8 });
      matrix.quantizeInputs('dynamic');
      const served = matrix.pack();
      expect(served.representation).to.equal('int8 per channel, dynamic int8 inputs');
      const x = rows();
      const trained = matrix.matmul(x).toArray() as Float32Array;
      (served.matmul(x).toArray() as Float32Array).forEach((value, i) => {
        const row = (x.toArray() as Float32Array).slice(Math.floor(i / 3) * 5, Math.floor(i / 3) * 5 + 5);
        const size = row.reduce((sum, each) => sum + Math.abs(each), 0);
        expect(value, `element ${i}`).to.be.closeTo(trained[i] as number, 8 * size * 2 ** -24);
        const sum = row.reduce((total, each) => total + each / 2, 0);
        // Five inputs, each half a step of rounding and half a step of the zero point away, times a weight of 0.5.
        const step = (Math.max(0, ...row) - Math.min(0, ...row)) / 255;
        expect(value, `element ${i}`).to.be.closeTo(sum, 5 * 0.5 * step + 8 * size * 2 ** -24);
      });
      served.dispose();
      matrix.dispose();
    });
  });

  it('gives NaN for rows with NaN or infinity and leaves the others as they are', () => {
    tidy(() => {
      for (const weight of [
        quantizeMatrix(full([2, 5], -0.5), INT8, 'dynamic'),
        Sparse.from(full([2, 5], -0.5), INT8, 'dynamic'),
      ]) {
        const clean = weight.matmul(rows()).toArray() as Float32Array;
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          const x = rows().toArray() as Float32Array;
          x[7] = bad;
          const y = weight.matmul(tensor(x, [4, 5])).toArray() as Float32Array;
          expect([...y.subarray(2, 4)]).to.deep.equal([Number.NaN, Number.NaN]);
          expect([...y.subarray(0, 2), ...y.subarray(4)]).to.deep.equal([
            ...clean.subarray(0, 2),
            ...clean.subarray(4),
          ]);
        }
        weight.dispose();
      }
    });
  });

  it('survives packing and training again, and has nothing to remember', () => {
    tidy(() => {
      const packed = quantizeMatrix(full([2, 5], 0.5), INT8, 'dynamic');
      const again = packed.trainable();
      expect([...again.state().keys()]).to.deep.equal(['latent']);
      const repacked = again.pack();
      expect(repacked.store().descriptor).to.deep.equal(packed.store().descriptor);
      expectSameBits(repacked.matmul(rows()), packed.matmul(rows()), 'packed again');
      for (const each of [packed, again, repacked]) each.dispose();
    });
  });

  it('takes no rows', () => {
    tidy(() => {
      const matrix = new TrainableMatrix({ latent: full([2, 5], 0.5), scheme: INT8, input: 'dynamic' });
      expect(matrix.matmul(tensor([], [0, 5])).shape).to.deep.equal([0, 2]);
      matrix.dispose();
    });
  });
});

describe('inputs that are codes already', () => {
  it('are multiplied as they are, unsigned or signed', () => {
    tidy(() => {
      const input = { scale: 0.25, zeroPoint: 100 };
      const weight = quantizeMatrix(full([2, 5], 0.5), INT8, input);
      const x = tensor([[-1, 2, 0.5, 0, 3.25]]);
      const codes = Uint8Array.from(x.toArray() as Float32Array, (value) => inputCode(value, input));
      expectSameBits(weight.matmul(tensor(codes, [1, 5])), weight.matmul(x), 'codes u8');
      const signed = Int8Array.from(codes, (code) => code - 128);
      expectSameBits(weight.matmul(tensor(signed, [1, 5])), weight.matmul(x), 'codes i8');
      weight.dispose();
    });
  });
});

describe('results that are codes for their reader', () => {
  const reader = { scale: 0.125, zeroPoint: 30 };
  const x = () =>
    tensor([
      [-1, 2, 0.5, 0, 3.25],
      [40, -3, 9.7, 0.1, -60],
    ]);

  it('are those of the rounded result, where a weight multiplies integers; others ignore the reader', () => {
    tidy(() => {
      const input = { scale: 0.25, zeroPoint: 100 };
      const w = tensor(
        Float32Array.from({ length: 15 }, (_, i) => ((i * 7) % 11) - 5),
        [3, 5],
      );
      const options = { bias: tensor([1, -2, 0.3]), activation: 'relu' as const };
      const dense = [quantizeMatrix(w, INT8, input), Sparse.from(w, INT8, input)];
      for (const weight of dense) {
        const y = weight.matmul(x(), { ...options, reader });
        expect(y.dtype).to.equal('u8');
        const expected = Array.from(weight.matmul(x(), options).toArray() as Float32Array, (value) =>
          inputCode(value, reader),
        );
        expect([...(y.toArray() as Uint8Array)]).to.deep.equal(expected);
      }
      const others = [quantizeMatrix(w, INT8), quantizeMatrix(w, INT8, 'dynamic')];
      for (const weight of others) {
        expectSameBits(weight.matmul(x(), { ...options, reader }), weight.matmul(x(), options), weight.representation);
      }
      for (const weight of [...dense, ...others]) weight.dispose();
    });
  });

  it('are read by sparse weights of few nonzeros too', () => {
    tidy(() => {
      const values = new Float32Array(200);
      values[7] = 1.5;
      values[130] = -2;
      const weight = Sparse.from(tensor(values, [2, 100]), INT8, reader);
      const wide = tensor(
        Float32Array.from({ length: 300 }, (_, i) => (i % 40) / 4 - 3),
        [3, 100],
      );
      const codes = Uint8Array.from(wide.toArray() as Float32Array, (value) => inputCode(value, reader));
      expectSameBits(weight.matmul(tensor(codes, [3, 100])), weight.matmul(wide), 'codes');
      expect(weight.input).to.deep.equal(reader);
      weight.dispose();
    });
  });

  it('pass through the layers of a model unchanged: the same bits as layer by layer', () => {
    tidy(() => {
      const architecture = mlp([5, 8, 6, 3]);
      const model = initialize(architecture, { seed: 3 });
      const compressed = new Model(
        architecture,
        new Map(
          [...model.weights].map(([name, weight]) => [
            name,
            name.endsWith('.weight')
              ? quantizeMatrix(weight.dense(), INT8, { scale: 0.03125, zeroPoint: 128 })
              : new Dense(weight.dense().clone()),
          ]),
        ),
      );
      let hidden = x();
      for (const layer of ['layers.0', 'layers.1', 'layers.2']) {
        const bias = compressed.weights.get(`${layer}.bias`)?.dense() ?? null;
        const activation = layer === 'layers.2' ? null : ('relu' as const);
        hidden = (compressed.weights.get(`${layer}.weight`) as Weight).matmul(hidden, { bias, activation });
      }
      expectSameBits(compressed.forward(x()), hidden, 'model');
      for (const each of [model, compressed]) each.dispose();
    });
  });
});

describe('the quantization of a range', () => {
  it('covers it and holds zero exactly, in 256 codes', () => {
    const bound = fc.double({ min: -1e30, max: 1e30, noNaN: true }).map(Math.fround);
    fc.assert(
      fc.property(bound, bound, (a, b) => {
        const [min, max] = [Math.min(a, b), Math.max(a, b)];
        const { scale, zeroPoint } = inputQuantizationFor([min, max]);
        expect(zeroPoint).to.satisfy(Number.isInteger).and.within(0, 255);
        expect(Math.fround(scale)).to.equal(scale);
        // Rounding the zero point moves the covered range by up to half a step.
        expect(-zeroPoint * scale).to.be.at.most(Math.min(min, 0) + 0.5001 * scale);
        expect((255 - zeroPoint) * scale).to.be.at.least(Math.max(max, 0) - 0.5001 * scale);
      }),
      { seed: 5, numRuns: 500 },
    );
  });

  it('is usable for no range and for ranges below what the kernels multiply', () => {
    for (const range of [
      [0, 0],
      [-0, 0],
      [0, 1e-45],
      [-1e-37, 1e-37],
      [0, 3.4e38],
      [-3.4e38, 3.4e38],
    ] as const) {
      tidy(() => {
        const quantization = inputQuantizationFor(range);
        const matrix = new TrainableMatrix({ latent: full([1, 2], 1), scheme: INT8, input: quantization });
        matrix.observe(false);
        const packed = matrix.pack();
        expect(packed.matmul(tensor([[0, range[1]]])).item(), `${range}`).to.satisfy(Number.isFinite);
        packed.dispose();
        matrix.dispose();
      });
    }
  });
});

function observe(options: ObserverOptions, check: (seen: [number, number][], range: Float32Array) => void): void {
  tidy(() => {
    const observer = new InputObserver(options);
    const seen: [number, number][] = [];
    for (const x of batches()) {
      observer.fakeQuantize(x);
      seen.push(extremes(x));
    }
    check(seen, observer.range.toArray() as Float32Array);
    observer.dispose();
  });
}
