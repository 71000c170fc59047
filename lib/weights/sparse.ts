import { type Bags, epilogueArguments } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { PackedCsr } from '../sparse/packed-csr';
import { type Affine, empty, keep, type Tensor, tensor, tidy } from '../tensor';
import { bagOfGathered } from './bag';
import { assertFinite, type BlobReader, bytesBlob, readArray, readScales } from './blob';
import { type Csr, compressRows, denseRows, nonzerosOf, positionsOf, scaleValues, sumRows } from './csr';
import type { SparseDescriptor } from './descriptor';
import { type InputQuantization, type StaticInput, staticInput } from './input';
import { denseIntegerProduct, type Product, sparseIntegerProduct } from './integer';
import { decodePositions, encodePositions } from './relative-index';
import { parameterShape, type QuantizationScheme } from './scheme';
import { served } from './served';
import { TrainableMatrix } from './trainable';
import {
  assertSupported,
  describeValues,
  readIntegers,
  roundValues,
  storeValues,
  type ValueQuantization,
  valuesOf,
  valuesTensor,
} from './values';
import { assertMatrix, type MatmulOptions, type StoredWeight, storedBytes, type Weight } from './weight';

/**
 * Share of nonzeros up to which the integer product reads them alone, when its inputs have fixed parameters. Otherwise, it runs the dense
 * integer kernel on an int8 matrix of its own, which costs a byte per element beside the nonzeros. Measured with AVX-512 VNNI at this share,
 * dense time / sparse time of 1, 16 and 128 rows: 1.7, 0.9 and 1.5 at 4096 x 4096, 0.4, 1.05 and 1.25 at 1024 x 1024.
 */
const SPARSE_PRODUCT_DENSITY = 0.1;

/** Unstructured sparsity: compressed sparse rows in memory, Huffman-coded relative indices in the file; values f32 or integer codes. */
export class Sparse implements Weight {
  readonly kind = 'sparse';
  readonly shape: readonly [number, number];
  private readonly rowOffsets: Tensor;
  private readonly columns: Tensor;
  /** f32, or integers beside the scales of `quantization`: as {@link valuesTensor} keeps them. */
  private readonly values: Tensor;
  private readonly quantization: ValueQuantization | null;
  private readonly product: Product;

  private constructor(csr: Csr, quantization: ValueQuantization | null) {
    const { shape, rowOffsets, columns, values } = csr;
    this.shape = shape;
    this.rowOffsets = keep(tensor(rowOffsets));
    this.columns = keep(tensor(columns));
    this.values = keep(valuesTensor(values, quantization));
    this.quantization = quantization;
    if (quantization !== null) keep(quantization.scales);
    this.product = quantization?.input
      ? this.integerProduct(csr, quantization, quantization.input)
      : this.floatProduct(quantization);
  }

  /**
   * Keeps the nonzero elements of a matrix, rounded when a scheme is given (an element that rounds to zero is dropped too).
   *
   * @param w f32 [rows, columns], at least one column; stays the caller's
   * @param affine of the codes; stays the caller's. Default: what covers w
   * @throws ERR_TERSOR_UNSUPPORTED for a scheme other than symmetric, at least 2 bits, per tensor, channel or row, or for quantized inputs
   *   without a scheme; ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE
   */
  static from(
    w: Tensor,
    scheme: QuantizationScheme | null = null,
    input: InputQuantization | null = null,
    affine?: Affine,
  ): Sparse {
    assertSupported(w.shape, scheme, input);
    const { shape } = w;
    assertMatrix(shape, 'a sparse weight');
    if (scheme === null) {
      const values = w.toArray() as Float32Array;
      assertFinite(values, 'of a sparse weight');
      return new Sparse(nonzerosOf(shape, values), null);
    }
    return tidy(() => {
      const { integers, scales } = roundValues(w, scheme, affine);
      return new Sparse(nonzerosOf(shape, integers), { scheme, scales, input });
    });
  }

  get representation(): string {
    const zeros = 100 * (1 - this.nonzeros() / Math.max(this.parameters(), 1));
    return describeValues(this.quantization, `${zeros.toFixed(1)} % sparse`);
  }

  get input(): StaticInput | null {
    return staticInput(this.quantization?.input);
  }

  matmul(x: Tensor, options: MatmulOptions = {}): Tensor {
    return served([x], () => this.product.multiply(x, options));
  }

  gather(ids: Tensor): Tensor {
    const rows = rowIds(ids, this.shape[0]);
    return tensor(denseRows(this.csr(), rows), [rows.length, this.shape[1]]);
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfGathered(this, bags));
  }

  dense(): Tensor {
    return tensor(denseRows(this.csr()), this.shape);
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
    return new TrainableMatrix({
      latent: this.dense(),
      mask: tensor(denseRows({ ...this.csr(), values: new Float32Array(this.nonzeros()).fill(1) }), this.shape),
      scheme: this.quantization?.scheme ?? null,
      input: this.quantization?.input ?? null,
    });
  }

  store(): StoredWeight {
    const tensors = new Map([['indices', bytesBlob(encodePositions(positionsOf(this.csr())))]]);
    const descriptor: SparseDescriptor = { kind: 'sparse', shape: [...this.shape], nonzeros: this.nonzeros() };
    return storeValues(tensors, descriptor, valuesOf(this.values), this.quantization);
  }

  dispose(): void {
    for (const part of [this.rowOffsets, this.columns, this.values, this.quantization?.scales]) part?.dispose();
    this.product.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor; ERR_TERSOR_UNSUPPORTED as {@link Sparse.from} */
  static restore(reader: BlobReader, descriptor: SparseDescriptor): Sparse {
    const { shape, nonzeros, scheme = null, input = null } = descriptor;
    assertSupported(shape, scheme, input);
    const indices = readArray(reader, 'indices', 'U8', null);
    const size = shape[0] * shape[1];
    const positions = decodePositions(indices, nonzeros, size, `tensor '${reader.nameOf('indices')}'`);
    if (scheme === null) {
      return new Sparse(compressRows(shape, positions, readArray(reader, 'values', 'F32', [nonzeros])), null);
    }
    const csr = compressRows(shape, positions, readIntegers(reader, scheme, nonzeros));
    const parameters = parameterShape(scheme, ...shape);
    return new Sparse(csr, { scheme, scales: tensor(readScales(reader, parameters), parameters), input });
  }

  /** The nonzeros as real numbers. */
  private csr(): Csr<Float32Array> {
    const csr: Csr = {
      shape: this.shape,
      rowOffsets: this.rowOffsets.toArray() as Uint32Array,
      columns: this.columns.toArray() as Uint32Array,
      values: valuesOf(this.values),
    };
    return { ...csr, values: realValues(csr, this.quantization) };
  }

  private packed(values: () => Tensor): PackedCsr {
    return new PackedCsr(this.shape, () => ({ rowOffsets: this.rowOffsets, columns: this.columns, values: values() }));
  }

  private floatProduct(quantization: ValueQuantization | null): Product {
    const csr = this.packed(() => (quantization === null ? this.values : tensor(this.csr().values)));
    return {
      multiply: (x, options) => {
        const y = empty([x.shape[0] ?? 0, this.shape[0]]);
        native.csrGemm(x.handle, ...csr.arguments(), ...epilogueArguments(options), y.handle);
        return y;
      },
      dispose: () => csr.dispose(),
    };
  }

  private integerProduct(csr: Csr, { scales }: ValueQuantization, input: InputQuantization): Product {
    if (input !== 'dynamic' && this.nonzeros() <= SPARSE_PRODUCT_DENSITY * this.parameters()) {
      const sums = sumRows(csr.values as Int8Array, csr.rowOffsets);
      return sparseIntegerProduct(
        this.packed(() => this.values),
        input,
        scales,
        sums,
      );
    }
    const dense = tensor(Int8Array.from(denseRows(csr)), this.shape);
    try {
      return denseIntegerProduct(dense, input, scales);
    } finally {
      dense.dispose();
    }
  }
}

/** Values times the scales of their rows. */
function realValues({ values, rowOffsets }: Csr, quantization: ValueQuantization | null): Float32Array {
  if (quantization === null) return values as Float32Array;
  return scaleValues(values as Int8Array, rowOffsets, quantization.scales.toArray() as Float32Array);
}

/** @throws ERR_TERSOR_OUT_OF_RANGE for an id outside the table */
function rowIds(ids: Tensor, rows: number): Int32Array {
  if (ids.dtype !== 'i32' || ids.shape.length !== 1) {
    throw new TersorError(
      ids.dtype === 'i32' ? 'ERR_TERSOR_SHAPE' : 'ERR_TERSOR_DTYPE',
      `expected ids i32 [n], got ${ids.dtype} [${ids.shape.join(', ')}], at gather`,
    );
  }
  const values = ids.toArray() as Int32Array;
  const at = values.findIndex((id) => id < 0 || id >= rows);
  if (at < 0) return values;
  throw new TersorError(
    'ERR_TERSOR_OUT_OF_RANGE',
    `expected 0 <= id < ${rows}, got ${values[at]}, at ids[${at}] of gather`,
  );
}
