import { type Bags, embeddingBag, gather, type LinearOptions, linear } from '../autograd';
import { isTracked } from '../autograd/tape';
import { TersorError } from '../errors';
import { native } from '../native';
import { empty, keep, type Tensor, tidy } from '../tensor';
import { assertFinite, type BlobReader, readTensor, toBlob } from './blob';
import type { Product } from './integer';
import { panelProduct, repaysPacking } from './panels';
import { TrainableMatrix } from './trainable';
import type { StoredWeight, Weight } from './weight';

/** A weight as it came: every number in f32. Also holds biases and other vectors. */
export class Dense implements Weight {
  readonly kind = 'dense';
  readonly representation = 'f32';
  private readonly values: Tensor;
  /** Made by the first product: a table that is only gathered from never pays for it. */
  private packed: Product | null = null;

  /**
   * @param values f32; the weight takes it over and frees it in `dispose`
   * @throws ERR_TERSOR_DTYPE; ERR_TERSOR_NOT_FINITE for NaN or infinity
   */
  constructor(values: Tensor) {
    if (values.dtype !== 'f32') {
      throw new TersorError('ERR_TERSOR_DTYPE', `expected f32, got ${values.dtype}, at the values of a dense weight`);
    }
    checkFinite(values);
    this.values = keep(values);
  }

  get shape(): readonly number[] {
    return this.values.shape;
  }

  matmul(x: Tensor, options: LinearOptions = {}): Tensor {
    const { bias = null, residual = null } = options;
    if ([x, this.values, bias, residual].some(isTracked) || !repaysPacking(this.shape)) {
      return linear(x, this.values, options);
    }
    this.packed ??= tidy(() => panelProduct(this.values));
    const { packed } = this;
    return tidy(() => packed.multiply(x, options));
  }

  gather(ids: Tensor): Tensor {
    return gather(this.values, ids);
  }

  bag(bags: Bags): Tensor {
    return embeddingBag(this.values, bags);
  }

  dense(): Tensor {
    return this.values;
  }

  bytes(): number {
    return this.values.bytes;
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
    return new TrainableMatrix({ latent: this.values.clone() });
  }

  store(): StoredWeight {
    return { tensors: new Map([['', toBlob(this.values)]]), descriptor: null };
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
        const values = readTensor(reader, '', dtype === 'F16' ? 'f16' : 'bf16', shape).cast('f32');
        assertFinite(values.toArray() as Float32Array, reader.nameOf(''));
        return new Dense(values);
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
    const row = values.reshape([1, values.size]);
    native.minMax(row.handle, values.size, empty([1, 1]).handle, empty([1, 1]).handle);
  });
}
