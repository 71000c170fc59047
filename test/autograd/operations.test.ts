import fc from 'fast-check';
import {
  add,
  concatColumns,
  crossEntropy,
  distillation,
  embeddingBag,
  gather,
  linear,
  matmul,
  multiply,
  relu,
  reshape,
  scale,
  softmax,
  subtract,
  sum,
} from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { philox, type RandomStream } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { type Array64, array64, at, map64, matrix64, random64, total as sumOf, toTensor } from '../support/array64';
import { EPSILON, expectClose } from '../support/close';
import { centralDifferences } from '../support/differences';
import { expectNoLeaks } from '../tensor/leaks';

interface Sizes {
  readonly n: number;
  readonly p: number;
  readonly q: number;
}

/** One operation at one size: what it does, and the same in float64. */
interface OperationCase {
  /** What the gradient is taken by. */
  readonly inputs: readonly Array64[];
  readonly apply: (...inputs: Tensor[]) => Tensor;
  readonly reference: (...inputs: Array64[]) => Array64;
  /**
   * At |inputs|, the sum of the sizes of the terms that make up each element: what rounding errors are relative to. Its slopes are
   * the same for the gradients. Default: the reference, right for sums of products without a minus.
   */
  readonly magnitude?: (...inputs: Array64[]) => Array64;
  /** Roundings on the way to one element of the result or of a gradient, beside those of a sum over one dimension. */
  readonly roundings?: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  n: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constantFrom(1, 17, 33)),
  p: fc.integer({ min: 1, max: 9 }),
  q: fc.integer({ min: 1, max: 9 }),
});

/** n look-ups in a table [p, q], in three bags of which the second is empty. */
function bagCase({ n, p, q }: Sizes, random: RandomStream, mode: 'sum' | 'mean' | 'max'): OperationCase {
  const ids = Int32Array.from({ length: n }, () => random.integer(p));
  const cut = Math.floor(n / 2);
  const weights = mode === 'sum' ? Float32Array.from(ids, () => 0.5 + random.uniform()) : null;
  const bounds = [0, cut, cut, n];
  const bagged = (fold: typeof mode) => (table: Array64) =>
    matrix64(3, q, (bag, j) => {
      const [begin, end] = [bounds[bag] as number, bounds[bag + 1] as number];
      const values = Array.from(ids.subarray(begin, end), (id, i) => at(table, id, j) * (weights?.[begin + i] ?? 1));
      if (values.length === 0) return 0;
      if (fold === 'max') return Math.max(...values);
      return sumOf(values.length, (i) => values[i] as number) / (fold === 'mean' ? values.length : 1);
    });
  return {
    inputs: [random64([p, q], random)],
    apply: (table) =>
      embeddingBag(table, {
        ids: tensor(ids),
        offsets: tensor(Int32Array.from(bounds)),
        weights: weights === null ? null : tensor(weights),
        mode,
        includeLastOffset: true,
      }),
    reference: bagged(mode),
    // At |inputs| another row may be the largest: any of them.
    magnitude: bagged(mode === 'max' ? 'sum' : mode),
    roundings: 2 * n + 2,
  };
}

const product64 = (a: Array64, b: Array64) =>
  matrix64(a.shape[0] as number, b.shape[1] as number, (i, j) =>
    sumOf(a.shape[1] as number, (k) => at(a, i, k) * at(b, k, j)),
  );
const transposed64 = (a: Array64) => matrix64(a.shape[1] as number, a.shape[0] as number, (i, j) => at(a, j, i));
/** b[i], or for a row vector b[i mod columns]. */
const repeated = (b: Array64, i: number) => b.data[i % b.data.length] as number;
const elementwise64 = (f: (u: number, v: number) => number) => (a: Array64, b: Array64) =>
  map64(a, (value, i) => f(value, repeated(b, i)));
const linear64 = (x: Array64, w: Array64, bias?: Array64) =>
  map64(product64(x, transposed64(w)), (value, i) => value + (bias === undefined ? 0 : repeated(bias, i)));
const relu64 = (x: Array64) => map64(x, (value) => Math.max(value, 0));
const concat64 = (a: Array64, b: Array64) => {
  const [rows, p, q] = [a.shape[0] as number, a.shape[1] as number, b.shape[1] as number];
  return matrix64(rows, p + q, (i, j) => (j < p ? at(a, i, j) : at(b, i, j - p)));
};

const pairs: [name: string, shapesOf: (sizes: Sizes) => [number[], number[]]][] = [
  [
    'of one shape',
    ({ n, p }) => [
      [n, p],
      [n, p],
    ],
  ],
  ['of one dimension', ({ n }) => [[n], [n]]],
  ['with a row for every row', ({ n, p }) => [[n, p], [p]]],
  ['of three dimensions with a row', ({ p, q }) => [[p, 2, q], [q]]],
];

const operations: Record<string, (sizes: Sizes, random: RandomStream) => OperationCase> = {
  ...Object.fromEntries(
    pairs.flatMap(([name, shapesOf]) => {
      const inputs = (sizes: Sizes, random: RandomStream) => shapesOf(sizes).map((shape) => random64(shape, random));
      const cases: [string, (sizes: Sizes, random: RandomStream) => OperationCase][] = [
        [
          `add ${name}`,
          (sizes, random) => ({
            inputs: inputs(sizes, random),
            apply: add,
            reference: elementwise64((u, v) => u + v),
            roundings: 2 * sizes.p,
          }),
        ],
        [
          `subtract ${name}`,
          (sizes, random) => ({
            inputs: inputs(sizes, random),
            apply: subtract,
            reference: elementwise64((u, v) => u - v),
            magnitude: elementwise64((u, v) => u + v),
            roundings: 2 * sizes.p,
          }),
        ],
        [
          `multiply ${name}`,
          (sizes, random) => ({
            inputs: inputs(sizes, random),
            apply: multiply,
            reference: elementwise64((u, v) => u * v),
            roundings: 2 * sizes.p,
          }),
        ],
      ];
      return cases;
    }),
  ),
  scale: ({ n, p }, random) => ({
    inputs: [random64([n, p], random)],
    apply: (x) => scale(x, -1.25),
    reference: (x) => map64(x, (value) => -1.25 * value),
    magnitude: (x) => map64(x, (value) => 1.25 * value),
  }),
  'sum of one dimension': ({ n }, random) => sumCase(random64([n], random)),
  'sum of a matrix': ({ n, p }, random) => sumCase(random64([n, p], random)),
  'sum of three dimensions': ({ p, q }, random) => sumCase(random64([p, 2, q], random)),
  concatColumns: ({ n, p, q }, random) => ({
    inputs: [random64([n, p], random), random64([n, q], random)],
    apply: concatColumns,
    reference: concat64,
  }),
  reshape: ({ p, q }, random) => ({
    inputs: [random64([2, p * q], random)],
    apply: (x) => reshape(x, [p, 2, q]),
    reference: ({ data }) => ({ shape: [p, 2, q], data }),
  }),
  'embeddingBag, sums with factors, repeated ids and an empty bag': ({ n, p, q }, random) =>
    bagCase({ n, p, q }, random, 'sum'),
  'embeddingBag, means': (size, random) => bagCase(size, random, 'mean'),
  'embeddingBag, maxima': (size, random) => bagCase(size, random, 'max'),
  'gather with repeated ids': ({ n, p, q }, random) => {
    const ids = Int32Array.from({ length: n }, () => random.integer(p));
    return {
      inputs: [random64([p, q], random)],
      apply: (table) => gather(table, tensor(ids)),
      reference: (table) => matrix64(n, q, (i, j) => at(table, ids[i] as number, j)),
    };
  },
  matmul: ({ n, p, q }, random) => ({
    inputs: [random64([n, p], random), random64([p, q], random)],
    apply: matmul,
    reference: product64,
  }),
  linear: ({ n, p, q }, random) => ({
    inputs: [random64([n, p], random), random64([q, p], random)],
    apply: (x, w) => linear(x, w),
    reference: linear64,
  }),
  'linear with bias': ({ n, p, q }, random) => ({
    inputs: [random64([n, p], random), random64([q, p], random), random64([q], random)],
    apply: (x, w, bias) => linear(x, w, { bias: bias as Tensor }),
    reference: linear64,
  }),
  'linear with bias and relu': ({ n, p, q }, random) => {
    const inputs = [random64([n, p], random), random64([q, p], random), random64([q], random)] as const;
    awayFromKink(linear64(...inputs));
    return {
      inputs,
      apply: (x, w, bias) => linear(x, w, { bias: bias as Tensor, activation: 'relu' }),
      reference: (x, w, bias) => relu64(linear64(x, w, bias)),
      magnitude: linear64,
    };
  },
  relu: ({ n, p }, random) => {
    const x = random64([n, p], random);
    awayFromKink(x);
    return { inputs: [x], apply: relu, reference: relu64 };
  },
  'a tensor used twice': ({ p }, random) => ({
    inputs: [random64([p, p], random)],
    apply: (x) => add(multiply(x, x), matmul(x, x)),
    reference: (x) => elementwise64((u, v) => u + v)(elementwise64((u, v) => u * v)(x, x), product64(x, x)),
  }),
  'a tensor added to itself, three times over': ({ n, p }, random) => ({
    inputs: [random64([n, p], random)],
    apply: (x) => add(add(x, x), reshape(x, [n, p])),
    reference: (x) => map64(x, (value) => 3 * value),
  }),
  'two layers': ({ n, p, q }, random) => {
    const inputs = [
      random64([n, p], random),
      random64([q, p], random),
      random64([q], random),
      random64([1, q], random),
    ] as const;
    awayFromKink(linear64(inputs[0], inputs[1], inputs[2]));
    return {
      inputs,
      apply: (x, w, bias, top) =>
        linear(linear(x, w as Tensor, { bias: bias as Tensor, activation: 'relu' }), top as Tensor),
      reference: (x, w, bias, top) => linear64(relu64(linear64(x, w as Array64, bias)), top as Array64),
      magnitude: (x, w, bias, top) => linear64(linear64(x, w as Array64, bias), top as Array64),
      roundings: p + q,
    };
  },
};

function sumCase(x: Array64): OperationCase {
  return {
    inputs: [x],
    apply: sum,
    reference: ({ data }) => ({ shape: [1], data: Float64Array.of(data.reduce((a, b) => a + b, 0)) }),
    roundings: x.data.length,
  };
}

/** Differences across the kink of a ReLU say nothing about the gradient on one side of it. */
function awayFromKink(x: Array64): void {
  fc.pre(x.data.every((value) => Math.abs(value) > 2e-3));
}

/** Σ r ∘ y: a loss through which every element of y sends a different gradient back. */
const weighted = (r: Array64, y: Array64) => sumOf(y.data.length, (i) => (r.data[i] as number) * (y.data[i] as number));

const sizeOnly = (x: Array64) => map64(x, Math.abs);

function checkOperation(
  { inputs, apply, reference, magnitude, roundings }: OperationCase,
  { n, p, q }: Sizes,
  random: RandomStream,
) {
  const sizeOf = magnitude ?? reference;
  const relative = EPSILON * (n + p + q + 8 + (roundings ?? 0));
  const expected = reference(...inputs);
  const r = random64(expected.shape, random);
  tidy(() => {
    const tensors = inputs.map(toTensor);
    const before = tensors.map((x) => x.toArray());
    const y = apply(...tensors);
    expectClose(
      y,
      expected.data,
      sizeOf(...inputs.map(sizeOnly)).data.map((size) => relative * size),
      'value',
    );
    const { gradients } = valueAndGradients(() => sum(multiply(apply(...tensors), toTensor(r))), tensors);
    const slopes = centralDifferences((moved) => weighted(r, reference(...moved)), inputs);
    const slopeSizes = centralDifferences((moved) => weighted(sizeOnly(r), sizeOf(...moved)), inputs.map(sizeOnly));
    gradients.forEach((gradient, k) => {
      const tolerance = (slopeSizes[k] as Array64).data.map((size) => relative * size + 1e-8);
      expectClose(gradient, (slopes[k] as Array64).data, tolerance, `gradient by input ${k}`);
    });
    tensors.forEach((x, k) => {
      expectClose(x, before[k] as Float32Array, 0, `input ${k} afterwards`);
    });
  });
}

describe('operations against float64 and central differences', () => {
  expectNoLeaks();

  for (const [name, makeCase] of Object.entries(operations)) {
    it(name, () => {
      fc.assert(
        fc.property(sizes, fc.nat(), (sizes, seed) => {
          const random = philox(seed);
          checkOperation(makeCase(sizes, random), sizes, random);
        }),
        { numRuns: 20 },
      );
    });
  }

  it('softmax', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), ({ p, q }, seed) => {
        const random = philox(seed);
        const x = map64(random64([p, 2, q], random), (value) => 4 * value);
        const r = random64(x.shape, random);
        const relative = EPSILON * (q + 30);
        tidy(() => {
          const input = toTensor(x);
          expectClose(softmax(input), softmax64(x).data, relative, 'value');
          const { gradients } = valueAndGradients(() => sum(multiply(softmax(input), toTensor(r))), [input]);
          const [slopes] = centralDifferences(([moved]) => weighted(r, softmax64(moved as Array64)), [x]);
          // Each gradient is y (r − Σ y r): at most 4 in size where |r| < 2.
          expectClose(gradients[0] as Tensor, (slopes as Array64).data, 4 * relative + 1e-7, 'gradient');
        });
      }),
      { numRuns: 20 },
    );
  });

  it('crossEntropy', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), ({ n, q }, seed) => {
        const random = philox(seed);
        const x = map64(random64([n, q], random), (value) => 4 * value);
        const labels = Int32Array.from({ length: n }, () => random.integer(q));
        const reference = (logits: Array64) => {
          const probabilities = softmax64(logits);
          return sumOf(n, (i) => -Math.log(at(probabilities, i, labels[i] as number))) / n;
        };
        tidy(() => {
          const logits = toTensor(x);
          const loss = () => scale(crossEntropy(logits, tensor(labels)), 3);
          const { value, gradients } = valueAndGradients(loss, [logits]);
          // |log softmax| ≤ largest − smallest logit + log q.
          expectClose(value, [3 * reference(x)], 3 * EPSILON * (n + q + 20) * (16 + Math.log(q)), 'value');
          expectClose(loss(), value.toArray() as Float32Array, 0, 'value when nothing records');
          const [slopes] = centralDifferences(([moved]) => 3 * reference(moved as Array64), [x]);
          expectClose(
            gradients[0] as Tensor,
            (slopes as Array64).data,
            (3 / n) * EPSILON * (q + 40) + 1e-7 / n,
            'gradient',
          );
        });
      }),
      { numRuns: 20 },
    );
  });

  it('distillation', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 8 }), fc.nat(), ({ n, q }, half, seed) => {
        const random = philox(seed);
        const temperature = half / 2;
        const student = map64(random64([n, q], random), (value) => 2 * value);
        const teacher = map64(random64([n, q], random), (value) => 2 * value);
        const soft = (x: Array64) => softmax64(map64(x, (value) => value / temperature));
        const reference = (x: Array64) => {
          const [s, t] = [soft(x).data, soft(teacher).data];
          const kl = sumOf(n * q, (i) => (t[i] as number) * Math.log((t[i] as number) / (s[i] as number)));
          return (temperature ** 2 * kl) / n;
        };
        tidy(() => {
          const [x, target] = [toTensor(student), toTensor(teacher)];
          const { value, gradients } = valueAndGradients(() => distillation(x, target, temperature), [x, target]);
          // Logarithms of probabilities are at most the range of the logits / τ + log q in size.
          const logarithms = 8 / temperature + Math.log(q);
          const roundings = EPSILON * (n + q + 20);
          expectClose(value, [reference(student)], 2 * temperature ** 2 * roundings * (1 + logarithms), 'value');
          const [slopes] = centralDifferences(([moved]) => reference(moved as Array64), [student]);
          const tolerance = (temperature / n) * roundings * (1 + logarithms) + 1e-7;
          expectClose(gradients[0] as Tensor, (slopes as Array64).data, tolerance, 'gradient by the student');
          expectClose(gradients[1] as Tensor, new Float64Array(n * q), 0, 'gradient by the teacher');
        });
      }),
      { numRuns: 20 },
    );
  });
});

/** Over the last dimension. */
function softmax64(x: Array64): Array64 {
  const columns = x.shape.at(-1) as number;
  const powers = x.data.map(Math.exp);
  return array64(x.shape, (i) => {
    const row = i - (i % columns);
    return (powers[i] as number) / sumOf(columns, (j) => powers[row + j] as number);
  });
}
