import { type Bags, embeddingBag, gather, type LinearOptions, linear } from '../autograd';
import { isTracked } from '../autograd/tape';
import { TersorError } from '../errors';
import { native } from '../native';
import { empty, keep, type Tensor, tidy } from '../tensor';
import { bytesOf } from '../tensor/dtype';
import { assertFinite, type BlobReader, readTensor, toBlob } from './blob';
import type { Factors } from './factors';
import type { Product } from './integer';
import { panelProduct, repaysPacking } from './panels';
import { TrainableMatrix } from './trainable';
import type { MatmulOptions, StoredWeight, Weight } from './weight';

/**
 * A weight as it came: every number in f32, or in bf16 at half the bytes. Also holds biases and other vectors.
 *
 * Products with bf16 are those of the same numbers in f32: inputs are not rounded, so that only storing rounds.
 *
 * @example
 * const w = new Dense(tensor([[0.5, -2], [3, 0.25]], undefined, { dtype: 'bf16' }))
 * console.log(w.matmul(tensor([[1, 2]])).toArray()) // -3.5, 3.5
 */
export class Dense implements Weight {
  readonly kind = 'dense';
  /** The dtype of the numbers in a file. */
  readonly representation: 'f32' | 'bf16';
  /** bf16 until somebody asks for f32, which then takes its place. */
  private values: Tensor;
  /** Made by the first product: a table that is only gathered from never pays for it. */
  private packed: Product | null = null;

  /**
   * @param values f32 or bf16; the weight takes it over and frees it in `dispose`
   * @throws ERR_TERSOR_DTYPE; ERR_TERSOR_NOT_FINITE for NaN or infinity
   */
  constructor(values: Tensor) {
    const { dtype } = values;
    if (dtype !== 'f32' && dtype !== 'bf16') {
      throw new TersorError('ERR_TERSOR_DTYPE', `expected f32 or bf16, got ${dtype}, at the values of a dense weight`);
    }
    checkFinite(values);
    this.representation = dtype;
    this.values = keep(values);
  }

  get shape(): readonly number[] {
    return this.values.shape;
  }

  matmul(x: Tensor, options: LinearOptions = {}): Tensor {
    const { bias = null, residual = null } = options;
    if ([x, this.values, bias, residual].some(isTracked)) return linear(x, this.dense(), options);
    const product = this.panels();
    return product === null ? linear(x, this.dense(), options) : tidy(() => product.multiply(x, options));
  }

  matmulPlus(x: Tensor, factors: Factors, options: MatmulOptions): Tensor | null {
    return this.panels()?.multiplyPlus?.(x, factors, options) ?? null;
  }

  /** Null when products read the weight as it is. */
  private panels(): Product | null {
    // There is no other product with bf16.
    const packs = this.representation === 'bf16' ? this.shape.length === 2 : repaysPacking(this.shape);
    if (packs) this.packed ??= tidy(() => panelProduct(this.stored()));
    return this.packed;
  }

  gather(ids: Tensor): Tensor {
    return gather(this.values, ids);
  }

  bag(bags: Bags): Tensor {
    return embeddingBag(this.values, bags);
  }

  dense(): Tensor {
    if (this.values.dtype !== 'f32') {
      const numbers = keep(this.values.cast('f32'));
      this.values.dispose();
      this.values = numbers;
    }
    return this.values;
  }

  /** The values in the dtype of the file: the weight's own tensor, or one for `tidy` to free. */
  private stored(): Tensor {
    return this.values.dtype === this.representation ? this.values : this.values.cast(this.representation);
  }

  bytes(): number {
    return bytesOf(this.representation, this.shape);
  }

  parameters(): number {
    return this.values.size;
  }

  nonzeros(): number {
    return this.values.size;
  }

  macs(): number {
    return this.values.size;
  }

  trainable(): TrainableMatrix {
    return new TrainableMatrix({
      latent: this.values.dtype === 'f32' ? this.values.clone() : this.values.cast('f32'),
      storage: this.representation,
    });
  }

  store(): StoredWeight {
    return tidy(() => ({ tensors: new Map([['', toBlob(this.stored())]]), descriptor: null }));
  }

  dispose(): void {
    this.values.dispose();
    this.packed?.dispose();
  }

  /** @throws ERR_TERSOR_DTYPE for a dtype that is neither f32, f16 nor bf16; ERR_TERSOR_NOT_FINITE */
  static restore(reader: BlobReader): Dense {
    const { dtype, shape } = reader.read('');
    switch (dtype) {
      case 'F32':
        return new Dense(readTensor(reader, '', 'f32', shape));
      case 'F16':
      case 'BF16': {
        const values = readTensor(reader, '', dtype === 'F16' ? 'f16' : 'bf16', shape);
        const numbers = values.cast('f32');
        assertFinite(numbers.toArray() as Float32Array, reader.nameOf(''));
        return new Dense(dtype === 'F16' ? numbers : values);
      }
      default:
        throw new TersorError(
          'ERR_TERSOR_DTYPE',
          `expected F32, F16 or BF16, got ${dtype}, at tensor '${reader.nameOf('')}'`,
        );
    }
  }
}

/** Taking the range of the numbers finds NaN and infinity without copying them. */
function checkFinite(values: Tensor): void {
  if (values.size === 0) return;
  tidy(() => {
    const row = (values.dtype === 'f32' ? values : values.cast('f32')).reshape([1, values.size]);
    native.minMax(row.handle, values.size, empty([1, 1]).handle, empty([1, 1]).handle);
  });
}
