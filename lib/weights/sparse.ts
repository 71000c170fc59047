import { gather, type LinearOptions } from '../autograd';
import { TersorError } from '../errors';
import { Activation, native } from '../native';
import { empty, keep, type Tensor, tensor } from '../tensor';
import { packBits, unpackBits } from './bit-stream';
import { type BlobReader, bytesBlob, fromBlob, toBlob } from './blob';
import type { SparseDescriptor } from './descriptor';
import type { InputQuantization } from './input';
import { disposeIntegerOperands, type IntegerOperands, integerOperands, integersOf } from './integer';
import { quantizeMatrix } from './quantized';
import { decodePositions, encodePositions } from './relative-index';
import { codeRange, describeScheme, isIntegerScheme, parameterShape, type QuantizationScheme } from './scheme';
import { TrainableMatrix } from './trainable';
import { type StoredWeight, storedBytes, type Weight } from './weight';

/** Nonzeros of a matrix in row-major order. */
interface Nonzeros<V extends Float32Array | Int8Array> {
  readonly shape: readonly [rows: number, columns: number];
  /** row · columns + column, ascending. */
  readonly positions: Float64Array;
  readonly values: V;
}

/** How the values of a quantized {@link Sparse} weight are rounded. */
interface ValueQuantization {
  readonly scheme: QuantizationScheme;
  /** f32 [rows or 1, 1]. */
  readonly scales: Tensor;
  readonly input: InputQuantization | null;
}

/** Unstructured sparsity: compressed sparse rows in memory, Huffman-coded relative indices in the file; values f32 or integer codes. */
export class Sparse implements Weight {
  readonly kind = 'sparse';
  readonly shape: readonly [number, number];
  private readonly rowOffsets: Tensor;
  private readonly columns: Tensor;
  /** Real values: what the float kernel multiplies. */
  private readonly values: Tensor;
  private readonly quantization: ValueQuantization | null;
  /** i8 [nonzeros], beside the scales: what is stored and what the integer kernel multiplies. */
  private readonly integers: Tensor | null;
  private readonly operands: IntegerOperands | null;

  private constructor(nonzeros: Nonzeros<Float32Array | Int8Array>, quantization: ValueQuantization | null) {
    this.shape = nonzeros.shape;
    const { rowOffsets, columns } = compressRows(nonzeros);
    this.rowOffsets = keep(tensor(rowOffsets));
    this.columns = keep(tensor(columns));
    this.quantization = quantization;
    if (quantization === null) {
      this.values = keep(tensor(nonzeros.values as Float32Array));
      this.integers = null;
      this.operands = null;
      return;
    }
    const { scheme, scales, input } = quantization;
    keep(scales);
    this.integers = keep(tensor(nonzeros.values as Int8Array));
    this.values = keep(tensor(scaleValues(nonzeros.values as Int8Array, rowOffsets, scales.toArray() as Float32Array)));
    this.operands =
      input === null ? null : integerOperands(scheme, input, scales, sumRows(nonzeros.values as Int8Array, rowOffsets));
  }

  /**
   * Keeps the nonzero elements of a matrix, rounded when a scheme is given (an element that rounds to zero is dropped too).
   *
   * @param w f32 [rows, columns]; stays the caller's
   * @throws ERR_TERSOR_UNSUPPORTED for a scheme other than symmetric, at least 2 bits, per tensor or channel; ERR_TERSOR_NOT_FINITE
   */
  static from(w: Tensor, scheme: QuantizationScheme | null = null, input: InputQuantization | null = null): Sparse {
    const shape = w.shape as readonly [number, number];
    if (scheme === null) return new Sparse(findNonzeros(shape, w.toArray() as Float32Array), null);
    assertSparseScheme(scheme);
    const { codes, affine } = quantizeMatrix(w, scheme).parts;
    const sparse = new Sparse(findNonzeros(shape, integersOf(codes, scheme)), { scheme, scales: affine.scales, input });
    codes.dispose();
    affine.zeroPoints?.dispose();
    return sparse;
  }

  get representation(): string {
    const zeros = 100 * (1 - this.nonzeros() / Math.max(this.parameters(), 1));
    const values = this.quantization === null ? 'f32' : describeScheme(this.quantization.scheme);
    return `${values}, ${zeros.toFixed(1)} % sparse${this.operands === null ? '' : ', int8 inputs'}`;
  }

  matmul(x: Tensor, options: LinearOptions = {}): Tensor {
    const y = empty([x.shape[0] ?? 0, this.shape[0]]);
    const bias = options.bias?.handle ?? null;
    const activation = options.relu ? Activation.relu : Activation.identity;
    const pattern = [this.rowOffsets.handle, this.columns.handle] as const;
    if (this.operands === null || this.integers === null) {
      native.csrGemm(x.handle, ...pattern, this.values.handle, this.shape[1], bias, activation, y.handle);
      return y;
    }
    const { input, scales, rowSums } = this.operands;
    native.csrGemmInt8(
      input.quantize(x).handle,
      ...pattern,
      this.integers.handle,
      this.shape[1],
      input.scale,
      input.zeroPoint,
      scales.handle,
      rowSums.handle,
      bias,
      activation,
      y.handle,
    );
    return y;
  }

  gather(ids: Tensor): Tensor {
    return gather(this.dense(), ids);
  }

  dense(): Tensor {
    return this.scatter(this.values.toArray() as Float32Array);
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.shape[0] * this.shape[1];
  }

  nonzeros(): number {
    return this.columns.size;
  }

  macs(): number {
    return this.columns.size;
  }

  trainable(): TrainableMatrix {
    const ones = new Float32Array(this.nonzeros()).fill(1);
    return new TrainableMatrix({
      latent: this.dense(),
      mask: this.scatter(ones),
      scheme: this.quantization?.scheme ?? null,
      input: this.quantization?.input ?? null,
    });
  }

  store(): StoredWeight {
    const tensors = new Map([['indices', bytesBlob(encodePositions(this.positions()))]]);
    const descriptor: SparseDescriptor = {
      kind: 'sparse',
      shape: [...this.shape],
      nonzeros: this.nonzeros(),
    };
    if (this.quantization === null || this.integers === null) {
      tensors.set('values', toBlob(this.values));
      return { tensors, descriptor };
    }
    const { scheme, scales, input } = this.quantization;
    tensors.set('values', packValues(this.integers, scheme));
    tensors.set('scales', toBlob(scales));
    descriptor.scheme = scheme;
    if (input !== null) descriptor.input = input;
    return { tensors, descriptor };
  }

  dispose(): void {
    for (const part of [this.rowOffsets, this.columns, this.values, this.integers, this.quantization?.scales])
      part?.dispose();
    if (this.operands !== null) disposeIntegerOperands(this.operands);
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor */
  static restore(reader: BlobReader, descriptor: SparseDescriptor): Sparse {
    const { shape, nonzeros: count, scheme, input } = descriptor;
    const indices = reader.read('indices').data;
    const positions = decodePositions(indices, count, shape[0] * shape[1], `tensor '${reader.nameOf('indices')}'`);
    if (scheme === undefined) {
      const values = fromBlob(reader, 'values', 'f32', [count]);
      try {
        return new Sparse({ shape, positions, values: values.toArray() as Float32Array }, null);
      } finally {
        values.dispose();
      }
    }
    assertSparseScheme(scheme);
    const values = unpackValues(reader, scheme, count);
    const scales = fromBlob(reader, 'scales', 'f32', parameterShape(scheme, ...shape));
    return new Sparse({ shape, positions, values }, { scheme, scales, input: input ?? null });
  }

  private positions(): Float64Array {
    const offsets = this.rowOffsets.toArray() as Uint32Array;
    const positions = Float64Array.from(this.columns.toArray() as Uint32Array);
    forEachRow(offsets, (row, i) => {
      positions[i] = (positions[i] as number) + row * this.shape[1];
    });
    return positions;
  }

  private scatter(values: Float32Array): Tensor {
    const all = new Float32Array(this.parameters());
    this.positions().forEach((position, i) => {
      all[position] = values[i] as number;
    });
    return tensor(all, this.shape);
  }
}

function assertSparseScheme(scheme: QuantizationScheme): void {
  if (isIntegerScheme(scheme)) return;
  throw new TersorError(
    'ERR_TERSOR_UNSUPPORTED',
    `expected symmetric values of 2 bits or more, per tensor or channel, for a sparse weight, got ${scheme.scheme} ${describeScheme(scheme)}`,
  );
}

function findNonzeros<V extends Float32Array | Int8Array>(shape: readonly [number, number], dense: V): Nonzeros<V> {
  const values = dense.filter((value: number) => value !== 0) as V;
  const positions = new Float64Array(values.length);
  let next = 0;
  for (let i = 0; i < dense.length; i++) if (dense[i] !== 0) positions[next++] = i;
  return { shape, positions, values };
}

function compressRows({ shape: [rows, columns], positions }: Nonzeros<Float32Array | Int8Array>) {
  const rowOffsets = new Uint32Array(rows + 1);
  const columnIds = new Uint32Array(positions.length);
  positions.forEach((position, i) => {
    const row = Math.floor(position / columns);
    columnIds[i] = position - row * columns;
    rowOffsets[row + 1] = i + 1;
  });
  for (let row = 0; row < rows; row++)
    rowOffsets[row + 1] = Math.max(rowOffsets[row] as number, rowOffsets[row + 1] as number);
  return { rowOffsets, columns: columnIds };
}

function forEachRow(rowOffsets: Uint32Array, visit: (row: number, index: number) => void): void {
  for (let row = 0; row + 1 < rowOffsets.length; row++) {
    for (let i = rowOffsets[row] as number; i < (rowOffsets[row + 1] as number); i++) visit(row, i);
  }
}

function scaleValues(integers: Int8Array, rowOffsets: Uint32Array, scales: Float32Array): Float32Array {
  const values = new Float32Array(integers.length);
  forEachRow(rowOffsets, (row, i) => {
    values[i] = (integers[i] as number) * (scales[scales.length === 1 ? 0 : row] as number);
  });
  return values;
}

function sumRows(integers: Int8Array, rowOffsets: Uint32Array): Int32Array {
  const sums = new Int32Array(rowOffsets.length - 1);
  forEachRow(rowOffsets, (row, i) => {
    sums[row] = (sums[row] as number) + (integers[i] as number);
  });
  return sums;
}

function packValues(integers: Tensor, scheme: QuantizationScheme) {
  if (scheme.bits === 8) return toBlob(integers);
  const { zeroPoint } = codeRange(scheme);
  const codes = Uint8Array.from(integers.toArray() as Int8Array, (value) => value + (zeroPoint ?? 0));
  return bytesBlob(packBits(codes, scheme.bits));
}

function unpackValues(reader: BlobReader, scheme: QuantizationScheme, count: number): Int8Array {
  if (scheme.bits === 8) {
    const values = fromBlob(reader, 'values', 'i8', [count]);
    const integers = values.toArray() as Int8Array;
    values.dispose();
    return integers;
  }
  const { zeroPoint } = codeRange(scheme);
  const packed = fromBlob(reader, 'values', 'u8', [Math.ceil((count * scheme.bits) / 8)]);
  const codes = unpackBits(packed.toArray() as Uint8Array, scheme.bits, count);
  packed.dispose();
  return Int8Array.from(codes, (code) => code - (zeroPoint ?? 0));
}
