import { type Bags, epilogueArguments, gather } from '../autograd';
import { native } from '../native';
import { type Affine, empty, keep, type Tensor, tensor, tidy } from '../tensor';
import { bagOfGathered } from './bag';
import { packBits, unpackBits } from './bit-stream';
import { assertFinite, type BlobReader, bytesBlob, readArray, readScales } from './blob';
import type { SemiStructuredDescriptor } from './descriptor';
import { type InputQuantization, type StaticInput, staticInput } from './input';
import { inputCodes, type Product, vectorOf } from './integer';
import { type KeptPerGroup, parsePattern, type SparsityPattern } from './pattern';
import { placeBits, placesPerRow, putBack, takeOut } from './places';
import { parameterShape, type QuantizationScheme } from './scheme';
import { served } from './served';
import { TrainableMatrix } from './trainable';
import {
  assertSupported,
  describeValues,
  integerBits,
  readIntegers,
  roundValues,
  storeValues,
  type ValueQuantization,
  type Values,
} from './values';
import { assertMatrix, type MatmulOptions, type StoredWeight, storedBytes, type Weight } from './weight';

/**
 * N:M sparsity: every group of M columns of a row keeps N of them, some perhaps zero; values f32 or integer codes. In memory as the
 * device's kernels read it, in the file the values and, bit-packed, the column of each within its group.
 */
export class SemiStructured implements Weight {
  readonly kind = 'semi-structured';
  readonly shape: readonly [number, number];
  readonly pattern: SparsityPattern;
  /** Of f32, or of integers beside the scales of `quantization`. */
  private readonly packed: Tensor;
  private readonly quantization: ValueQuantization | null;
  /** Made by the first product. */
  private product: Product | null = null;

  /** @param w every number, or with `quantization` every integer, of the matrix */
  private constructor(w: Tensor, pattern: SparsityPattern, quantization: ValueQuantization | null) {
    this.shape = w.shape as readonly [number, number];
    this.pattern = pattern;
    this.packed = keep(quantization === null ? packFloats(w, this.kept) : packIntegers(w, this.kept, quantization));
    this.quantization = quantization;
    if (quantization !== null) keep(quantization.scales);
  }

  /**
   * Keeps the nonzero elements of a matrix, rounded when a scheme is given.
   *
   * @param w f32 [rows, columns], at least one column; stays the caller's
   * @param scheme of the values
   * @param input quantization of the inputs that the product is to run on, in integers
   * @param affine of the codes; stays the caller's. Default: what covers w
   * @throws ERR_TERSOR_INVALID_ARGUMENT for a matrix with more nonzeros in a group than the pattern has places, or for a text that is no
   *   pattern; ERR_TERSOR_UNSUPPORTED for a scheme other than symmetric, at least 2 bits, per tensor, channel or row, or for quantized inputs
   *   without a scheme; ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE
   * @example
   * const w = tersor.tensor([[0, 3, 0, -1, 2, 0, 0, 0]])
   * const weight = tersor.SemiStructured.from(w, '2:4')
   * console.log(weight.matmul(tersor.tensor([[1, 1, 1, 1, 1, 1, 1, 1]])).item()) // 4
   */
  static from(
    w: Tensor,
    pattern: SparsityPattern,
    scheme: QuantizationScheme | null = null,
    input: InputQuantization | null = null,
    affine?: Affine,
  ): SemiStructured {
    assertSupported(w.shape, scheme, input);
    assertMatrix(w.shape, 'a semi-structured weight');
    parsePattern(pattern);
    if (scheme === null) {
      assertFinite(w.toArray() as Float32Array, 'of a semi-structured weight');
      return new SemiStructured(w, pattern, null);
    }
    return tidy(() => {
      const { integers, scales } = roundValues(w, scheme, affine);
      return new SemiStructured(tensor(integers, w.shape), pattern, { scheme, scales, input });
    });
  }

  get representation(): string {
    return describeValues(this.quantization, `${this.pattern} sparse`);
  }

  get input(): StaticInput | null {
    return staticInput(this.quantization?.input);
  }

  matmul(x: Tensor, options: MatmulOptions = {}): Tensor {
    return served([x], () => {
      this.product ??= this.quantization?.input
        ? this.integerProduct(this.quantization, this.quantization.input)
        : this.floatProduct();
      return this.product.multiply(x, options);
    });
  }

  gather(ids: Tensor): Tensor {
    return this.rows(ids, ids.size);
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfGathered(this, bags));
  }

  dense(): Tensor {
    return this.rows(null, this.shape[0]);
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.shape[0] * this.shape[1];
  }

  nonzeros(): number {
    return this.shape[0] * placesPerRow(this.shape[1], this.kept);
  }

  macs(): number {
    return this.nonzeros();
  }

  trainable(): TrainableMatrix {
    const latent = this.dense();
    const mask = tensor(
      (latent.toArray() as Float32Array).map((value) => (value === 0 ? 0 : 1)),
      this.shape,
    );
    const { scheme = null, input = null } = this.quantization ?? {};
    return new TrainableMatrix({ latent, mask, pattern: this.pattern, scheme, input });
  }

  store(): StoredWeight {
    const dense = tidy(() => this.stored().toArray() as Values);
    const { values, places } = takeOut(dense, this.shape, this.kept);
    const tensors = new Map([['places', bytesBlob(packBits(places, placeBits(this.kept)))]]);
    const descriptor: SemiStructuredDescriptor = {
      kind: 'semi-structured',
      shape: [...this.shape],
      pattern: this.pattern,
    };
    return storeValues(tensors, descriptor, values, this.quantization);
  }

  dispose(): void {
    this.packed.dispose();
    this.quantization?.scales.dispose();
    this.product?.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor; ERR_TERSOR_UNSUPPORTED as {@link SemiStructured.from} */
  static restore(reader: BlobReader, descriptor: SemiStructuredDescriptor): SemiStructured {
    const { shape, pattern, scheme = null, input = null } = descriptor;
    assertSupported(shape, scheme, input);
    const kept = parsePattern(pattern);
    const count = shape[0] * placesPerRow(shape[1], kept);
    const bytes = readArray(reader, 'places', 'U8', [Math.ceil((count * placeBits(kept)) / 8)]);
    const places = unpackBits(bytes, placeBits(kept), count);
    if (scheme === null) {
      const values = readArray(reader, 'values', 'F32', [count]);
      return new SemiStructured(tensor(putBack(reader, { values, places }, shape, kept), shape), pattern, null);
    }
    const integers = putBack(reader, { values: readIntegers(reader, scheme, count), places }, shape, kept);
    const parameters = parameterShape(scheme, ...shape);
    const scales = tensor(readScales(reader, parameters), parameters);
    return new SemiStructured(tensor(integers, shape), pattern, { scheme, scales, input });
  }

  private get kept(): KeptPerGroup {
    return parsePattern(this.pattern);
  }

  /** What is stored, dense: the numbers or, i8, the integers. */
  private stored(ids: Tensor | null = null, count = this.shape[0]): Tensor {
    const y = empty([count, this.shape[1]], this.quantization === null ? 'f32' : 'i8');
    const operand = this.operand(this.packed);
    const rows = ids?.handle ?? null;
    if (this.quantization === null) native.unpackNm(...operand, rows, y.handle);
    else native.unpackNmInt8(...operand, integerBits(this.quantization.scheme), rows, y.handle);
    return y;
  }

  private rows(ids: Tensor | null, count: number): Tensor {
    if (this.quantization === null) return this.stored(ids, count);
    const { scales } = this.quantization;
    return tidy(() => {
      const integers = this.stored(ids, count);
      const factors = ids === null || scales.size === 1 ? scales : gather(scales, ids);
      const y = empty(integers.shape);
      const columns = this.shape[1];
      native.dequantize(integers.handle, factors.handle, null, null, -128, 127, columns, null, y.handle);
      return y;
    });
  }

  /** What an operation is told of the weight. */
  private operand(packed: Tensor) {
    const { keep: places, group } = this.kept;
    return [packed.handle, ...this.shape, places, group] as const;
  }

  private floatProduct(): Product {
    const floats = this.quantization === null ? this.packed : keep(packFloats(this.dense(), this.kept));
    return {
      multiply: (x, options) => {
        const y = empty([x.shape[0] ?? 0, this.shape[0]]);
        native.nmGemm(x.handle, ...this.operand(floats), ...epilogueArguments(options), y.handle);
        return y;
      },
      dispose: () => floats.dispose(),
    };
  }

  private integerProduct({ scheme, scales }: ValueQuantization, input: InputQuantization): Product {
    const factors = vectorOf(scales);
    const weight = [...this.operand(this.packed), integerBits(scheme), factors.handle] as const;
    return {
      multiply: (x, options) => {
        const y = empty([x.shape[0] ?? 0, this.shape[0]]);
        const operands = [...weight, ...epilogueArguments(options)] as const;
        if (input === 'dynamic') native.nmGemmInt8Dynamic(x.handle, ...operands, y.handle);
        else native.nmGemmInt8(x.handle, ...inputCodes(input, x), ...operands, y.handle);
        return y;
      },
      dispose: () => factors.dispose(),
    };
  }
}

function packFloats(w: Tensor, { keep: places, group }: KeptPerGroup): Tensor {
  const [rows, columns] = w.shape as readonly [number, number];
  const packed = empty([native.nmBytes(rows, columns, places, group, w.device)], 'u8', w.device);
  native.packNm(w.handle, places, group, packed.handle);
  return packed;
}

function packIntegers(w: Tensor, { keep: places, group }: KeptPerGroup, { scheme }: ValueQuantization): Tensor {
  const [rows, columns] = w.shape as readonly [number, number];
  const bits = integerBits(scheme);
  const packed = empty([native.nmInt8Bytes(rows, columns, places, group, bits, w.device)], 'u8', w.device);
  native.packNmInt8(w.handle, places, group, bits, packed.handle);
  return packed;
}
