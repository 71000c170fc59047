import { type Bags, linear } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { type Affine, affineArguments, empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import { bagOfGathered, type FusedRows, fuseRows } from './bag';
import { type BlobReader, corrupt, readArray, readScales, readTensor, toBlob } from './blob';
import { codebookFor, decode, encode, NF4 } from './codebook';
import type { QuantizedDescriptor } from './descriptor';
import type { Factors } from './factors';
import { describeInput, type InputPrecision, type InputQuantization, type StaticInput, staticInput } from './input';
import { denseIntegerProduct, integersOf, type Product } from './integer';
import { packedProduct, readsCodes } from './packed';
import {
  affineFor,
  assertIntegerProduct,
  assertScheme,
  codeRange,
  describeScheme,
  groupSizeOf,
  hasCodebook,
  parameterShape,
  type QuantizationScheme,
  roundMatrix,
  type WeightRange,
} from './scheme';
import { served } from './served';
import { TrainableMatrix } from './trainable';
import { type MatmulOptions, type StoredWeight, storedBytes, type Weight } from './weight';

/** What a {@link Quantized} weight is made of; it takes over every tensor. */
export interface QuantizedParts {
  readonly scheme: QuantizationScheme;
  /** i8, u8 or u1..u4 [rows, columns], see `codeRange`. */
  readonly codes: Tensor;
  readonly affine: Affine;
  /** f32 [2^bits], ascending: the values that codes are numbers of, times a scale; with the schemes that have one, and only with them. */
  readonly codebook?: Tensor | null;
  /**
   * Quantization of the input to uint8: the product then runs in the integer kernels. With fixed parameters, `matmul` takes codes too: u8,
   * or i8 that are 128 less.
   */
  readonly input?: InputQuantization | null;
  /** How far a product in f32 may round its input; by default no more than f32 does. Not beside `input`. */
  readonly inputPrecision?: InputPrecision | null;
}

/** Integer codes with scales and zero points, 1 to 8 bits, or codes of a codebook with scales, 2 to 4 bits. */
export class Quantized implements Weight {
  readonly kind = 'quantized';
  readonly parts: QuantizedParts;
  private readonly integer: Product | null;
  /** Made by the first product: a table that is only gathered from never pays for it. */
  private packed: Product | null = null;
  /** Made by the first bag. */
  private fused: FusedRows | null = null;

  /**
   * @throws ERR_TERSOR_UNSUPPORTED for quantized inputs with a scheme that the integer kernels do not take, or beside a precision of inputs
   */
  constructor(parts: QuantizedParts) {
    if (parts.input && parts.inputPrecision) {
      throw new TersorError(
        'ERR_TERSOR_UNSUPPORTED',
        `expected quantized inputs or a precision of inputs, got both (${parts.inputPrecision})`,
      );
    }
    if (parts.input) assertIntegerProduct(parts.scheme, parts.codes.shape);
    this.parts = parts;
    this.integer = parts.input ? integerProduct(parts, parts.input) : null;
    for (const part of tensorsOf(parts)) keep(part);
  }

  get shape(): readonly [number, number] {
    return this.parts.codes.shape as readonly [number, number];
  }

  get representation(): string {
    const { scheme, input, inputPrecision } = this.parts;
    const rounded = inputPrecision ? `, inputs rounded to ${inputPrecision}` : '';
    return `${describeScheme(scheme)}${describeInput(input)}${rounded}`;
  }

  get input(): StaticInput | null {
    return staticInput(this.parts.input);
  }

  matmul(x: Tensor, options: MatmulOptions = {}): Tensor {
    return served([x], () => {
      const product = this.integer ?? this.codesProduct();
      return product === null ? linear(x, this.dense(), options) : product.multiply(x, options);
    });
  }

  matmulPlus(x: Tensor, factors: Factors, options: MatmulOptions): Tensor | null {
    return (this.integer ?? this.codesProduct())?.multiplyPlus?.(x, factors, options) ?? null;
  }

  gather(ids: Tensor): Tensor {
    return this.decoded(ids);
  }

  bag(bags: Bags): Tensor {
    const { scheme } = this.parts;
    if (scheme.granularity === 'group' || hasCodebook(scheme)) return tidy(() => bagOfGathered(this, bags));
    this.fused ??= fuseRows(this.parts.codes, this.parts.affine);
    return this.fused.bag(bags);
  }

  dense(): Tensor {
    return this.decoded(null);
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.parts.codes.size;
  }

  nonzeros(): number {
    return this.parts.codes.size;
  }

  macs(): number {
    return this.parts.codes.size;
  }

  trainable(): TrainableMatrix {
    const { scheme, codebook, input, inputPrecision } = this.parts;
    return new TrainableMatrix({
      latent: this.dense(),
      scheme,
      codebook: codebook?.clone() ?? null,
      input: input ?? null,
      inputPrecision: inputPrecision ?? null,
    });
  }

  store(): StoredWeight {
    const { scheme, codes, affine, codebook, input, inputPrecision } = this.parts;
    const tensors = new Map([
      ['codes', toBlob(codes)],
      ['scales', toBlob(affine.scales)],
    ]);
    if (codebook && scheme.scheme === 'kmeans') tensors.set('codebook', toBlob(codebook));
    if (affine.biases !== null && scheme.bits > 1) tensors.set('biases', toBlob(affine.biases));
    if (affine.zeroPoints !== null && codeRange(scheme).zeroPoint === null) {
      const data = Uint8Array.from(affine.zeroPoints.toArray() as Int32Array);
      tensors.set('zero_points', { dtype: 'U8', shape: affine.zeroPoints.shape, data });
    }
    const descriptor: QuantizedDescriptor = { kind: 'quantized', shape: [...this.shape], scheme };
    if (input) descriptor.input = input;
    if (inputPrecision) descriptor.inputPrecision = inputPrecision;
    return { tensors, descriptor };
  }

  dispose(): void {
    for (const part of tensorsOf(this.parts)) part.dispose();
    this.integer?.dispose();
    this.packed?.dispose();
    this.fused?.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor */
  static restore(reader: BlobReader, { scheme, shape, input, inputPrecision }: QuantizedDescriptor): Quantized {
    const { dtype, min, max } = codeRange(scheme);
    const parameters = parameterShape(scheme, ...shape);
    const scales = readScales(reader, parameters);
    const affine: Affine = {
      scales: tensor(scales, parameters),
      zeroPoints: restoreZeroPoints(reader, scheme, parameters),
      biases: restoreBiases(reader, scheme, scales, parameters),
      codeMin: min,
      codeMax: max,
      groupSize: groupSizeOf(scheme, shape[1]),
    };
    const codes = readTensor(reader, 'codes', dtype, shape);
    const codebook = restoreCodebook(reader, scheme);
    return new Quantized({
      scheme,
      codes,
      affine,
      codebook,
      input: input ?? null,
      inputPrecision: inputPrecision ?? null,
    });
  }

  /**
   * A copy with the same codes whose products may round their input so far.
   *
   * @param inputPrecision null: no more than f32 does
   * @throws ERR_TERSOR_UNSUPPORTED for a weight with quantized inputs
   * @example
   * const w = tersor.full([64, 256], 0.5)
   * const accurate = tersor.quantizeMatrix(w, { bits: 4, scheme: 'symmetric', granularity: 'group', groupSize: 128 })
   * const fast = accurate.withInputPrecision('int8')
   * console.log(fast.representation) // int4 in groups of 128, inputs rounded to int8
   */
  withInputPrecision(inputPrecision: InputPrecision | null): Quantized {
    const { codes, affine, codebook } = this.parts;
    return tidy(() => {
      const copies = {
        scales: affine.scales.clone(),
        zeroPoints: affine.zeroPoints?.clone() ?? null,
        biases: affine.biases?.clone() ?? null,
      };
      return new Quantized({
        ...this.parts,
        codes: codes.clone(),
        affine: { ...affine, ...copies },
        codebook: codebook?.clone() ?? null,
        inputPrecision,
      });
    });
  }

  /** Null when the codes have to be dequantized for a product. */
  private codesProduct(): Product | null {
    const { codes, affine, codebook, inputPrecision } = this.parts;
    if (!readsCodes(this.shape[1], affine.groupSize)) return null;
    this.packed ??= packedProduct(codes, affine, codebook ?? null, inputPrecision ?? null);
    return this.packed;
  }

  /** Rows `ids`, or all. */
  private decoded(ids: Tensor | null): Tensor {
    const { codes, affine, codebook } = this.parts;
    if (codebook) return decode(codes, affine, codebook, ids);
    const y = empty([ids === null ? this.shape[0] : ids.size, this.shape[1]]);
    native.dequantize(codes.handle, ...affineArguments(affine), ids?.handle ?? null, y.handle);
    return y;
  }
}

/**
 * Rounds a matrix to the nearest codes.
 *
 * @param w f32 [rows, columns], at least one column; stays the caller's
 * @param input quantization of the inputs that the product is to run on, in integers
 * @param range what the scales cover. Default 'min-max'
 * @param codebook f32 [2^bits], ascending: values to take with a scheme that has a codebook; stays the caller's. Default: those that the
 *   scheme chooses
 * @throws ERR_TERSOR_NOT_FINITE when w holds NaN or infinity; ERR_TERSOR_OUT_OF_RANGE for values beyond 2^126;
 *   ERR_TERSOR_INVALID_ARGUMENT, ERR_TERSOR_SHAPE; ERR_TERSOR_UNSUPPORTED for inputs beside a scheme that the integer kernels do not take
 * @example
 * const w = tersor.tensor([[0.9, 0.1, 0.2], [0.4, 0.6, 0.8]])
 * const packed = tersor.quantizeMatrix(w, { bits: 8, scheme: 'symmetric', granularity: 'channel' })
 * console.log(packed.bytes()) // 14: six codes, two scales
 */
export function quantizeMatrix(
  w: Tensor,
  scheme: QuantizationScheme,
  input: InputQuantization | null = null,
  range: WeightRange = 'min-max',
  codebook: Tensor | null = null,
): Quantized {
  assertScheme(scheme, w.shape);
  return tidy(() => {
    if (!hasCodebook(scheme)) return new Quantized({ scheme, ...roundMatrix(w, scheme, range), input });
    const affine = affineFor(w, scheme);
    const values = codebook?.clone() ?? (codebookFor(w, scheme, affine) as Tensor);
    return new Quantized({ scheme, codes: encode(w, scheme, affine, values), affine, codebook: values, input });
  });
}

function integerProduct({ scheme, codes, affine }: QuantizedParts, input: InputQuantization): Product {
  if (codes.dtype === 'i8') return denseIntegerProduct(codes, input, affine.scales);
  const integers = tensor(integersOf(codes, scheme), codes.shape);
  try {
    return denseIntegerProduct(integers, input, affine.scales);
  } finally {
    integers.dispose();
  }
}

function tensorsOf({ codes, affine, codebook = null }: QuantizedParts): Tensor[] {
  return [codes, affine.scales, affine.zeroPoints, affine.biases, codebook].filter((t) => t !== null);
}

function restoreCodebook(reader: BlobReader, scheme: QuantizationScheme): Tensor | null {
  if (scheme.scheme === 'nf4') return tensor(Float32Array.from(NF4));
  if (scheme.scheme !== 'kmeans') return null;
  const values = readArray(reader, 'codebook', 'F32', [2 ** scheme.bits]);
  const at = values.findIndex((value, i) => i > 0 && value < (values[i - 1] as number));
  if (at >= 0) throw corrupt(reader, 'codebook', 'values that ascend', `${values[at]} as element ${at}`);
  return tensor(values);
}

function restoreZeroPoints(
  reader: BlobReader,
  scheme: QuantizationScheme,
  shape: readonly [number, number],
): Tensor | null {
  const { zeroPoint, max } = codeRange(scheme);
  if (zeroPoint !== null) return zeroPoint === 0 ? null : full(shape, zeroPoint, 'i32');
  if (scheme.granularity === 'row' || scheme.bits === 1 || hasCodebook(scheme)) return null;
  const stored = readArray(reader, 'zero_points', 'U8', shape);
  const at = stored.findIndex((code) => code > max);
  if (at >= 0) throw corrupt(reader, 'zero_points', `codes from 0 to ${max}`, `${stored[at]} as element ${at}`);
  return tensor(Int32Array.from(stored), shape);
}

/** Of a sign, ± half a scale around 0; of a row with a float offset, that offset. */
function restoreBiases(
  reader: BlobReader,
  scheme: QuantizationScheme,
  scales: Float32Array,
  shape: readonly [number, number],
): Tensor | null {
  if (scheme.bits === 1)
    return tensor(
      scales.map((scale) => -scale / 2),
      shape,
    );
  if (scheme.granularity !== 'row' || scheme.scheme !== 'asymmetric') return null;
  return readTensor(reader, 'biases', 'f32', shape);
}
