import { TersorError } from '../errors';
import { native } from '../native';
import { type Affine, affineArguments, type DType, empty, full, type Tensor, tensor, tidy, zeros } from '../tensor';
import { describeIssue, schemeSchema } from './descriptor';
import { SMALLEST_NORMAL } from './f32';
import { assertMatrix } from './weight';

/** Which codes a weight is rounded to. */
export interface QuantizationScheme {
  /** Bits per code: 1 to 4, or 8. One bit is sign(w) times mean |w| (XNOR-Net, Rastegari et al. 2016). */
  readonly bits: 1 | 2 | 3 | 4 | 8;
  /**
   * Symmetric codes have a fixed zero; asymmetric ones cover [min, max]. One bit is always symmetric. The others are numbers of a codebook's
   * values times the group's largest magnitude: 'nf4' (4 bits) of the NormalFloat's sixteen, 'kmeans' (2 to 4 bits) of values learned from
   * the weight.
   */
  readonly scheme: 'symmetric' | 'asymmetric' | 'nf4' | 'kmeans';
  /**
   * What shares a scale: the tensor, an output channel, `groupSize` consecutive inputs of a channel, or a row of an embedding
   * table. A row's asymmetric codes start at its minimum, kept as a float bias (FBGEMM's row-wise layout), not at a rounded zero point.
   */
  readonly granularity: 'tensor' | 'channel' | 'group' | 'row';
  /** Columns per group; only with granularity 'group'. */
  readonly groupSize?: number | undefined;
}

/**
 * Which range of a weight the codes cover. 'min-max': all of it. 'mse': the share of it with the least sum of squared errors, which gives
 * up outliers for finer steps; a sign, a row with a float offset and a codebook keep their own rule.
 */
export type WeightRange = 'min-max' | 'mse';

/** Codes of a scheme: element type and range. */
export interface CodeRange {
  readonly dtype: DType;
  readonly min: number;
  readonly max: number;
  /** Zero point shared by every group, when the scheme fixes it. */
  readonly zeroPoint: number | null;
}

/** Whether codes are numbers of a codebook's values. */
export function hasCodebook({ scheme }: QuantizationScheme): boolean {
  return scheme === 'nf4' || scheme === 'kmeans';
}

/**
 * Symmetric 8 bit uses ±127 and s = absmax / 127, as ONNX and the integer kernels expect. Fewer bits use all 2^b codes with
 * s = absmax / (2^b − 1) · 2, as GPTQ and compressed-tensors do: giving up one code of sixteen costs 7 % more error than clipping half a step.
 */
export function codeRange(scheme: QuantizationScheme): CodeRange {
  const { bits } = scheme;
  if (bits === 8 && scheme.scheme === 'symmetric') return { dtype: 'i8', min: -127, max: 127, zeroPoint: 0 };
  const dtype: DType = bits === 8 ? 'u8' : `u${bits}`;
  const fixed = scheme.scheme === 'symmetric' && bits > 1 ? 2 ** (bits - 1) : null;
  return { dtype, min: 0, max: 2 ** bits - 1, zeroPoint: fixed };
}

/** @throws ERR_TERSOR_INVALID_ARGUMENT for a scheme that is none; ERR_TERSOR_SHAPE for a weight that has no rows and columns to round */
export function assertScheme(scheme: QuantizationScheme, shape: readonly number[]): void {
  const { error } = schemeSchema.safeParse(scheme);
  if (error !== undefined) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected a quantization scheme, got ${JSON.stringify(scheme)} (${describeIssue(error)})`,
    );
  }
  assertMatrix(shape, 'a weight to quantize');
}

/**
 * Checks that codes minus their zero point are int8 numbers with at most one scale per row: what the integer kernels take.
 *
 * @param user what needs such a scheme, for the message
 * @throws ERR_TERSOR_UNSUPPORTED
 */
export function assertIntegerScheme(
  scheme: QuantizationScheme | null,
  user: string,
): asserts scheme is QuantizationScheme {
  if (scheme?.scheme === 'symmetric' && scheme.bits > 1 && scheme.granularity !== 'group') return;
  const got = scheme === null ? 'f32' : `${hasCodebook(scheme) ? '' : `${scheme.scheme} `}${describeScheme(scheme)}`;
  throw new TersorError(
    'ERR_TERSOR_UNSUPPORTED',
    `expected symmetric codes of 2 bits or more, one scale per tensor, channel or row, for ${user}, got ${got}`,
  );
}

/** The longest sum of uint8 by int8 products that the kernels add in 32 bits. */
const LONGEST_INTEGER_SUM = 65_793;

/**
 * Checks that the integer kernels can multiply a weight with quantized inputs.
 *
 * @throws ERR_TERSOR_UNSUPPORTED
 */
export function assertIntegerProduct(
  scheme: QuantizationScheme | null,
  shape: readonly number[],
): asserts scheme is QuantizationScheme {
  assertIntegerScheme(scheme, 'a weight with quantized inputs');
  const columns = shape[1] ?? 0;
  if (columns <= LONGEST_INTEGER_SUM) return;
  throw new TersorError(
    'ERR_TERSOR_UNSUPPORTED',
    `expected at most ${LONGEST_INTEGER_SUM} columns, whose products fit 32 bits, for a weight with quantized inputs, got ${columns}`,
  );
}

/** Short text for tables: "int4 in groups of 32". */
export function describeScheme({ bits, scheme, granularity, groupSize }: QuantizationScheme): string {
  const codes = scheme === 'nf4' ? 'nf4' : scheme === 'kmeans' ? `codebook of ${2 ** bits}` : `int${bits}`;
  return `${codes} ${granularity === 'group' ? `in groups of ${groupSize}` : `per ${granularity}`}`;
}

/** Shape [rows or 1, groups] of a scheme's parameters. */
export function parameterShape(scheme: QuantizationScheme, rows: number, columns: number): [number, number] {
  return [scheme.granularity === 'tensor' ? 1 : rows, Math.ceil(columns / groupSizeOf(scheme, columns))];
}

/** Columns that share a scale. */
export function groupSizeOf(scheme: QuantizationScheme, columns: number): number {
  return scheme.granularity === 'group' ? (scheme.groupSize ?? columns) : Math.max(columns, 1);
}

/**
 * Codes of `w` under a scheme, rounded to nearest.
 *
 * @param w f32 [rows, columns]; stays the caller's
 * @returns tensors that are the caller's
 * @throws as {@link affineFor}
 */
export function roundMatrix(
  w: Tensor,
  scheme: QuantizationScheme,
  range: WeightRange,
): { codes: Tensor; affine: Affine } {
  const affine = affineFor(w, scheme, range);
  const codes = empty(w.shape, codeRange(scheme).dtype);
  native.quantize(w.handle, ...affineArguments(affine), codes.handle);
  return { codes, affine };
}

/**
 * Scales and zero points for `w` under a scheme; the range contains 0 except for rows with a bias.
 *
 * @param w f32 [rows, columns]
 * @param range see {@link WeightRange}
 * @returns of a scheme with a codebook, the scales alone
 * @throws ERR_TERSOR_NOT_FINITE when w holds NaN or infinity; ERR_TERSOR_OUT_OF_RANGE for values so large that the outermost code would
 *   stand for infinity
 */
export function affineFor(w: Tensor, scheme: QuantizationScheme, range: WeightRange = 'min-max'): Affine {
  const [rows, columns] = w.shape as readonly [number, number];
  const groupSize = groupSizeOf(scheme, columns);
  const shape = parameterShape(scheme, rows, columns);
  const codes = codeRange(scheme);
  const levels = codes.max - codes.min;
  const clipped =
    range === 'mse' &&
    scheme.bits > 1 &&
    !hasCodebook(scheme) &&
    (codes.zeroPoint !== null || scheme.granularity !== 'row');
  const { min: minimum, max: maximum } = observeRange(w, shape, (low, high) => {
    if (clipped) native.clipRange(w.handle, groupSize, levels, codes.zeroPoint !== null, low.handle, high.handle);
    else native.minMax(w.handle, groupSize, low.handle, high.handle);
  });
  const parameters = (value: (low: number, high: number) => number) =>
    tensor(
      Float32Array.from(minimum, (low, i) => value(low, maximum[i] as number)),
      shape,
    );
  const common = { codeMin: codes.min, codeMax: codes.max, groupSize };
  if (scheme.bits === 1) return { ...common, ...signAffine(w, groupSize, shape) };
  if (hasCodebook(scheme)) {
    const scales = parameters((low, high) => positive(Math.max(Math.abs(low), Math.abs(high))));
    return { ...common, scales, zeroPoints: null, biases: null };
  }
  if (codes.zeroPoint !== null) {
    const scales = parameters((low, high) => positive((2 * Math.max(Math.abs(low), Math.abs(high))) / levels));
    const zeroPoints = codes.zeroPoint === 0 ? null : full(shape, codes.zeroPoint, 'i32');
    return { ...common, scales, zeroPoints, biases: null };
  }
  if (scheme.granularity === 'row') {
    const scales = parameters((low, high) => positive((high - low) / levels));
    return { ...common, scales, zeroPoints: null, biases: parameters((low) => low) };
  }
  const scales = parameters((low, high) => positive((Math.max(high, 0) - Math.min(low, 0)) / levels));
  const steps = scales.toArray() as Float32Array;
  const zeroPoints = tensor(
    Int32Array.from(minimum, (low, i) =>
      Math.min(Math.max(roundHalfEven(-Math.min(low, 0) / (steps[i] as number)), codes.min), codes.max),
    ),
    shape,
  );
  return { ...common, scales, zeroPoints, biases: null };
}

/** Beyond this a range, or its outermost code, may lie outside f32. */
const LARGEST_MAGNITUDE = 2 ** 126;

/** @param observe writes the range of every group */
function observeRange(w: Tensor, shape: readonly [number, number], observe: (low: Tensor, high: Tensor) => void) {
  const [min, max] = tidy(() => {
    const low = zeros(shape);
    const high = zeros(shape);
    if (w.size > 0) observe(low, high);
    return [low.toArray() as Float32Array, high.toArray() as Float32Array];
  });
  const tooLarge = (value: number) => Math.abs(value) > LARGEST_MAGNITUDE;
  const large = min.find(tooLarge) ?? max.find(tooLarge);
  if (large === undefined) return { min, max };
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected magnitudes of at most ${LARGEST_MAGNITUDE.toPrecision(3)} in a weight to quantize, got ${large}`,
  );
}

/** The two values ±mean |w| of a group as code · 2m − m: the least-squares scale of sign(w). */
function signAffine(w: Tensor, groupSize: number, shape: readonly [number, number]) {
  const [rows, columns] = w.shape as readonly [number, number];
  const [parameterRows, groups] = shape;
  const values = w.toArray() as Float32Array;
  const sums = new Float64Array(parameterRows * groups);
  const counts = new Float64Array(parameterRows * groups);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const slot = (parameterRows === 1 ? 0 : row * groups) + Math.floor(column / groupSize);
      sums[slot] = (sums[slot] as number) + Math.abs(values[row * columns + column] as number);
      counts[slot] = (counts[slot] as number) + 1;
    }
  }
  // Of an all-zero group, as near to 0 as f32 goes without losing precision.
  const means = Float32Array.from(sums, (sum, i) => Math.max(sum / Math.max(counts[i] as number, 1), SMALLEST_NORMAL));
  return {
    scales: tensor(
      means.map((mean) => 2 * mean),
      shape,
    ),
    zeroPoints: null,
    biases: tensor(
      means.map((mean) => -mean),
      shape,
    ),
  };
}

/** A group of equal values needs no step; 1 keeps the division defined. */
function positive(scale: number): number {
  const rounded = Math.fround(scale);
  return rounded > 0 ? rounded : 1;
}

/** Nearest integer, ties to even. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
