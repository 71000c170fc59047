import { type Bags, embeddingBag, gather, type LinearOptions, linear } from '../autograd';
import { straightThrough } from '../autograd/fake-quantize';
import { keep, type Tensor, tidy } from '../tensor';
import { decodeRows, encodeRows, ProductQuantized } from './product-quantized';
import type { TrainableMatrix } from './trainable';
import type { TrainableWeight } from './weight';

/** Rows that are trained behind their product codes: the forward pass sees the nearest centroids, which stay as they are. */
export class TrainableProductQuantized implements TrainableWeight {
  private readonly latent: Tensor;
  private readonly centroids: Tensor;

  /** @param latent f32 [rows, columns]; @param centroids as of the packed weight; both are taken over */
  constructor(latent: Tensor, centroids: Tensor) {
    this.latent = keep(latent);
    this.centroids = keep(centroids);
  }

  get shape(): readonly number[] {
    return this.latent.shape;
  }

  matmul(x: Tensor, options?: LinearOptions): Tensor {
    return linear(x, this.dense(), options);
  }

  gather(ids: Tensor): Tensor {
    return gather(this.dense(), ids);
  }

  bag(bags: Bags): Tensor {
    return embeddingBag(this.dense(), bags);
  }

  dense(): Tensor {
    const codes = encodeRows(this.latent, this.centroids);
    return straightThrough(this.latent, decodeRows({ codes, centroids: this.centroids }, null));
  }

  unrounded(): Tensor {
    return this.latent;
  }

  parameters(): Tensor[] {
    return [this.latent];
  }

  state(): ReadonlyMap<string, Tensor> {
    return new Map([
      ['latent', this.latent],
      ['centroids', this.centroids],
    ]);
  }

  /** None: product codes are neither pruned nor quantized further. */
  matrices(): readonly TrainableMatrix[] {
    return [];
  }

  pack(): ProductQuantized {
    return tidy(() => ProductQuantized.from(this.latent, this.centroids.clone()));
  }

  dispose(): void {
    this.latent.dispose();
    this.centroids.dispose();
  }
}
