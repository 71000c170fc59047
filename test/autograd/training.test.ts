import { expect } from 'chai';
import fc from 'fast-check';
import {
  attention,
  averagePool2d,
  batchNorm2d,
  conv2d,
  gelu,
  layerNorm,
  linear,
  logSoftmax,
  maxPool2d,
  multiply,
  rmsNorm,
  sigmoid,
  silu,
  sum,
  tanh,
} from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { native } from '../../lib/native';
import { philox, type RandomStream } from '../../lib/random';
import { full, memory, type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import { type Array64, array64, map64, random64, total as sumOf, toTensor } from '../support/array64';
import { EPSILON, expectClose } from '../support/close';
import { centralDifferences } from '../support/differences';
import { expectNoLeaks } from '../tensor/leaks';
import {
  attention64,
  batchNorm64,
  conv64,
  geluTanh64,
  logistic,
  norm64,
  normal64,
  pool64,
  rows64,
} from './reference64';

interface Case {
  readonly inputs: readonly Array64[];
  readonly apply: (...inputs: Tensor[]) => Tensor;
  readonly reference: (...inputs: Array64[]) => Array64;
  /** Largest error of a value and of a gradient, in units of {@link EPSILON}. */
  readonly roundings: number;
}

/** A value and its gradients against a formula in float64 and its central differences. */
function check({ inputs, apply, reference, roundings }: Case, random: RandomStream): void {
  const expected = reference(...inputs);
  const weights = random64(expected.shape, random);
  const loss64 = (x: readonly Array64[]) => {
    const { data } = reference(...x);
    return sumOf(data.length, (i) => (data[i] as number) * (weights.data[i] as number));
  };
  tidy(() => {
    const tensors = inputs.map(toTensor);
    expectClose(apply(...tensors), expected.data, roundings * EPSILON, 'value');
    const { gradients } = valueAndGradients(() => sum(multiply(apply(...tensors), toTensor(weights))), tensors);
    const slopes = centralDifferences(loss64, inputs);
    gradients.forEach((gradient, k) => {
      // Differences of the float64 formula are good to some 1e-6.
      expectClose(gradient, (slopes[k] as Array64).data, 8 * roundings * EPSILON + 4e-6, `gradient by input ${k}`);
    });
  });
}

const small = fc.integer({ min: 1, max: 9 });
const one = fc.integer({ min: 1, max: 3 });

const cases: Record<string, fc.Arbitrary<(random: RandomStream) => Case>> = {
  ...Object.fromEntries(
    (
      [
        ['gelu', (x: Tensor) => gelu(x), (x: number) => x * normal64(x)],
        ['gelu by tanh', (x: Tensor) => gelu(x, { approximate: 'tanh' }), geluTanh64],
        ['silu', silu, (x: number) => x * logistic(x)],
        ['tanh', tanh, Math.tanh],
        ['sigmoid', sigmoid, logistic],
      ] as const
    ).map(([name, apply, f]) => [
      name,
      fc.tuple(small, small).map(([n, p]) => (random: RandomStream) => ({
        inputs: [random64([n, p], random)],
        apply,
        reference: (x: Array64) => map64(x, f),
        roundings: 30,
      })),
    ]),
  ),
  logSoftmax: fc.tuple(small, small).map(([n, p]) => (random) => ({
    inputs: [random64([n, p], random)],
    apply: logSoftmax,
    reference: (x) =>
      rows64(x, (row) => {
        const logarithm = Math.log(sumOf(row.length, (j) => Math.exp(row[j] as number)));
        return [...row].map((v) => v - logarithm);
      }),
    roundings: 40,
  })),
  'layer norm': fc.tuple(small, fc.integer({ min: 4, max: 40 })).map(([n, p]) => (random) => ({
    inputs: [random64([2, n, p], random), random64([p], random), random64([p], random)],
    apply: (x, weight, bias) => layerNorm(x, weight as Tensor, bias as Tensor, { epsilon: 0.01 }),
    reference: (x, weight, bias) => norm64(x, weight as Array64, bias as Array64, 0.01, true),
    roundings: 200,
  })),
  'RMS norm': fc.tuple(small, fc.integer({ min: 4, max: 40 })).map(([n, p]) => (random) => ({
    inputs: [random64([n, p], random), random64([p], random)],
    apply: (x, weight) => rmsNorm(x, weight as Tensor, { epsilon: 0.01 }),
    reference: (x, weight) => norm64(x, weight as Array64, null, 0.01, false),
    roundings: 200,
  })),
  'linear with each activation': fc
    .tuple(small, small, fc.constantFrom('gelu', 'geluTanh', 'silu', 'tanh', 'sigmoid'))
    .map(([n, p, name]) => (random) => {
      const f = { gelu: (x: number) => x * normal64(x), geluTanh: geluTanh64, tanh: Math.tanh, sigmoid: logistic };
      return {
        inputs: [random64([n, 2], random), random64([p, 2], random), random64([p], random)].map((x) =>
          map64(x, (v) => v / 4),
        ),
        apply: (x, w, bias) => linear(x, w as Tensor, { bias: bias as Tensor, activation: name as 'gelu' }),
        reference: (x, w, bias) =>
          array64([n, p], (i) => {
            const [row, column] = [Math.floor(i / p), i % p];
            const z =
              sumOf(2, (k) => (x.data[row * 2 + k] as number) * ((w as Array64).data[column * 2 + k] as number)) +
              ((bias as Array64).data[column] as number);
            return name === 'silu' ? z * logistic(z) : f[name as 'gelu'](z);
          }),
        roundings: 40,
      };
    }),
  conv2d: fc
    .record({
      n: fc.constantFrom(1, 2),
      groups: fc.constantFrom(1, 2),
      inGroup: fc.constantFrom(1, 2),
      outGroup: one,
      height: fc.integer({ min: 3, max: 6 }),
      width: fc.integer({ min: 3, max: 6 }),
      kernel: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
      stride: fc.tuple(one, one),
      padding: fc.tuple(fc.constantFrom(0, 1, 2), fc.constantFrom(0, 1)),
      dilation: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
    })
    .map(({ inGroup, outGroup, ...s }) => (random) => {
      const shape = { ...s, channels: inGroup * s.groups, outputs: outGroup * s.groups };
      return {
        inputs: [
          random64([s.n, shape.channels, s.height, s.width], random),
          random64([shape.outputs, inGroup, ...s.kernel], random),
          random64([shape.outputs], random),
        ],
        apply: (x, w, bias) =>
          conv2d(x, w as Tensor, {
            bias: bias as Tensor,
            stride: s.stride,
            padding: s.padding,
            dilation: s.dilation,
            groups: s.groups,
          }),
        reference: (x, w, bias) => conv64(shape)(x, w as Array64, bias as Array64),
        roundings: 300,
      };
    }),
  'batch norm, of its own moments and of running ones': fc
    .record({
      n: fc.constantFrom(2, 3),
      channels: fc.constantFrom(1, 2, 3),
      height: fc.integer({ min: 2, max: 5 }),
      width: fc.integer({ min: 1, max: 20 }),
      training: fc.boolean(),
    })
    .map(({ n, channels, height, width, training }) => (random) => {
      const running = {
        mean: random64([channels], random),
        variance: array64([channels], () => 0.5 + random.uniform()),
      };
      return {
        inputs: [
          random64([n, channels, height, width], random),
          random64([channels], random),
          random64([channels], random),
        ],
        apply: (x, weight, bias) => {
          const statistics = { mean: toTensor(running.mean), variance: toTensor(running.variance) };
          return batchNorm2d(x, statistics, weight as Tensor, bias as Tensor, { epsilon: 0.01, training });
        },
        reference: (x, weight, bias) => batchNorm64(x, weight as Array64, bias as Array64, training ? null : running),
        roundings: 400,
      };
    }),
  pooling: fc
    .record({
      shape: fc.tuple(one, one, fc.integer({ min: 3, max: 6 }), fc.integer({ min: 3, max: 6 })),
      kernel: fc.tuple(fc.constantFrom(2, 3), fc.constantFrom(2, 3)),
      stride: fc.tuple(one, one),
      padding: fc.tuple(fc.constantFrom(0, 1), fc.constantFrom(0, 1)),
      countPadding: fc.boolean(),
      max: fc.boolean(),
    })
    .map(({ shape, max, ...s }) => (random) => ({
      // Apart by more than the differences step, so that a maximum stays where it is.
      inputs: [array64(shape, (i) => ((i * 7919) % 1009) / 504 - 1 + 1e-3 * random.uniform())],
      apply: (x) => (max ? maxPool2d(x, s) : averagePool2d(x, s)),
      reference: (x) => pool64(x, s, max),
      roundings: 30,
    })),
  attention: fc
    .record({
      batch: fc.constantFrom(1, 2),
      n: small,
      m: small,
      keyHeads: fc.constantFrom(1, 2),
      group: fc.constantFrom(1, 2),
      d: fc.integer({ min: 1, max: 5 }),
      e: fc.integer({ min: 1, max: 5 }),
      causal: fc.boolean(),
      masked: fc.boolean(),
    })
    .map(({ group, masked, ...s }) => (random) => {
      const mask = masked ? Array.from({ length: s.batch * s.m }, () => random.integer(3)) : null;
      const shape = { ...s, heads: group * s.keyHeads, mask };
      return {
        inputs: [
          random64([s.batch, s.n, shape.heads * s.d], random),
          random64([s.batch, s.m, s.keyHeads * s.d], random),
          random64([s.batch, s.m, s.keyHeads * s.e], random),
        ],
        apply: (q, k, v) =>
          attention(q, k as Tensor, v as Tensor, {
            heads: shape.heads,
            keyHeads: s.keyHeads,
            causal: s.causal,
            mask: mask === null ? null : tensor(Uint8Array.from(mask), [s.batch, s.m]),
          }),
        reference: (q, k, v) => attention64(shape)(q, k as Array64, v as Array64),
        roundings: 400,
      };
    }),
};

describe('operations of training against float64 and central differences', () => {
  expectNoLeaks();

  for (const [name, arbitrary] of Object.entries(cases)) {
    it(name, () => {
      fc.assert(
        fc.property(arbitrary, fc.nat(), (make, seed) => {
          const random = philox(seed);
          check(make(random), random);
        }),
        { numRuns: 15 },
      );
    });
  }

  it('attention over a dimension of heads equals that of heads side by side', () => {
    tidy(() => {
      const random = philox(3);
      const [q, k, v] = [
        [2, 3, 5, 4],
        [2, 3, 6, 4],
        [2, 3, 6, 2],
      ].map((shape) => toTensor(random64(shape, random))) as [Tensor, Tensor, Tensor];
      const mask = tensor(Uint8Array.of(1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0), [2, 6]);
      const { value, gradients } = valueAndGradients(() => sum(attention(q, k, v, { mask })), [q, k, v]);
      const y = attention(q, k, v, { mask });
      expect(y.shape).to.deep.equal([2, 3, 5, 2]);
      const head = (x: Tensor, b: number, h: number) => {
        const [, heads, rows, columns] = x.shape as [number, number, number, number];
        const size = rows * columns;
        const values = (x.toArray() as Float32Array).slice((b * heads + h) * size, (b * heads + h + 1) * size);
        return tensor(values, [1, rows, columns]);
      };
      for (const [b, h] of [
        [0, 0],
        [0, 2],
        [1, 1],
      ] as const) {
        const row = tensor((mask.toArray() as Uint8Array).slice(6 * b, 6 * b + 6), [1, 6]);
        expectClose(
          head(y, b, h),
          attention(head(q, b, h), head(k, b, h), head(v, b, h), { mask: row }).toArray() as Float32Array,
          0,
          'y',
        );
      }
      expect(gradients.map(({ shape }) => shape)).to.deep.equal([q.shape, k.shape, v.shape]);
      expect(value.item()).to.be.closeTo(sum(y).item(), 1e-5);
      expect([...head(gradients[2] as Tensor, 1, 0).toArray()].every((slope) => slope === 0)).to.equal(true);
    });
  });

  it('attention over 8192 positions makes no matrix of them', () => {
    tidy(() => {
      const n = 8192;
      const x = zeros([1, n, 8]);
      const threads = native.threads();
      native.setThreads(1);
      const before = memory().bytes;
      const resident = process.memoryUsage.rss();
      const { gradients } = valueAndGradients(() => sum(attention(x, x, x, { heads: 2 })), [x]);
      // x is 256 KiB; its matrix of scores would be 256 MiB a head.
      expect(memory().bytes - before).to.be.below(4 * x.bytes);
      expect(process.memoryUsage.rss() - resident).to.be.below(64 * 2 ** 20);
      expect((gradients[0] as Tensor).shape).to.deep.equal(x.shape);
      native.setThreads(threads);
    });
  });

  it('batch norm moves its running statistics in training alone, the variance as a sample’s', () => {
    tidy(() => {
      const x = tensor([1, 3, 5, 7, 0, 0, 3, 3], [2, 2, 2, 1]);
      const running = { mean: zeros([2]), variance: full([2], 1) };
      const options = { training: true, momentum: 0.25 };
      batchNorm2d(x, running, null, null, options);
      // The channels hold 1 3 0 0 and 5 7 3 3: means 1 and 4.5, squares about them 6 and 11, of samples 2 and 11 / 3.
      expectClose(running.mean, [0.25, 1.125], 1e-6, 'mean');
      expectClose(running.variance, [0.75 + 0.25 * 2, 0.75 + (0.25 * 11) / 3], 1e-6, 'variance');
      const before = [...running.mean.toArray(), ...running.variance.toArray()].map(Number);
      const y = batchNorm2d(x, running, null, null, { epsilon: 0 });
      expectClose([...running.mean.toArray(), ...running.variance.toArray()].map(Number), before, 0, 'statistics');
      expectClose((y.toArray() as Float32Array).slice(0, 1), [0.75 / Math.sqrt(1.25)], 1e-6, 'y');
      const alone = batchNorm2d(x, null, null, null, { training: true, epsilon: 0 });
      expectClose((alone.toArray() as Float32Array).slice(0, 2), [0, 2 / Math.sqrt(1.5)], 1e-6, 'without statistics');
    });
  });

  it('batch norm refuses what has no variance or no statistics', () => {
    tidy(() => {
      const one = zeros([1, 2, 1, 1]);
      const two = zeros([2, 2, 1, 1]);
      const cases: [act: () => unknown, code: string, text: string][] = [
        [() => batchNorm2d(one, null, null, null, { training: true }), 'ERR_TERSOR_SHAPE', '2 or more pixels'],
        [() => batchNorm2d(zeros([2, 2]), null, null, null, { training: true }), 'ERR_TERSOR_SHAPE', 'got [2, 2]'],
        [() => batchNorm2d(two, null, null, null), 'ERR_TERSOR_INVALID_ARGUMENT', 'running statistics'],
        [
          () => batchNorm2d(two, null, null, null, { training: true, momentum: 1.5 }),
          'ERR_TERSOR_OUT_OF_RANGE',
          'momentum',
        ],
        [() => batchNorm2d(two, null, zeros([3]), null, { training: true }), 'ERR_TERSOR_SHAPE', 'weight'],
      ];
      for (const [act, code, text] of cases) expect(act, text).to.throw(text).with.property('code', code);
    });
  });

  it('conv2d fuses an activation, and trains through it', () => {
    tidy(() => {
      const random = philox(5);
      const x = toTensor(random64([2, 3, 6, 7], random));
      const weight = toTensor(random64([4, 3, 3, 3], random));
      const apart = silu(conv2d(x, weight, { padding: 1 }));
      expectClose(conv2d(x, weight, { padding: 1, activation: 'silu' }), apart.toArray() as Float32Array, 0, 'y');
      const by = (f: () => Tensor) => valueAndGradients(() => sum(f()), [weight]).gradients[0] as Tensor;
      expectClose(
        by(() => conv2d(x, weight, { padding: 1, activation: 'silu' })),
        by(() => silu(conv2d(x, weight, { padding: 1 }))).toArray() as Float32Array,
        0,
        'gradient',
      );
    });
  });

  it('conv2d refuses shapes and settings that do not fit together', () => {
    tidy(() => {
      const x = zeros([1, 4, 5, 5]);
      const refused: [() => unknown, string][] = [
        [() => conv2d(zeros([4, 5, 5]), zeros([1, 4, 3, 3])), 'expected x and weight of 4 dimensions'],
        [() => conv2d(x, zeros([1, 3, 3, 3])), 'expected w of shape [?, 4, ?, ?]'],
        [() => conv2d(x, zeros([2, 4, 3, 3]), { groups: 3 }), 'multiples of groups'],
        [() => conv2d(x, zeros([2, 4, 6, 3])), 'fits into the padded image'],
        [() => conv2d(x, zeros([2, 4, 3, 3]), { dilation: 3 }), 'fits into the padded image'],
        [() => conv2d(x, zeros([2, 4, 3, 3]), { stride: 0 }), 'expected strideDown'],
        [() => conv2d(x, zeros([2, 4, 3, 3]), { padding: -1 }), 'expected paddingDown'],
        [() => conv2d(x, zeros([2, 4, 3, 3]), { bias: zeros([3]) }), 'expected bias of shape [2]'],
      ];
      for (const [act, text] of refused) expect(act, String(act)).to.throw(text);
    });
  });

  it('pooling refuses shapes and settings that do not fit together', () => {
    tidy(() => {
      const x = zeros([1, 4, 5, 5]);
      const refused: [() => unknown, string][] = [
        [() => maxPool2d(zeros([4, 5, 5]), { kernel: 2 }), 'expected x of 4 dimensions'],
        [() => maxPool2d(x, { kernel: 6 }), 'fits into the padded image'],
        [() => maxPool2d(x, { kernel: 2, padding: 2 }), 'larger than the padding'],
        [() => averagePool2d(x, { kernel: [2, 0] }), 'expected kernelAcross'],
        [() => averagePool2d(x, { kernel: 2, stride: 0 }), 'expected strideDown'],
        [() => averagePool2d(x, { kernel: 2, padding: -1 }), 'expected paddingDown'],
      ];
      for (const [act, text] of refused) expect(act, String(act)).to.throw(text);
    });
  });

  it('attention refuses shapes that do not fit together', () => {
    tidy(() => {
      const x = zeros([2, 3, 4]);
      const refused: [() => unknown, string][] = [
        [() => attention(zeros([3, 4]), x, x), 'expected q, k and v of 3 or of 4 dimensions'],
        [() => attention(x, x, x, { heads: 3 }), 'expected'],
        [() => attention(x, zeros([2, 5, 6]), zeros([2, 5, 6])), 'expected k of shape [2, ?, 4]'],
        [() => attention(x, x, zeros([2, 2, 4])), 'expected v of shape [2, 3, ?]'],
        [() => attention(x, x, x, { heads: 4, keyHeads: 2 }), 'expected k of shape [2, ?, 2]'],
        [() => attention(x, x, x, { mask: zeros([2, 4], 'u8') }), 'expected mask of shape [?, 3]'],
        [() => attention(x, x, x, { mask: zeros([3, 3], 'u8') }), 'multiple of the rows of mask'],
        [() => attention(x, x, x, { heads: 0 }), 'expected'],
      ];
      for (const [act, text] of refused) expect(act, String(act)).to.throw(text);
    });
  });
});
