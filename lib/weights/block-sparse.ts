import { type Bags, epilogueArguments, gather } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { type Affine, empty, keep, type Tensor, tensor, tidy } from '../tensor';
import { bagOfGathered } from './bag';
import { assertFinite, type BlobReader, readArray, readScales, toBlob } from './blob';
import {
  assertPositions,
  type Blocks,
  forEachElement,
  pairUp,
  putBlocks,
  sumBlocks,
  takeApart,
  takeBlocks,
} from './blocks';
import type { BlockSparseDescriptor } from './descriptor';
import { type InputQuantization, type StaticInput, staticInput } from './input';
import { inputCodes, type Product, vectorOf } from './integer';
import { type BlockPattern, parseBlock } from './pattern';
import { parameterShape, type QuantizationScheme } from './scheme';
import { served } from './served';
import { TrainableMatrix } from './trainable';
import {
  assertSupported,
  describeValues,
  integerBits,
  readIntegers,
  roundValues,
  scaleRows,
  storeValues,
  type ValueQuantization,
  type Values,
} from './values';
import { assertMatrix, type MatmulOptions, type StoredWeight, storedBytes, type Weight } from './weight';

/** Sparsity in blocks: the blocks that are not zero and where they are; values f32 or integer codes. */
export class BlockSparse implements Weight {
  readonly kind = 'block-sparse';
  readonly shape: readonly [number, number];
  readonly blocks: BlockPattern;
  private readonly panelOffsets: Tensor;
  private readonly columns: Tensor;
  /** f32, or integers beside the scales of `quantization`: i8, or two in a byte. */
  private readonly values: Tensor;
  private readonly quantization: ValueQuantization | null;
  /** Made by the first product. */
  private product: Product | null = null;

  private constructor(taken: Blocks, blocks: BlockPattern, quantization: ValueQuantization | null) {
    this.shape = taken.shape;
    this.blocks = blocks;
    this.panelOffsets = keep(tensor(taken.panelOffsets));
    this.columns = keep(tensor(taken.columns));
    this.values = keep(
      tensor(isPaired(quantization) ? pairUp(taken.values as Int8Array, parseBlock(blocks)) : taken.values),
    );
    this.quantization = quantization;
    if (quantization !== null) keep(quantization.scales);
  }

  /**
   * Keeps the blocks of a matrix that hold a nonzero, after rounding when a scheme is given.
   *
   * @param w f32 [rows, columns], at least one column; stays the caller's
   * @param scheme of the values; only blocks of four columns have one
   * @param input quantization of the inputs that the product is to run on, in integers
   * @param affine of the codes; stays the caller's. Default: what covers w
   * @throws ERR_TERSOR_INVALID_ARGUMENT for a text that is no block; ERR_TERSOR_UNSUPPORTED for a scheme beside blocks of one column, one
   *   other than symmetric, at least 2 bits, per tensor, channel or row, or for quantized inputs without a scheme; ERR_TERSOR_NOT_FINITE;
   *   ERR_TERSOR_SHAPE
   * @example
   * const w = tersor.tensor([[0, 3, 0], [0, -1, 0]])
   * const weight = tersor.BlockSparse.from(w, '32x1')
   * console.log(weight.matmul(tersor.tensor([[1, 2, 3]])).toArray()) // 6, -2
   */
  static from(
    w: Tensor,
    blocks: BlockPattern,
    scheme: QuantizationScheme | null = null,
    input: InputQuantization | null = null,
    affine?: Affine,
  ): BlockSparse {
    const size = parseBlock(blocks);
    assertBlocks(w.shape, blocks, scheme, input);
    const { shape } = w;
    assertMatrix(shape, 'a block-sparse weight');
    if (scheme === null) {
      const values = w.toArray() as Float32Array;
      assertFinite(values, 'of a block-sparse weight');
      return new BlockSparse(takeBlocks(values, shape, size), blocks, null);
    }
    return tidy(() => {
      const { integers, scales } = roundValues(w, scheme, affine);
      return new BlockSparse(takeBlocks(integers, shape, size), blocks, { scheme, scales, input });
    });
  }

  get representation(): string {
    const zeros = 100 * (1 - this.nonzeros() / Math.max(this.parameters(), 1));
    return describeValues(this.quantization, `${zeros.toFixed(1)} % sparse in blocks of ${this.blocks}`);
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
    return tidy(() => gather(this.dense(), ids));
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfGathered(this, bags));
  }

  dense(): Tensor {
    return tensor(this.reals(), this.shape);
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.shape[0] * this.shape[1];
  }

  nonzeros(): number {
    let count = 0;
    forEachElement(this.taken(), parseBlock(this.blocks), () => count++);
    return count;
  }

  macs(): number {
    return this.nonzeros();
  }

  trainable(): TrainableMatrix {
    const taken = this.taken();
    const ones = { ...taken, values: new Float32Array(taken.values.length).fill(1) };
    const mask = tensor(putBlocks(ones, parseBlock(this.blocks)), this.shape);
    const { scheme = null, input = null } = this.quantization ?? {};
    return new TrainableMatrix({ latent: this.dense(), mask, pattern: this.blocks, scheme, input });
  }

  store(): StoredWeight {
    const tensors = new Map([
      ['panel_offsets', toBlob(this.panelOffsets)],
      ['columns', toBlob(this.columns)],
    ]);
    const descriptor: BlockSparseDescriptor = { kind: 'block-sparse', shape: [...this.shape], blocks: this.blocks };
    return storeValues(tensors, descriptor, this.taken().values, this.quantization);
  }

  dispose(): void {
    for (const part of [this.panelOffsets, this.columns, this.values, this.quantization?.scales]) part?.dispose();
    this.product?.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor; ERR_TERSOR_UNSUPPORTED as {@link BlockSparse.from} */
  static restore(reader: BlobReader, descriptor: BlockSparseDescriptor): BlockSparse {
    const { shape, blocks, scheme = null, input = null } = descriptor;
    assertBlocks(shape, blocks, scheme, input);
    const size = parseBlock(blocks);
    const panelOffsets = readArray(reader, 'panel_offsets', 'U32', [Math.ceil(shape[0] / size.rows) + 1]);
    const columns = readArray(reader, 'columns', 'U32', null);
    assertPositions(reader, { panelOffsets, columns }, Math.ceil(shape[1] / size.columns));
    const count = columns.length * size.rows * size.columns;
    if (scheme === null) {
      const values = readArray(reader, 'values', 'F32', [count]);
      return new BlockSparse({ shape, panelOffsets, columns, values }, blocks, null);
    }
    const taken = { shape, panelOffsets, columns, values: readIntegers(reader, scheme, count) };
    const parameters = parameterShape(scheme, ...shape);
    return new BlockSparse(taken, blocks, {
      scheme,
      scales: tensor(readScales(reader, parameters), parameters),
      input,
    });
  }

  /** Every number of the matrix. */
  private reals(): Float32Array {
    const values = putBlocks(this.taken(), parseBlock(this.blocks));
    return this.quantization === null ? values : scaleRows(values, this.shape[1], this.quantization.scales);
  }

  /** What an operation is told of the blocks, with these values. */
  private operand(values: Tensor) {
    const { rows, columns } = parseBlock(this.blocks);
    const places = [this.panelOffsets.handle, this.columns.handle, values.handle] as const;
    return [...places, ...this.shape, rows, columns] as const;
  }

  private floatProduct(): Product {
    const floats = this.quantization === null ? this.values : keep(tensor(this.floatValues()));
    return {
      multiply: (x, options) => {
        const y = empty([x.shape[0] ?? 0, this.shape[0]]);
        native.blockGemm(x.handle, ...this.operand(floats), ...epilogueArguments(options), y.handle);
        return y;
      },
      dispose: () => floats.dispose(),
    };
  }

  /** The blocks' integers as real numbers, in the order of f32. */
  private floatValues(): Float32Array {
    const taken = this.taken();
    const reals = this.reals();
    const values = new Float32Array(taken.values.length);
    forEachElement({ ...taken, values }, parseBlock(this.blocks), (position, index) => {
      values[index] = reals[position] as number;
    });
    return values;
  }

  private integerProduct({ scales }: ValueQuantization, input: InputQuantization): Product {
    const taken = this.taken() as Blocks<Int8Array>;
    const factors = vectorOf(scales);
    const rowSums = keep(tensor(sumBlocks(taken, parseBlock(this.blocks))));
    return {
      multiply: (x, options) => {
        const y = empty([x.shape[0] ?? 0, this.shape[0]]);
        const sums = [factors.handle, rowSums.handle, ...epilogueArguments(options)] as const;
        const blocks = this.operand(this.values);
        if (input === 'dynamic') native.blockGemmInt8Dynamic(x.handle, ...blocks, ...sums, y.handle);
        else native.blockGemmInt8(x.handle, ...inputCodes(input, x), ...blocks, ...sums, y.handle);
        return y;
      },
      dispose() {
        factors.dispose();
        rowSums.dispose();
      },
    };
  }

  private taken(): Blocks {
    const values = this.values.toArray() as Values | Uint8Array;
    return {
      shape: this.shape,
      panelOffsets: this.panelOffsets.toArray() as Uint32Array,
      columns: this.columns.toArray() as Uint32Array,
      values: values instanceof Uint8Array ? takeApart(values, parseBlock(this.blocks)) : values,
    };
  }
}

/** Whether two integers share a byte. */
function isPaired(quantization: ValueQuantization | null): boolean {
  return quantization !== null && integerBits(quantization.scheme) === 4;
}

/** Whether blocks of this size have integer kernels: these multiply four columns at a time. */
export function takesCodes(blocks: BlockPattern): boolean {
  return parseBlock(blocks).columns === 4;
}

/** @throws ERR_TERSOR_UNSUPPORTED */
function assertBlocks(
  shape: readonly number[],
  blocks: BlockPattern,
  scheme: QuantizationScheme | null,
  input: InputQuantization | null,
): void {
  assertSupported(shape, scheme, input);
  if (scheme === null || takesCodes(blocks)) return;
  throw new TersorError('ERR_TERSOR_UNSUPPORTED', `expected blocks of four columns for integer codes, got ${blocks}`);
}
