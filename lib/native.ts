/// <reference path="./node-gyp-build.d.ts" />
import path from 'node:path';
import load from 'node-gyp-build';
import { type ErrorCode, TersorError } from './errors';

/*
 * The only file that knows the native addon: it finds it, types it and has it throw TersorErrors.
 * Functions mirror the table in native/backend/backend.h one to one; the contracts are written there. A tensor that a
 * queued operation reads may be read meanwhile, but not written; one that it writes may not be used at all.
 */

declare const nativeTensor: unique symbol;

/** Opaque handle of native memory with a dtype and a shape. Freed by `release`; the finalizer is the backstop. */
export interface NativeTensor {
  readonly [nativeTensor]: true;
}

declare const cancelToken: unique symbol;

/** Opaque flag that a queued operation polls. */
export interface CancelToken {
  readonly [cancelToken]: true;
}

type T = NativeTensor;
type Optional = NativeTensor | null;

/** Order of `tersor_dtype` in native/core/dtype.h. */
export const DTYPES = ['f32', 'f16', 'bf16', 'i8', 'u8', 'i32', 'u32', 'i64', 'u1', 'u2', 'u3', 'u4'] as const;
/** Element type of a tensor; `u1`..`u4` are bit-packed rows. */
export type DType = (typeof DTYPES)[number];

/** Order of `tersor_activation`. */
export const enum Activation {
  identity = 0,
  relu = 1,
  gelu = 2,
  silu = 3,
  geluTanh = 4,
  tanh = 5,
  sigmoid = 6,
}
/** Order of `tersor_input_precision`. */
export const enum InputPrecision {
  f32 = 0,
  int16 = 1,
  int8 = 2,
}
/** Order of `tersor_binary_op`. */
export const enum Binary {
  add = 0,
  subtract = 1,
  multiply = 2,
}
/** Order of `tersor_reduce_op`. */
export const enum Reduce {
  sum = 0,
  min = 1,
  max = 2,
}

/** Order of `tersor_code_scales`. */
export const enum CodeScales {
  given = 0,
  symmetric = 1,
  asymmetric = 2,
}
/** Order of `tersor_bag_mode`. */
export const enum BagMode {
  sum = 0,
  mean = 1,
  max = 2,
}

/** Order of `tersor_pool_mode`. */
export const enum PoolMode {
  max = 0,
  mean = 1,
}

/** Order of `tersor_row_rule`. */
export const enum RowRule {
  sgd = 0,
  adagrad = 1,
  rowwiseAdagrad = 2,
  adam = 3,
}

/** Order of `tersor_search_format`. */
export const enum SearchFormat {
  f32 = 0,
  int8 = 1,
  int4 = 2,
  binary = 3,
}

/** One entry of {@link NativeAddon.kernels}. */
export interface KernelInfo {
  operation: string;
  name: string;
  isa: string;
  /** True for the kernel in use. */
  selected: boolean;
  /** Why it is not in use; empty when selected. */
  reason: string;
}

/** One entry of {@link NativeAddon.devices}. */
export interface DeviceInfo {
  name: string;
  available: boolean;
  /** Why it is not available; empty otherwise. */
  reason: string;
  /** Best ISA level in use, one of TERSOR_ISA's names such as 'avx2' or 'neon'; empty when the device is not available. */
  isa: string;
  /** Threads it uses, the caller's included; 0 when the device is not available. */
  threads: number;
}

/** Native memory in use, see {@link NativeAddon.memory}. */
export interface MemoryUse {
  /** Allocations. */
  buffers: number;
  /** Their bytes. */
  bytes: number;
  /** Handles not released; several may share one buffer. */
  tensors: number;
}

/** `tersor_affine`, in argument order: scales, zeroPoints, biases, codeMin, codeMax, groupSize. */
type Affine = [scales: T, zeroPoints: Optional, biases: Optional, codeMin: number, codeMax: number, groupSize: number];
/** `tersor_codebook`, in argument order. */
type Codebook = [values: T, scales: T, groupSize: number];
/** `tersor_histogram`, in argument order. */
export type HistogramArguments = [counts: T, grid: T, range: T];
/** `tersor_csr`: row offsets, columns, values, columns of the weight (rows follow from the offsets). */
type Csr = [rowOffsets: T, columns: T, values: T, cols: number];
/** `tersor_packed_csr`, in argument order. */
type PackedCsr = [packed: T, rows: number, cols: number];
/** `tersor_packed`, in argument order. */
type PackedDense = [panels: T, rows: number, cols: number];
/** `tersor_normalization`, in argument order. */
type Normalization = [weight: Optional, bias: Optional, epsilon: number, center: boolean];
/** `tersor_convolution`, in argument order. */
type Convolution = [
  strideDown: number,
  strideAcross: number,
  paddingDown: number,
  paddingAcross: number,
  dilationDown: number,
  dilationAcross: number,
  groups: number,
];

/** `tersor_batch_norm`, in argument order. */
export type BatchNorm = [mean: T, variance: T, weight: Optional, bias: Optional, epsilon: number];

/** What optimizers with two moments of each element work on, one of each per parameter. */
export type MomentLists = [
  parameters: readonly T[],
  gradients: readonly T[],
  firstMoments: readonly T[],
  secondMoments: readonly T[],
];

/** What decides the size of their steps. */
export type MomentRates = [learningRate: number, beta1: number, beta2: number, epsilon: number, weightDecay: number];

/** `tersor_pooling`, in argument order. */
export type Pooling = [
  mode: PoolMode,
  kernelDown: number,
  kernelAcross: number,
  strideDown: number,
  strideAcross: number,
  paddingDown: number,
  paddingAcross: number,
  countPadding: boolean,
];
/** Inputs and `tersor_attention`, in argument order. */
type Attention = [q: T, k: T, v: T, heads: number, keyHeads: number, scale: number, causal: boolean, mask: Optional];
/** `tersor_quantized`, in argument order. */
type PackedWeight = [packed: T, rows: number, cols: number, bits: number, groupSize: number, hasOffsets: boolean];
/** Of `tersor_low_rank` what the weight that it is added to does not say, in argument order. */
export type LowRankArguments = [packed: T, rank: number];
/** `tersor_bags`, in argument order. */
export type BagArguments = [ids: T, offsets: T, weights: Optional, includeLastOffset: boolean, mode: BagMode];
/** `tersor_int8_weight` and its scales, in argument order. */
type Int8Weight = [packed: T, rows: number, cols: number, scales: T];
/** `tersor_nm`, in argument order. */
type NmWeight = [packed: T, rows: number, cols: number, keep: number, group: number];
/** Of integers: the bits that one takes. */
type IntegerNmWeight = [...NmWeight, bits: IntegerBits];
/** Of integers that lie in memory as kernels read them: i8, or -8..7 in half as much. */
export type IntegerBits = 4 | 8;
/** `tersor_blocks`, in argument order. */
type Blocks = [
  panelOffsets: T,
  columns: T,
  values: T,
  rows: number,
  cols: number,
  blockRows: number,
  blockCols: number,
];
/** `tersor_int8_epilogue`, in argument order. */
export type Int8Epilogue = [inputScale: number, inputZeroPoint: number, scales: T, rowSums: T, ...after: Epilogue];
/** `tersor_epilogue`, in argument order. */
export type Epilogue = [bias: Optional, activation: Activation, residual: Optional];

/** The addon's synchronous functions. Outputs come last and are written in place. */
export interface NativeOperations {
  fill(y: T, value: number): void;
  cast(x: T, y: T): void;
  copy(from: T, to: T): void;
  randomUniform(seed: bigint, offset: bigint, low: number, high: number, y: T): void;
  randomNormal(seed: bigint, offset: bigint, mean: number, deviation: number, y: T): void;
  gemm(a: T, transposeA: boolean, b: T, transposeB: boolean, ...rest: [...Epilogue, accumulate: boolean, c: T]): void;
  packGemm(w: T, panels: T): void;
  gemmPacked(x: T, ...rest: [...PackedDense, ...Epilogue, y: T]): void;
  gram(x: T, accumulate: boolean, mirror: boolean, h: T): void;
  packInt8(w: T, packed: T): void;
  /** The output's scale and zero point count when y is u8. */
  gemmInt8(
    x: T,
    inputScale: number,
    inputZeroPoint: number,
    ...rest: [...Int8Weight, ...Epilogue, outputScale: number, outputZeroPoint: number, y: T]
  ): void;
  gemmInt8Dynamic(x: T, ...rest: [...Int8Weight, ...Epilogue, y: T]): void;
  gemmQuantized(x: T, precision: InputPrecision, ...rest: [...PackedWeight, ...Epilogue, y: T]): void;
  packLowRank(left: T, right: T, packed: T): void;
  /** `low_rank_gemm` without an addend. */
  lowRankGemm(x: T, rows: number, cols: number, ...rest: [...LowRankArguments, ...Epilogue, y: T]): void;
  /** `low_rank_gemm` with a dense addend. */
  lowRankGemmPacked(x: T, ...rest: [...PackedDense, ...LowRankArguments, ...Epilogue, y: T]): void;
  /** `low_rank_gemm` with a quantized addend. */
  lowRankGemmQuantized(
    x: T,
    precision: InputPrecision,
    ...rest: [...PackedWeight, ...LowRankArguments, ...Epilogue, y: T]
  ): void;
  /** `low_rank_gemm` with an int8 addend. */
  lowRankGemmInt8Dynamic(x: T, ...rest: [...Int8Weight, ...LowRankArguments, ...Epilogue, y: T]): void;
  csrPackedBytes(...args: [...Csr, bytes: T]): void;
  packCsr(...args: [...Csr, packed: T]): void;
  csrGemm(x: T, ...rest: [...PackedCsr, ...Epilogue, y: T]): void;
  csrGemmInt8(x: T, ...rest: [...PackedCsr, ...Int8Epilogue, y: T]): void;
  csrSetValues(...args: [...pattern: PackedCsr, values: T, packed: T]): void;
  csrSddmm(dy: T, x: T, ...rest: [...pattern: PackedCsr, values: T]): void;
  packNm(w: T, keep: number, group: number, packed: T): void;
  unpackNm(...args: [...NmWeight, ids: Optional, y: T]): void;
  packNmInt8(w: T, keep: number, group: number, bits: IntegerBits, packed: T): void;
  unpackNmInt8(...args: [...IntegerNmWeight, ids: Optional, y: T]): void;
  nmGemmInt8(
    x: T,
    inputScale: number,
    inputZeroPoint: number,
    ...rest: [...IntegerNmWeight, scales: T, ...Epilogue, y: T]
  ): void;
  /** `nm_gemm_int8` without `input`. */
  nmGemmInt8Dynamic(x: T, ...rest: [...IntegerNmWeight, scales: T, ...Epilogue, y: T]): void;
  nmGemm(x: T, ...rest: [...NmWeight, ...Epilogue, y: T]): void;
  blockGemm(x: T, ...rest: [...Blocks, ...Epilogue, y: T]): void;
  blockGemmInt8(
    x: T,
    inputScale: number,
    inputZeroPoint: number,
    ...rest: [...Blocks, scales: T, rowSums: T, ...Epilogue, y: T]
  ): void;
  /** `block_gemm_int8` without `input`. */
  blockGemmInt8Dynamic(x: T, ...rest: [...Blocks, scales: T, rowSums: T, ...Epilogue, y: T]): void;
  svd(a: T, u: T, s: T, vt: T): void;
  activate(activation: Activation, x: T, y: T): void;
  activateGradient(activation: Activation, x: T, dy: T, dx: T): void;
  svdBatched(a: T, u: T, s: T, vt: T): void;
  svdRandomized(a: T, seed: bigint, oversampling: number, power: number, u: T, s: T, vt: T): void;
  scale(x: T, factor: number, y: T): void;
  binary(op: Binary, a: T, b: T, y: T): void;
  reduce(op: Reduce, x: T, axis: -1 | 0 | 1, y: T): void;
  copyColumns(x: T, xBegin: number, y: T, yBegin: number, count: number): void;
  softmax(x: T, y: T): void;
  softmaxGradient(y: T, dy: T, dx: T): void;
  logSoftmax(x: T, y: T): void;
  logSoftmaxGradient(y: T, dy: T, dx: T): void;
  normalize(x: T, ...rest: [...Normalization, y: T]): void;
  normalizeGradient(
    x: T,
    ...rest: [...Normalization, dy: T, dx: Optional, weightGradient: Optional, biasGradient: Optional]
  ): void;
  attention(...args: [...Attention, y: T, logSums: Optional]): void;
  attentionGradient(...args: [...Attention, y: T, logSums: T, dy: T, dq: T, dk: T, dv: T]): void;
  conv2d(x: T, w: T, ...rest: [...Convolution, bias: Optional, activation: Activation, y: T]): void;
  conv2dGradient(x: T, w: T, ...rest: [...Convolution, dy: T, dx: Optional, dw: Optional, dbias: Optional]): void;
  pool2d(x: T, ...rest: [...Pooling, y: T]): void;
  pool2dGradient(x: T, ...rest: [...Pooling, dy: T, dx: T]): void;
  channelMoments(x: T, mean: T, variance: T): void;
  batchNorm2d(x: T, ...rest: [...BatchNorm, y: T]): void;
  /** `ofBatch`: mean and variance are x's own. */
  batchNorm2dGradient(
    x: T,
    ...rest: [...BatchNorm, ofBatch: boolean, dy: T, dx: Optional, dweight: Optional, dbias: Optional]
  ): void;
  crossEntropy(logits: T, labels: T, loss: T, gradient: Optional): void;
  distillation(student: T, teacher: T, temperature: number, loss: T, gradient: Optional): void;
  gather(table: T, ids: T, y: T): void;
  scatterAdd(rows: T, ids: T, table: T): void;
  embeddingBag(rows: T, columns: number, bits: number, ...rest: [...BagArguments, y: T]): void;
  embeddingBagGradient(table: T, ...rest: [...BagArguments, bagGradient: T, unique: T, rows: T, uniqueCount: T]): void;
  updateRows(
    table: T,
    ids: T,
    gradients: T,
    firstState: Optional,
    secondState: Optional,
    rule: RowRule,
    learningRate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    step: number,
  ): void;
  productEncode(x: T, centroids: T, codes: T): void;
  productDecode(codes: T, centroids: T, ids: Optional, y: T): void;
  productBag(codes: T, centroids: T, ...rest: [...BagArguments, y: T]): void;
  packProductSearch(codes: T, packed: T): void;
  productSearch(queries: T, centroids: T, packed: T, rows: number, distances: boolean, ids: T, scores: T): void;
  packSearch(vectors: T, distances: boolean, packed: T): void;
  search(
    queries: T,
    packed: T,
    rows: number,
    columns: number,
    format: SearchFormat,
    distances: boolean,
    ids: T,
    scores: T,
  ): void;
  quantize(x: T, ...rest: [...Affine, codes: T]): void;
  fuseRows(codes: T, ...rest: [...Affine, bits: number, rows: T]): void;
  dequantize(codes: T, ...rest: [...Affine, ids: Optional, y: T]): void;
  packQuantized(codes: T, ...rest: [...Affine, packed: T]): void;
  codebookEncode(x: T, ...rest: [...Codebook, codes: T]): void;
  codebookDecode(codes: T, ...rest: [...Codebook, ids: Optional, y: T]): void;
  packCodebook(codes: T, ...rest: [...Codebook, packed: T]): void;
  fakeQuantize(x: T, ...rest: [...Affine, y: T]): void;
  fakeQuantizeGradient(x: T, ...rest: [...Affine, dy: T, dx: T]): void;
  gptq(
    w: T,
    hessian: T,
    damping: number,
    activationOrder: boolean,
    scalesFrom: CodeScales,
    ...rest: [...Affine, codes: T]
  ): void;
  sparseGpt(w: T, hessian: T, damping: number, sparsity: number, keep: number, of: number, y: T): void;
  /** `sparse_gpt` with an affine. */
  sparseGptQuantized(
    w: T,
    hessian: T,
    damping: number,
    sparsity: number,
    keep: number,
    of: number,
    ...rest: [...Affine, y: T]
  ): void;
  lsqGradient(x: T, ...rest: [...Affine, dy: T, dscales: T]): void;
  kmeans(x: T, weights: Optional, seed: bigint, iterations: number, centroids: T, assignments: T): void;
  clipRange(x: T, groupSize: number, levels: number, symmetric: boolean, minimum: T, maximum: T): void;
  minMax(x: T, groupSize: number, minimum: T, maximum: T): void;
  histogramAdd(x: T, ...histogram: HistogramArguments): void;
  histogramClip(...args: [...HistogramArguments, levels: number, clipped: T]): void;
  histogramPercentile(...args: [...HistogramArguments, percentile: number, clipped: T]): void;
  magnitudeThreshold(x: T, count: number, threshold: T): void;
  magnitudeMask(x: T, threshold: number, mask: T): void;
  nmMask(x: T, keep: number, group: number, mask: T): void;
  blockMask(x: T, blockRows: number, blockCols: number, keep: number, mask: T): void;
  /** `velocities` may be empty when momentum is 0; maxNorm 0 leaves gradients as they are. */
  sgdStep(
    parameters: readonly T[],
    gradients: readonly T[],
    velocities: readonly T[],
    learningRate: number,
    momentum: number,
    weightDecay: number,
    nesterov: boolean,
    maxNorm: number,
  ): void;
  adamStep(...rest: [...MomentLists, ...MomentRates, decoupledDecay: boolean, step: number, maxNorm: number]): void;
  lambStep(...rest: [...MomentLists, ...MomentRates, step: number, maxNorm: number]): void;
  /** A decay of 1 sums the squares up (Adagrad), a smaller one takes their moving mean (RMSprop). */
  rmsStep(
    parameters: readonly T[],
    gradients: readonly T[],
    squares: readonly T[],
    learningRate: number,
    decay: number,
    epsilon: number,
    weightDecay: number,
    maxNorm: number,
  ): void;
}

/** The whole addon. */
export interface NativeAddon extends NativeOperations {
  /** Uninitialised tensor on `device`, of at most 4 dimensions. */
  create(dtype: number, device: string, ...shape: number[]): T;
  /** Another shape over the same memory. */
  reshape(x: T, ...shape: number[]): T;
  /** Frees the handle's share of the memory now; later uses throw ERR_TERSOR_DISPOSED. Releasing again does nothing. */
  release(x: T): void;
  /** Copies bytes in; `source.byteLength` must equal the tensor's bytes. */
  write(x: T, source: ArrayBufferView): void;
  /** Copies bytes out; `target.byteLength` must equal the tensor's bytes. */
  read(x: T, target: ArrayBufferView): void;
  /** What this JavaScript thread's handles and jobs keep alive: buffers (shared memory counted once), bytes, tensors. */
  memory(): MemoryUse;
  /** Queues an operation on Tersor's own threads; arguments are held until it settles. Throws at once for wrong arguments. */
  run<K extends keyof NativeOperations>(
    operation: K,
    args: Readonly<Parameters<NativeOperations[K]>>,
    cancel: CancelToken,
  ): Promise<void>;
  createCancelToken(): CancelToken;
  cancel(token: CancelToken): void;
  /** Elements of what `packGemm` writes on `device` of a weight of this dtype, f32 or bf16. */
  packedElements(rows: number, cols: number, dtype: number, device: string): number;
  /** Elements of what `packLowRank` writes on `device`. */
  lowRankElements(rows: number, cols: number, rank: number, device: string): number;
  /** Bytes of what `packQuantized` writes on `device`. */
  quantizedBytes(
    rows: number,
    cols: number,
    bits: number,
    groupSize: number,
    hasOffsets: boolean,
    device: string,
  ): number;
  /** Bytes of what `packInt8` writes on `device`. */
  int8Bytes(rows: number, cols: number, device: string): number;
  /** Bytes of what `packNm` writes on `device`. */
  nmBytes(rows: number, cols: number, keep: number, group: number, device: string): number;
  /** Bytes of what `packNmInt8` writes on `device`. */
  nmInt8Bytes(rows: number, cols: number, keep: number, group: number, bits: IntegerBits, device: string): number;
  /** Bytes of what `packSearch` writes on `device`. */
  searchBytes(rows: number, columns: number, format: SearchFormat, device: string): number;
  /** Bytes of what `packProductSearch` writes on `device`. */
  productSearchBytes(rows: number, subspaces: number, bits: number, device: string): number;
  threads(): number;
  setThreads(count: number): void;
  kernels(): KernelInfo[];
  devices(): DeviceInfo[];
  versions(): { addon: string; abi: number; compiler: string; eigen: string };
  /** Sets the class of the errors thrown to this JavaScript thread; it is constructed with a code and a message. */
  useErrorClass(errorClass: new (code: ErrorCode, message: string) => Error): void;
}

/** The addon of this installation. */
export const native: NativeAddon = loadAddon(path.join(__dirname, '..'));

/**
 * Loads the addon that node-gyp-build finds under `root`: build/Release, then prebuilds/<platform>-<arch>.
 *
 * @throws ERR_TERSOR_ADDON when there is none or it does not load, with the command that makes one;
 *   ERR_TERSOR_INVALID_ARGUMENT for a TERSOR_ISA or TERSOR_THREADS that cannot be honoured
 */
export function loadAddon(root: string): NativeAddon {
  let addon: NativeAddon;
  try {
    addon = load(root) as NativeAddon;
  } catch (cause) {
    throw explain(cause);
  }
  addon.useErrorClass(TersorError);
  return addon;
}

function explain(cause: unknown): TersorError {
  const message = cause instanceof Error ? cause.message.trim() : String(cause);
  if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_TERSOR_INVALID_ARGUMENT') {
    return new TersorError(cause.code, message);
  }
  return new TersorError(
    'ERR_TERSOR_ADDON',
    `expected a native addon for ${process.platform}-${process.arch}, got: ${message}\n` +
      'To make one, type: npm rebuild tersor (in a checkout of Tersor: npm run build)',
    { cause },
  );
}
