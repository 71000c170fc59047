import { type Bags, bagArguments, bagCount, type LinearOptions, linear } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { empty, keep, type Tensor } from '../tensor';
import { type BlobReader, readTensor, toBlob } from './blob';
import type { ProductQuantizedDescriptor } from './descriptor';
import { served } from './served';
import { TrainableProductQuantized } from './trainable-product';
import { assertMatrix, type StoredWeight, storedBytes, type Weight } from './weight';

/** What a {@link ProductQuantized} weight is made of; it takes both over. */
export interface ProductCodes {
  /** u8 (256 centroids) or u4 (16) [rows, subspaces]. */
  readonly codes: Tensor;
  /** f32 [subspaces, 256 or 16, columns / subspaces]. */
  readonly centroids: Tensor;
}

/**
 * Product quantization (Jégou, Douze and Schmid 2011): columns are cut into slices of equal width, and of each slice a row has the number of
 * one of 256 or 16 centroids. Meant for embedding tables, whose rows and bags are read straight from the codes; a product decodes the matrix.
 */
export class ProductQuantized implements Weight {
  readonly kind = 'product-quantized';
  readonly shape: readonly [number, number];
  readonly parts: ProductCodes;

  /** @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE for codes that are not of these centroids */
  constructor(parts: ProductCodes) {
    const { codes, centroids } = parts;
    const [subspaces, count, width] = centroidShape(centroids);
    const dtype = count === 256 ? 'u8' : 'u4';
    if (codes.dtype !== dtype) {
      throw new TersorError(
        'ERR_TERSOR_DTYPE',
        `expected codes of ${dtype} for ${count} centroids, got ${codes.dtype}`,
      );
    }
    if (codes.shape.length !== 2 || codes.shape[1] !== subspaces) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected codes of shape [rows, ${subspaces}], got [${codes.shape.join(', ')}]`,
      );
    }
    this.parts = parts;
    this.shape = [codes.shape[0] as number, subspaces * width];
    keep(codes);
    keep(centroids);
  }

  /**
   * The rows of a matrix by the nearest centroids.
   *
   * @param w f32 [rows, columns]; stays the caller's
   * @param centroids f32 [subspaces, 256 or 16, columns / subspaces], as `productCentroids` finds them; taken over
   * @throws ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE
   * @example
   * const w = tersor.tensor([[0, 5, 1, 1], [0, 5, 2, 2], [9, 9, 1, 1]])
   * const centroids = await tersor.productCentroids(w, { subspaces: 2, bits: 4 })
   * const table = tersor.ProductQuantized.from(w, centroids)
   * console.log(table.gather(tersor.tensor(Int32Array.of(2))).toArray()) // 9, 9, 1, 1
   */
  static from(w: Tensor, centroids: Tensor): ProductQuantized {
    assertMatrix(w.shape, 'a weight to quantize');
    return new ProductQuantized({ codes: encodeRows(w, centroids), centroids });
  }

  get representation(): string {
    const [subspaces, count] = centroidShape(this.parts.centroids);
    return `product codes, ${subspaces} of ${count === 256 ? 8 : 4} bits`;
  }

  matmul(x: Tensor, options: LinearOptions = {}): Tensor {
    return served([x], () => linear(x, this.dense(), options));
  }

  gather(ids: Tensor): Tensor {
    return decodeRows(this.parts, ids);
  }

  bag(bags: Bags): Tensor {
    const y = empty([bagCount(bags), this.shape[1]]);
    const { codes, centroids } = this.parts;
    native.productBag(codes.handle, centroids.handle, ...bagArguments(bags), y.handle);
    return y;
  }

  dense(): Tensor {
    return decodeRows(this.parts, null);
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.shape[0] * this.shape[1];
  }

  nonzeros(): number {
    return this.parameters();
  }

  macs(): number {
    return this.parameters();
  }

  trainable(): TrainableProductQuantized {
    return new TrainableProductQuantized(this.dense(), this.parts.centroids.clone());
  }

  store(): StoredWeight {
    const { codes, centroids } = this.parts;
    const tensors = new Map([
      ['codes', toBlob(codes)],
      ['centroids', toBlob(centroids)],
    ]);
    const [subspaces, count] = centroidShape(centroids);
    const bits = count === 256 ? 8 : 4;
    return { tensors, descriptor: { kind: 'product-quantized', shape: [...this.shape], subspaces, bits } };
  }

  dispose(): void {
    this.parts.codes.dispose();
    this.parts.centroids.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor; ERR_TERSOR_NOT_FINITE */
  static restore(reader: BlobReader, { shape, subspaces, bits }: ProductQuantizedDescriptor): ProductQuantized {
    const [rows, columns] = shape;
    const centroids = readTensor(reader, 'centroids', 'f32', [subspaces, 2 ** bits, columns / subspaces]);
    return new ProductQuantized({
      codes: readTensor(reader, 'codes', bits === 8 ? 'u8' : 'u4', [rows, subspaces]),
      centroids,
    });
  }
}

/** The numbers of the nearest centroids: u8 or u4 [rows, subspaces]. */
export function encodeRows(w: Tensor, centroids: Tensor): Tensor {
  const [subspaces, count] = centroidShape(centroids);
  const codes = empty([w.shape[0] as number, subspaces], count === 256 ? 'u8' : 'u4');
  native.productEncode(w.handle, centroids.handle, codes.handle);
  return codes;
}

/** What codes stand for, of the rows `ids` or of all. */
export function decodeRows({ codes, centroids }: ProductCodes, ids: Tensor | null): Tensor {
  const [subspaces, , width] = centroidShape(centroids);
  const y = empty([ids === null ? (codes.shape[0] as number) : ids.size, subspaces * width]);
  native.productDecode(codes.handle, centroids.handle, ids?.handle ?? null, y.handle);
  return y;
}

function centroidShape({ shape, dtype }: Tensor): readonly [subspaces: number, count: number, width: number] {
  if (dtype !== 'f32') throw new TersorError('ERR_TERSOR_DTYPE', `expected centroids of f32, got ${dtype}`);
  const [subspaces = 0, count = 0, width = 0] = shape;
  if (shape.length === 3 && subspaces > 0 && (count === 256 || count === 16) && width > 0) {
    return [subspaces, count, width];
  }
  throw new TersorError(
    'ERR_TERSOR_SHAPE',
    `expected centroids of shape [subspaces, 256 or 16, width], got [${shape.join(', ')}]`,
  );
}
