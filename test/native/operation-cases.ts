import {
  Activation,
  BagMode,
  Binary,
  CodeScales,
  InputPrecision,
  type NativeOperations,
  type NativeTensor,
  native,
  PoolMode,
  Reduce,
  RowRule,
  SearchFormat,
} from '../../lib/native';
import { full, Tensor, tensor, tidy, zeros } from '../../lib/tensor';

/** One valid call of an operation; every test of hostile arguments starts from it and breaks one thing. */
export interface OperationCase {
  operation: keyof NativeOperations;
  /** Fresh arguments; tensors stand for their handles. */
  args: () => Argument[];
  /** Positions of the tensors that are written. */
  outputs: number[];
  /** Positions whose tensor may have any shape that the others do not contradict. */
  anyShape?: number[];
  /** Positions whose last dimension may grow. */
  anyColumns?: number[];
  /** Positions of numbers that may be NaN or infinite. */
  anyNumber?: number[];
}

export type Argument = Tensor | readonly Tensor[] | number | boolean | bigint | null;

/** The call's arguments as the addon takes them. */
export function handlesOf(args: readonly Argument[]): unknown[] {
  return args.map((argument) => {
    if (argument instanceof Tensor) return argument.handle;
    return Array.isArray(argument) ? argument.map((x: Tensor) => x.handle) : argument;
  });
}

/** Calls an operation with arguments that TypeScript would not allow. */
export function call(operation: keyof NativeOperations, args: readonly unknown[]): void {
  const untyped: (...args: unknown[]) => void = native[operation] as (...args: never[]) => void as typeof untyped;
  untyped(...args);
}

/** Runs an operation as a job with arguments that TypeScript would not allow. */
export function queue(operation: string, args: unknown, token: unknown = native.createCancelToken()): Promise<void> {
  const untyped = native.run as (operation: string, args: unknown, token: unknown) => Promise<void>;
  return untyped(operation, args, token);
}

/** The bytes of a tensor, or of the first of a list. */
export function bytesOf(output: Argument): Uint8Array {
  const x = (Array.isArray(output) ? output[0] : output) as Tensor;
  const bytes = new Uint8Array(x.bytes);
  native.read(x.handle, bytes);
  return bytes;
}

/** Anything that is not one of our tensors. A cancel token is an external, but not a tensor's. */
export function notTensors(): [description: string, value: unknown][] {
  return [
    ['undefined', undefined],
    ['a number', 7],
    ['a string', 'tensor'],
    ['an object', {}],
    ['an array', []],
    ['a function', () => 0],
    ['a symbol', Symbol('x')],
    ['a Tensor instead of its handle', zeros([1])],
    ['a typed array', new Float32Array(4)],
    ['an external of another kind', native.createCancelToken()],
    ['a proxy', new Proxy({}, {})],
  ];
}

/** A handle that is no longer valid. */
export function released(): NativeTensor {
  const x = zeros([2, 2]);
  x.dispose();
  return x.handle;
}

const f32 = (shape: number[], ...values: number[]) => tensor(Float32Array.from(cycle(values, shape)), shape);
const i32 = (shape: number[], ...values: number[]) => tensor(Int32Array.from(cycle(values, shape)), shape);
const u32 = (shape: number[], ...values: number[]) => tensor(Uint32Array.from(cycle(values, shape)), shape);
const i8 = (shape: number[], ...values: number[]) => tensor(Int8Array.from(cycle(values, shape)), shape);
const u8 = (shape: number[], ...values: number[]) => tensor(Uint8Array.from(cycle(values, shape)), shape);

function cycle(values: readonly number[], shape: readonly number[]): number[] {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return Array.from({ length: size }, (_, i) => values[i % values.length] as number);
}

/** The weight [[1, 0, 2], [0, 3, 0]] in CSR form. */
const csr = (values: Tensor) => [u32([3], 0, 2, 3), u32([3], 0, 2, 1), values, 3] as const;
/** The same, laid out for the products. */
const packedCsr = (values: () => Tensor): Argument[] =>
  tidy(() => {
    const weight = csr(values());
    const bytes = zeros([1], 'i64');
    call('csrPackedBytes', handlesOf([...weight, bytes]));
    const packed = zeros([bytes.item()], 'u8');
    call('packCsr', handlesOf([...weight, packed]));
    return [packed, 2, 3];
  });
/** A tile of 128 bytes of sums and one step of 128 bytes of codes. */
const int8Weight = () => [u8([256], 1, 2, 3), 2, 3, f32([2], 0.25, 0.5)];
const epilogue = () => [f32([2], 1, -1), Activation.relu, f32([4, 2], 0.5)];
/** Factors of rank 3 of a weight [2, columns], each padded to 32 columns. */
const lowRank = (columns: number) => [f32([32 * columns + 32 * 3], 1, -2), 3];
const lowRankEnd = () => [f32([2], 0.5), Activation.relu, f32([3, 2], 0.5), zeros([3, 2])];
const int8Epilogue = () => [0.5, 3, f32([2], 0.25, 0.5), i32([2], 3, 3), f32([2], 1, -1), Activation.relu, null];
/** One panel of 16 rows with blocks at columns 0 to 3 and 4, scales, sums of rows, bias and activation. */
const int8Blocks = () => [
  u32([2], 0, 2),
  u32([2], 0, 1),
  i8([2 * 64], 1, 2, 3),
  2,
  5,
  16,
  4,
  f32([2], 0.25, 0.5),
  i32([2], 9, 8),
  f32([2], 0.5),
  Activation.relu,
];
/** 2:4, five columns: a tile of sums and of one eight of steps, whose halves have masks and two values a row and step. */
const int8Pattern = () => [u8([128 + 2 * (64 + 256)], 1, 2, 3), 2, 5, 2, 4, 8];
/** Scales, bias and activation. */
const scaled = () => [f32([2], 0.25, 0.5), f32([2], 0.5), Activation.relu];
const affine = () => [f32([2, 1], 0.5, 0.25), i32([2, 1], 1, -1), null, -8, 7, 3];

const u2 = (shape: number[]) => zeros(shape, 'u2');
const codebook = () => [f32([4], -1, -0.25, 0.25, 1), f32([2, 1], 0.5, 0.25), 3];
/** Of the values -1 and 3: bins of 2^-9, the first at -1. */
const histogram = () => {
  const counts = new BigInt64Array(4096);
  counts[0] = 1n;
  counts[2048] = 1n;
  return [tensor(counts, [4096], { dtype: 'i64' }), i32([2], -9, -512), f32([2], -1, 3)];
};

/** The states of two parameters. */
const pair = () => [zeros([2, 3]), zeros([4])];

/** Two groups of a kernel of 2 × 3 over images of 3 × 5: as many positions. */
const convolution = () => [f32([2, 4, 3, 5], 1, 2, -1), f32([6, 2, 2, 3], 0.5, -1, 2), 1, 1, 1, 1, 2, 1, 2];

/** Windows of 2 × 3 over images of 3 × 5: 2 × 5 of them. */
const moments = () => [
  [f32([2, 3], 1), f32([4], 2)],
  [f32([2, 3], 0.5), f32([4], 1)],
  pair(),
  pair(),
  ...[0.001, 0.9, 0.999, 1e-8, 0.01],
];
const batchNorm = () => [f32([2, 4, 3, 5], 1, -1), f32([4], 0.5), f32([4], 2), f32([4], 1), f32([4], 0.1), 1e-5];
const pooling = () => [f32([2, 4, 3, 5], 1, 2, -1), PoolMode.mean, 2, 3, 2, 1, 1, 1, true];

/** Two heads of two queries and three keys. */
const attention = () => [
  f32([2, 2, 4], 1, 0.5),
  f32([2, 3, 4], 1, 2, -1),
  f32([2, 3, 6], 3, 1),
  2,
  2,
  0.5,
  true,
  u8([1, 3], 1, 0, 1),
];

export const CASES: OperationCase[] = [
  { operation: 'fill', args: () => [zeros([2, 3]), 2.5], outputs: [0], anyShape: [0], anyNumber: [1] },
  { operation: 'cast', args: () => [f32([2, 3], 1.5, -300), zeros([2, 3], 'i8')], outputs: [1] },
  { operation: 'copy', args: () => [f32([2, 3], 1, 2), zeros([2, 3])], outputs: [1] },
  { operation: 'randomUniform', args: () => [7n, 3n, -1, 2, zeros([9])], outputs: [4], anyShape: [4] },
  { operation: 'randomNormal', args: () => [7n, 3n, 1, 0.5, zeros([9])], outputs: [4], anyShape: [4] },
  {
    operation: 'gemm',
    args: () => [
      f32([2, 3], 1, 2, 3),
      false,
      f32([4, 3], 1, -2),
      true,
      f32([4], 1),
      Activation.relu,
      f32([2, 4], 0.5),
      false,
      zeros([2, 4]),
    ],
    outputs: [8],
  },
  { operation: 'packGemm', args: () => [f32([4, 3], 1, -2), zeros([16 * 3])], outputs: [1] },
  {
    operation: 'gemmPacked',
    // 17 rows are a panel of 32 columns.
    args: () => [
      f32([2, 3], 1, 2, 3),
      f32([32 * 3], 1, -2),
      17,
      3,
      f32([17], 1),
      Activation.relu,
      f32([2, 17], 0.5),
      zeros([2, 17]),
    ],
    outputs: [7],
  },
  {
    operation: 'packGemm',
    args: () => [tensor([1, -2], [1, 2], { dtype: 'bf16' }), zeros([16 * 2], 'bf16')],
    outputs: [1],
  },
  {
    operation: 'gemmPacked',
    args: () => [
      f32([2, 3], 1, 2, 3),
      full([32 * 4], 0.5, 'bf16'),
      17,
      3,
      f32([17], 1),
      Activation.relu,
      f32([2, 17], 0.5),
      zeros([2, 17]),
    ],
    outputs: [7],
  },
  { operation: 'packInt8', args: () => [i8([2, 4], 1, -2), zeros([256], 'u8')], outputs: [1] },
  { operation: 'gram', args: () => [f32([4, 3], 1, 2, 3, 4), true, true, f32([3, 3], 1)], outputs: [3] },
  {
    operation: 'gemmInt8',
    args: () => [u8([4, 3], 1, 2, 200), 0.5, 3, ...int8Weight(), ...epilogue(), 0.5, 9, zeros([4, 2], 'u8')],
    outputs: [12],
  },
  {
    operation: 'gemmInt8Dynamic',
    args: () => [f32([4, 3], 1, 2, -3), ...int8Weight(), ...epilogue(), zeros([4, 2])],
    outputs: [8],
  },
  {
    operation: 'gemmQuantized',
    // 33 rows are two tiles, each of a block of 256 bytes of codes behind 192 of parameters.
    args: () => [
      f32([2, 6], 1, 2, 3),
      InputPrecision.int8,
      u8([128 + 2 * (192 + 256)], 1, 2, 3),
      33,
      6,
      4,
      8,
      false,
      f32([33], 1),
      Activation.relu,
      f32([2, 33], 0.5),
      zeros([2, 33]),
    ],
    outputs: [11],
  },
  {
    operation: 'packLowRank',
    args: () => [f32([2, 3], 1, -2), f32([3, 4], 1), zeros([32 * 4 + 32 * 3])],
    outputs: [2],
  },
  {
    operation: 'lowRankGemm',
    args: () => [f32([3, 4], 1, 2, -3), 2, 4, ...lowRank(4), ...lowRankEnd()],
    outputs: [8],
  },
  {
    operation: 'lowRankGemmPacked',
    args: () => [f32([3, 4], 1, 2, -3), f32([16 * 4], 1, -2), 2, 4, ...lowRank(4), ...lowRankEnd()],
    outputs: [9],
  },
  {
    operation: 'lowRankGemmQuantized',
    args: () => [
      f32([3, 4], 1, 2, -3),
      InputPrecision.int8,
      u8([128 + 192 + 256], 1, 2, 3),
      2,
      4,
      4,
      8,
      false,
      ...lowRank(4),
      ...lowRankEnd(),
    ],
    outputs: [13],
  },
  {
    operation: 'lowRankGemmInt8Dynamic',
    args: () => [f32([3, 3], 1, 2, -3), ...int8Weight(), ...lowRank(3), ...lowRankEnd()],
    outputs: [10],
  },
  {
    operation: 'csrPackedBytes',
    args: () => [...csr(i8([3], 1, 2, 3)), zeros([1], 'i64')],
    outputs: [4],
    anyColumns: [0],
  },
  {
    operation: 'packCsr',
    // A header of 64 bytes, a chunk of 32, a block of 24 and a group of 48 bytes, brought to 32, and two slots.
    args: () => [...csr(f32([3], 1, 2, 3)), zeros([64 + 32 + 96 + 2 * 96], 'u8')],
    outputs: [4],
    anyColumns: [0],
  },
  {
    operation: 'csrGemm',
    args: () => [
      f32([4, 3], 1, 2, 3, 4),
      ...packedCsr(() => f32([3], 1, 2, 3)),
      f32([2], 0.5),
      Activation.gelu,
      null,
      zeros([4, 2]),
    ],
    outputs: [7],
    anyColumns: [1],
  },
  {
    operation: 'csrGemmInt8',
    args: () => [u8([4, 3], 1, 2, 200), ...packedCsr(() => i8([3], 1, 2, 3)), ...int8Epilogue(), zeros([4, 2])],
    outputs: [11],
    anyColumns: [1],
  },
  // Two rows are one panel; five columns one chunk of a word of choices and eight values, each for 16 rows.
  {
    operation: 'nmGemm',
    args: () => [
      f32([3, 5], 1, 2, 3, 4),
      u8([(1 + 8) * 64], 0, 1, 2, 3),
      2,
      5,
      2,
      4,
      f32([2], 0.5),
      Activation.silu,
      f32([3, 2], 0.5),
      zeros([3, 2]),
    ],
    outputs: [9],
  },
  {
    operation: 'unpackNm',
    args: () => [u8([(1 + 8) * 64], 0, 1, 2, 3), 2, 5, 2, 4, i32([3], 1, 0, 1), zeros([3, 5])],
    outputs: [6],
  },
  { operation: 'packNm', args: () => [f32([2, 16], 1, 0, 0, 2), 2, 4, u8([(1 + 8) * 64])], outputs: [3] },
  {
    operation: 'nmGemmInt8',
    args: () => [u8([3, 5], 1, 2, 3, 4), 0.5, 3, ...int8Pattern(), ...scaled(), f32([3, 2], 0.5), zeros([3, 2])],
    outputs: [13],
  },
  {
    operation: 'nmGemmInt8Dynamic',
    args: () => [f32([3, 5], 1, 2, 3, 4), ...int8Pattern(), ...scaled(), f32([3, 2], 0.5), zeros([3, 2])],
    outputs: [11],
  },
  {
    operation: 'unpackNmInt8',
    args: () => [...int8Pattern(), i32([3], 1, 0, 1), zeros([3, 5], 'i8')],
    outputs: [7],
  },
  { operation: 'packNmInt8', args: () => [i8([2, 32], 1, 0, 0, 2), 2, 4, 8, u8([128 + 2 * 320])], outputs: [4] },
  { operation: 'nmMask', args: () => [f32([2, 5], 1, -3, 2), 2, 4, zeros([2, 5])], outputs: [3] },
  // One panel of 16 rows with blocks at columns 0 to 3 and 4.
  {
    operation: 'blockGemm',
    args: () => [
      f32([3, 5], 1, 2, 3, 4),
      u32([2], 0, 2),
      u32([2], 0, 1),
      f32([2 * 64], 1, 2, 3),
      2,
      5,
      16,
      4,
      f32([2], 0.5),
      Activation.relu,
      f32([3, 2], 0.5),
      zeros([3, 2]),
    ],
    outputs: [11],
  },
  {
    operation: 'blockGemmInt8',
    args: () => [u8([3, 5], 1, 2, 3, 4), 0.5, 3, ...int8Blocks(), f32([3, 2], 0.5), zeros([3, 2])],
    outputs: [15],
  },
  {
    operation: 'blockGemmInt8Dynamic',
    args: () => [f32([3, 5], 1, 2, 3, 4), ...int8Blocks(), f32([3, 2], 0.5), zeros([3, 2])],
    outputs: [13],
  },
  { operation: 'blockMask', args: () => [f32([2, 5], 1, -3, 2), 2, 2, 1, zeros([2, 5])], outputs: [4] },
  {
    operation: 'csrSetValues',
    args: () => [...packedCsr(() => u32([3], 3, 1, 2)), f32([3], 1, 2, 3), zeros([384], 'u8')],
    outputs: [4],
    anyColumns: [0],
  },
  {
    operation: 'csrSddmm',
    args: () => [f32([4, 2], 1, 2), f32([4, 3], 1, 2, 3), ...packedCsr(() => u32([3], 3, 1, 2)), zeros([3])],
    outputs: [5],
    anyColumns: [2],
  },
  {
    operation: 'svd',
    args: () => [f32([3, 2], 1, 2, 3, 4, 5, 7), zeros([3, 2]), zeros([2]), zeros([2, 2])],
    outputs: [1, 2, 3],
  },
  { operation: 'activate', args: () => [Activation.gelu, f32([2, 3], 1, -2), zeros([2, 3])], outputs: [2] },
  {
    operation: 'activateGradient',
    args: () => [Activation.tanh, f32([2, 3], 1, -2), f32([2, 3], 3), zeros([2, 3])],
    outputs: [3],
  },
  {
    operation: 'svdBatched',
    args: () => [f32([2, 3, 2], 1, 2, 3, 4, 5, 7), zeros([2, 3, 2]), zeros([2, 2]), zeros([2, 2, 2])],
    outputs: [1, 2, 3],
  },
  {
    operation: 'svdRandomized',
    args: () => [f32([3, 2], 1, 2, 3, 4, 5, 7), 7n, 2, 2, zeros([3, 1]), zeros([1]), zeros([1, 2])],
    outputs: [4, 5, 6],
  },
  { operation: 'scale', args: () => [f32([2, 3], 1, -2), 0.5, zeros([2, 3])], outputs: [2] },
  { operation: 'binary', args: () => [Binary.add, f32([2, 3], 1), f32([3], 1, 2, 3), zeros([2, 3])], outputs: [3] },
  { operation: 'reduce', args: () => [Reduce.max, f32([2, 3], 1, 5, 2), 0, zeros([3])], outputs: [3] },
  {
    operation: 'copyColumns',
    args: () => [f32([2, 3], 1, 2, 3, 4), 1, f32([2, 5], 9), 2, 2],
    outputs: [2],
    anyColumns: [0, 2],
  },
  { operation: 'softmax', args: () => [f32([2, 3], 1, 2), zeros([2, 3])], outputs: [1] },
  { operation: 'softmaxGradient', args: () => [f32([2, 3], 0.5, 0.2), f32([2, 3], 1, 2), zeros([2, 3])], outputs: [2] },
  { operation: 'logSoftmax', args: () => [f32([2, 3], 1, 2), zeros([2, 3])], outputs: [1] },
  { operation: 'logSoftmaxGradient', args: () => [f32([2, 3], -1), f32([2, 3], 1, 2), zeros([2, 3])], outputs: [2] },
  {
    operation: 'normalize',
    args: () => [f32([2, 3], 1, 2, 4), f32([3], 2, 1), f32([3], 0.5), 1e-5, true, zeros([2, 3])],
    outputs: [5],
  },
  {
    operation: 'normalizeGradient',
    args: () => [
      f32([2, 3], 1, 2, 4),
      f32([3], 2, 1),
      f32([3], 0.5),
      1e-5,
      true,
      f32([2, 3], 1, -1, 3),
      zeros([2, 3]),
      zeros([3]),
      zeros([3]),
    ],
    outputs: [6, 7, 8],
  },
  {
    operation: 'attention',
    args: () => [...attention(), zeros([2, 2, 6]), zeros([2, 2, 2])],
    outputs: [8, 9],
  },
  {
    operation: 'attentionGradient',
    args: () => [
      ...attention(),
      f32([2, 2, 6], 0.5),
      f32([2, 2, 2], 3),
      f32([2, 2, 6], 1, -1),
      zeros([2, 2, 4]),
      zeros([2, 3, 4]),
      zeros([2, 3, 6]),
    ],
    outputs: [11, 12, 13],
  },
  {
    operation: 'conv2d',
    args: () => [...convolution(), f32([6], 0.5), Activation.silu, zeros([2, 6, 3, 5])],
    outputs: [11],
  },
  {
    operation: 'conv2dGradient',
    args: () => [...convolution(), f32([2, 6, 3, 5], 1, -1), zeros([2, 4, 3, 5]), zeros([6, 2, 2, 3]), zeros([6])],
    outputs: [10, 11, 12],
  },
  { operation: 'pool2d', args: () => [...pooling(), zeros([2, 4, 2, 5])], outputs: [9] },
  {
    operation: 'pool2dGradient',
    args: () => [...pooling(), f32([2, 4, 2, 5], 1, -1), zeros([2, 4, 3, 5])],
    outputs: [10],
  },
  {
    operation: 'channelMoments',
    args: () => [f32([2, 4, 3, 5], 1, -1), zeros([4]), zeros([4])],
    outputs: [1, 2],
    anyColumns: [0],
  },
  { operation: 'batchNorm2d', args: () => [...batchNorm(), zeros([2, 4, 3, 5])], outputs: [6] },
  {
    operation: 'batchNorm2dGradient',
    args: () => [...batchNorm(), true, f32([2, 4, 3, 5], 2), zeros([2, 4, 3, 5]), zeros([4]), zeros([4])],
    outputs: [8, 9, 10],
  },
  {
    operation: 'crossEntropy',
    args: () => [f32([2, 3], 1, 2, 4), i32([2], 2, 0), zeros([1]), zeros([2, 3])],
    outputs: [2, 3],
  },
  {
    operation: 'distillation',
    args: () => [f32([2, 3], 1, 2, 4), f32([2, 3], 3, 1), 2, zeros([1]), zeros([2, 3])],
    outputs: [3, 4],
  },
  { operation: 'gather', args: () => [f32([4, 3], 1, 2, 3, 4), i32([2], 3, 0), zeros([2, 3])], outputs: [2] },
  {
    operation: 'gather',
    args: () => [tensor([1, 2, 3, 4], [2, 2], { dtype: 'bf16' }), i32([3], 1, 0), zeros([3, 2])],
    outputs: [2],
  },
  {
    operation: 'embeddingBag',
    args: () => [
      tensor([1, 2, 3, 4], [2, 2], { dtype: 'bf16' }),
      2,
      16,
      i32([3], 1, 0, 1),
      i32([2], 0, 2),
      f32([3], 1, 2, 3),
      false,
      BagMode.sum,
      zeros([2, 2]),
    ],
    outputs: [8],
  },
  { operation: 'scatterAdd', args: () => [f32([2, 3], 1, 2, 3), i32([2], 3, 3), f32([4, 3], 1)], outputs: [2] },
  {
    operation: 'embeddingBag',
    args: () => [
      // A code of 4 bits for each of 3 columns, then 0.5 and 1 in f32.
      u8([2, 10], 0x21, 3, 0, 0, 0, 0x3f, 0, 0, 0x80, 0x3f),
      3,
      4,
      i32([3], 1, 0, 1),
      i32([2], 0, 2),
      f32([3], 1, 2, 3),
      false,
      BagMode.sum,
      zeros([2, 3]),
    ],
    outputs: [8],
  },
  {
    operation: 'embeddingBagGradient',
    args: () => [
      f32([4, 3], 1, 2, 3),
      i32([3], 3, 0, 3),
      i32([2], 0, 2),
      f32([3], 1, 2, 3),
      false,
      BagMode.sum,
      f32([2, 3], 1, 2, 3, 4),
      i32([3], 9),
      f32([3, 3], 9),
      i32([1], 9),
    ],
    outputs: [7, 8, 9],
  },
  {
    operation: 'updateRows',
    args: () => [
      f32([4, 3], 1, 2, 3),
      i32([2], 1, 3),
      f32([2, 3], 0.5, -1),
      f32([4, 3], 0.1),
      f32([4, 3], 0.2),
      RowRule.adam,
      0.1,
      0.9,
      0.999,
      1e-8,
      2,
    ],
    outputs: [0, 3, 4],
  },
  {
    operation: 'productEncode',
    args: () => [f32([3, 4], 1, -2), f32([2, 16, 2], 1, -2, 3), zeros([3, 2], 'u4')],
    outputs: [2],
  },
  {
    operation: 'productDecode',
    args: () => [zeros([3, 2], 'u4'), f32([2, 16, 2], 1, -2), i32([2], 1, 2), zeros([2, 4])],
    outputs: [3],
  },
  {
    operation: 'productBag',
    args: () => [
      u8([3, 2], 7, 200),
      f32([2, 256, 2], 1, -2),
      i32([2], 1, 2),
      i32([2], 0, 1),
      f32([2], 1, 2),
      false,
      BagMode.sum,
      zeros([2, 4]),
    ],
    outputs: [7],
  },
  { operation: 'packProductSearch', args: () => [zeros([3, 2], 'u4'), u8([64])], outputs: [1] },
  {
    operation: 'productSearch',
    args: () => [f32([2, 4], 1, -2), f32([2, 16, 2], 1, -2), u8([64], 0x21), 3, true, i32([2, 2], 0), zeros([2, 2])],
    outputs: [5, 6],
  },
  {
    operation: 'packSearch',
    // A tile: 32 terms, then a step for each column.
    args: () => [f32([2, 3], 1, -2), true, u8([4 * 128])],
    outputs: [2],
  },
  {
    operation: 'search',
    args: () => [
      i8([2, 3], 1, 2, 3),
      u8([2 * 128], 1, 2, 3, 4, 5),
      4,
      3,
      SearchFormat.int8,
      false,
      i32([2, 2], 0),
      i32([2, 2], 0),
    ],
    outputs: [6, 7],
  },
  {
    operation: 'fuseRows',
    args: () => [i8([2, 3], 5, -3), ...affine(), 8, zeros([2, 11], 'u8')],
    outputs: [8],
  },
  { operation: 'quantize', args: () => [f32([2, 3], 1, -1, 0.3), ...affine(), zeros([2, 3], 'i8')], outputs: [7] },
  {
    operation: 'packQuantized',
    args: () => [i8([2, 3], 5, -3), ...affine(), u8([128 + 192 + 512])],
    outputs: [7],
  },
  { operation: 'codebookEncode', args: () => [f32([2, 3], 1, -1, 9), ...codebook(), u2([2, 3])], outputs: [4] },
  {
    operation: 'codebookDecode',
    args: () => [u2([2, 3]), ...codebook(), i32([2], 1, 1), zeros([2, 3])],
    outputs: [5],
  },
  { operation: 'packCodebook', args: () => [u2([2, 3]), ...codebook(), u8([128 + 192 + 128])], outputs: [4] },
  {
    operation: 'dequantize',
    args: () => [i8([2, 3], 5, -3), ...affine(), i32([2], 1, 1), zeros([2, 3])],
    outputs: [8],
  },
  { operation: 'fakeQuantize', args: () => [f32([2, 3], 1, -1, 9), ...affine(), zeros([2, 3])], outputs: [7] },
  {
    operation: 'fakeQuantizeGradient',
    args: () => [f32([2, 3], 1, -1, 9), ...affine(), f32([2, 3], 1), zeros([2, 3])],
    outputs: [8],
  },
  {
    operation: 'gptq',
    args: () => [
      f32([2, 3], 1, -1, 0.3),
      f32([3, 3], 2, 1, 1, 1, 2, 1, 1, 1, 2),
      0.01,
      true,
      CodeScales.given,
      ...affine(),
      zeros([2, 3], 'i8'),
    ],
    outputs: [5, 6, 11],
  },
  {
    operation: 'sparseGpt',
    args: () => [f32([2, 3], 1, -1, 0.3), f32([3, 3], 2, 1, 1, 1, 2, 1, 1, 1, 2), 0.01, 0.5, 1, 2, zeros([2, 3])],
    outputs: [6],
  },
  {
    operation: 'sparseGptQuantized',
    args: () => [
      f32([2, 3], 1, -1, 0.3),
      f32([3, 3], 2, 1, 1, 1, 2, 1, 1, 1, 2),
      0.01,
      0.5,
      0,
      0,
      ...affine(),
      zeros([2, 3]),
    ],
    outputs: [12],
  },
  {
    operation: 'lsqGradient',
    args: () => [f32([2, 3], 1, -1, 9), ...affine(), f32([2, 3], 1), zeros([2, 1])],
    outputs: [8],
  },
  {
    operation: 'kmeans',
    args: () => [f32([4, 2], 1, 2, 9), f32([4], 1, 2), 7n, 3, zeros([2, 2]), zeros([4], 'i32')],
    outputs: [4, 5],
  },
  {
    operation: 'clipRange',
    args: () => [f32([2, 4], 3, 1, 2), 2, 15, false, zeros([2, 2]), zeros([2, 2])],
    outputs: [4, 5],
  },
  { operation: 'minMax', args: () => [f32([2, 4], 3, 1, 2), 2, zeros([2, 2]), zeros([2, 2])], outputs: [2, 3] },
  { operation: 'histogramAdd', args: () => [f32([2, 3], 3, -1, 2), ...histogram()], outputs: [1, 2, 3], anyShape: [0] },
  { operation: 'histogramClip', args: () => [...histogram(), 255, zeros([2])], outputs: [4] },
  { operation: 'histogramPercentile', args: () => [...histogram(), 99.9, zeros([2])], outputs: [4], anyNumber: [3] },
  { operation: 'magnitudeThreshold', args: () => [f32([2, 3], 3, -1, 2), 4, zeros([1])], outputs: [2], anyShape: [0] },
  { operation: 'magnitudeMask', args: () => [f32([2, 3], 3, -1, 2), 1.5, zeros([2, 3])], outputs: [2] },
  {
    operation: 'sgdStep',
    args: () => [[f32([2, 3], 1), f32([4], 2)], [f32([2, 3], 0.5), f32([4], 1)], pair(), 0.1, 0.9, 0.01, true, 0.5],
    outputs: [0, 2],
  },
  { operation: 'adamStep', args: () => [...moments(), true, 1, 0.5], outputs: [0, 2, 3] },
  { operation: 'lambStep', args: () => [...moments(), 1, 0.5], outputs: [0, 2, 3] },
  {
    operation: 'rmsStep',
    args: () => [[f32([2, 3], 1), f32([4], 2)], [f32([2, 3], 0.5), f32([4], 1)], pair(), 0.1, 0.9, 1e-8, 0.01, 0.5],
    outputs: [0, 2],
  },
];
