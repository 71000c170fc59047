import fc from 'fast-check';
import { fakeQuantize, multiply, sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { native } from '../../lib/native';
import { philox, type RandomStream } from '../../lib/random';
import { type DType, empty, full, type Tensor, tensor, tidy } from '../../lib/tensor';
import { type Affine, affineArguments } from '../../lib/tensor/affine';
import { random64, toTensor } from '../support/array64';
import { expectClose, expectSameBits } from '../support/close';
import { expectNoLeaks } from '../tensor/leaks';

/** A way to code a matrix, drawn at random. */
interface Coding {
  readonly affine: Affine;
  readonly dtype: DType;
}

const FORMS = ['symmetric', 'zero point', 'bias'] as const;
const GRANULARITIES = ['tensor', 'channel', 'group'] as const;
const CODES: [DType, number, number][] = [
  ['i8', -127, 127],
  ['u8', 0, 255],
  ['u4', 0, 15],
  ['u3', 0, 7],
  ['u2', 0, 3],
  ['u1', 0, 1],
];

/** Scales so small that some of the numbers in [−2, 2) are out of the codes' reach. */
function drawCoding(
  random: RandomStream,
  [rows, columns]: readonly [number, number],
  form: (typeof FORMS)[number],
  granularity: (typeof GRANULARITIES)[number],
): Coding {
  const [dtype, codeMin, codeMax] = CODES[random.integer(CODES.length)] as [DType, number, number];
  const groupSize = granularity === 'group' ? 1 + random.integer(columns) : columns;
  const shape = [granularity === 'tensor' ? 1 : rows, Math.ceil(columns / groupSize)];
  const draw = (value: () => number) =>
    tensor(Float32Array.from(full(shape, 0).toArray() as Float32Array, value), shape);
  const scales = draw(() => ((0.2 + random.uniform()) * 3) / (codeMax - codeMin));
  const zeroPoints =
    form === 'zero point'
      ? tensor(
          Int32Array.from(scales.toArray() as Float32Array, () => codeMin + random.integer(codeMax - codeMin + 1)),
          shape,
        )
      : null;
  const biases = form === 'bias' ? draw(() => random.uniform() - 1.5) : null;
  return { affine: { scales, zeroPoints, biases, codeMin, codeMax, groupSize }, dtype };
}

function eachCoding(check: (x: Tensor, coding: Coding, random: RandomStream) => void): void {
  for (const form of FORMS) {
    for (const granularity of GRANULARITIES) {
      const dimension = fc.integer({ min: 1, max: 19 });
      fc.assert(
        fc.property(dimension, dimension, fc.nat(), (rows, columns, seed) => {
          const random = philox(seed);
          tidy(() => {
            const x = toTensor(random64([rows, columns], random));
            check(x, drawCoding(random, [rows, columns], form, granularity), random);
          });
        }),
        { numRuns: 20 },
      );
    }
  }
}

/** The rule of the codes, element by element in float32: round half to even (x − bias) / scale, add the zero point, clamp. */
function clipped(x: Tensor, { scales, zeroPoints, biases, codeMin, codeMax, groupSize }: Affine): boolean[] {
  const [, columns] = x.shape as [number, number];
  const [parameterRows, groups] = scales.shape as [number, number];
  const [s, z, b] = [scales, zeroPoints, biases].map((t) => t?.toArray() as Float32Array | undefined);
  return Array.from(x.toArray() as Float32Array, (value, i) => {
    const row = parameterRows === 1 ? 0 : Math.floor(i / columns);
    const k = row * groups + Math.floor((i % columns) / groupSize);
    const position = Math.fround(Math.fround(value - (b?.[k] ?? 0)) / (s?.[k] as number));
    const below = Math.floor(position);
    const nearest = position - below === 0.5 ? below + (Math.abs(below) % 2) : Math.round(position);
    const code = nearest + (z?.[k] ?? 0);
    return code < codeMin || code > codeMax;
  });
}

describe('fakeQuantize', () => {
  expectNoLeaks();

  it('gives the bits that the codes dequantize to, in every form and granularity', () => {
    eachCoding((x, { affine, dtype }) => {
      const codes = empty(x.shape, dtype);
      const expected = empty(x.shape);
      native.quantize(x.handle, ...affineArguments(affine), codes.handle);
      native.dequantize(codes.handle, ...affineArguments(affine), null, expected.handle);
      expectSameBits(fakeQuantize(x, affine), expected, 'fake-quantized');
    });
  });

  it('passes the gradient straight through where no code was clipped, and stops it where one was', () => {
    let passed = 0;
    let stopped = 0;
    eachCoding((x, { affine }, random) => {
      const r = toTensor(random64(x.shape, random));
      const { gradients } = valueAndGradients(() => sum(multiply(fakeQuantize(x, affine), r)), [x]);
      const outside = clipped(x, affine);
      const expected = (r.toArray() as Float32Array).map((slope, i) => (outside[i] ? 0 : slope));
      expectClose(gradients[0] as Tensor, expected, 0, 'gradient');
      stopped += outside.filter(Boolean).length;
      passed += outside.length - outside.filter(Boolean).length;
    });
    if (passed < 1000 || stopped < 1000)
      throw new Error(`expected both kinds of elements, got ${passed} and ${stopped}`);
  });

  it('lets the gradient of the weight that set the scale through', () => {
    // absmax / (absmax / 127) rounds to just above 127 for this one.
    tidy(() => {
      const absmax = Math.fround(0.3);
      const x = tensor([[absmax, -absmax, 0.1]]);
      const scales = tensor([[Math.fround(absmax / 127)]]);
      const affine = { scales, zeroPoints: null, biases: null, codeMin: -127, codeMax: 127, groupSize: 3 };
      const { gradients } = valueAndGradients(() => sum(fakeQuantize(x, affine)), [x]);
      expectClose(gradients[0] as Tensor, [1, 1, 1], 0, 'gradient');
    });
  });

  it('rounds a textbook matrix to int8 and back', () => {
    tidy(() => {
      const w = tensor([
        [0.9, 0.1, 0.2],
        [0.4, 0.6, 0.8],
        [0.1, 0.9, 0.5],
      ]);
      const scale = Math.fround(0.9 / 127);
      const affine = {
        scales: tensor([[scale]]),
        zeroPoints: null,
        biases: null,
        codeMin: -127,
        codeMax: 127,
        groupSize: 3,
      };
      const codes = [127, 14, 28, 56, 85, 113, 14, 127, 71];
      expectClose(
        fakeQuantize(w, affine),
        codes.map((code) => Math.fround(code * scale)),
        0,
        'fake-quantized',
      );
    });
  });
});
