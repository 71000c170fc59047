import { type Bags, matmul } from '../autograd';
import { TersorError } from '../errors';
import { type Tensor, tidy } from '../tensor';
import { bagOfFactors } from './bag';
import type { BlobReader } from './blob';
import type { Descriptor, LowRankDescriptor } from './descriptor';
import { Factors } from './factors';
import type { StaticInput } from './input';
import { prefixed, restoreParts } from './parts';
import { served } from './served';
import { TrainableLowRank } from './trainable';
import { assertMatrix, type MatmulOptions, type StoredWeight, type Weight } from './weight';

/**
 * W [m, n] ≈ left [m, r] · right [r, n]; each factor is a dense, quantized or sparse weight. Products with dense f32 factors are one kernel,
 * which keeps what lies between them in cache.
 */
export class LowRank implements Weight {
  readonly kind = 'low-rank';
  readonly left: Weight;
  readonly right: Weight;
  private packed: Factors | null = null;

  /**
   * Takes both factors over.
   *
   * @throws ERR_TERSOR_SHAPE when they do not fit together; ERR_TERSOR_UNSUPPORTED for a factor that is itself a product
   */
  constructor(left: Weight, right: Weight) {
    assertMatrix(left.shape, 'a left factor');
    assertMatrix(right.shape, 'a right factor');
    if (left.shape[1] !== right.shape[0]) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected factors [m, r] and [r, n], got [${left.shape.join(', ')}] and [${right.shape.join(', ')}]`,
      );
    }
    if ([left.kind, right.kind].some((kind) => kind === 'low-rank' || kind === 'sum')) {
      throw new TersorError(
        'ERR_TERSOR_UNSUPPORTED',
        `expected factors that are no products or sums themselves, got ${left.representation} and ${right.representation}`,
      );
    }
    this.left = left;
    this.right = right;
  }

  get shape(): readonly [number, number] {
    return [this.left.shape[0] as number, this.right.shape[1] as number];
  }

  get representation(): string {
    return `rank ${this.right.shape[0]} (${this.left.representation})`;
  }

  get input(): StaticInput | null {
    return this.right.input ?? null;
  }

  matmul(x: Tensor, options?: MatmulOptions): Tensor {
    return served([x], () => {
      const factors = this.factors();
      if (factors !== null) return factors.multiply(x, options);
      return this.left.matmul(this.right.matmul(x, { reader: this.left.input ?? null }), options);
    });
  }

  /** The factors as one kernel reads both, made by the first product; null unless they are numbers in f32. */
  factors(): Factors | null {
    if (![this.left, this.right].every(({ kind, representation }) => kind === 'dense' && representation === 'f32')) {
      return null;
    }
    this.packed ??= new Factors(this.left.dense(), this.right.dense());
    return this.packed;
  }

  gather(ids: Tensor): Tensor {
    return tidy(() => matmul(this.left.gather(ids), this.right.dense()));
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfFactors(this.left, this.right, bags));
  }

  dense(): Tensor {
    return tidy(() => matmul(this.left.dense(), this.right.dense()));
  }

  bytes(): number {
    return this.left.bytes() + this.right.bytes();
  }

  parameters(): number {
    return this.left.parameters() + this.right.parameters();
  }

  nonzeros(): number {
    return this.left.nonzeros() + this.right.nonzeros();
  }

  macs(): number {
    return this.left.macs() + this.right.macs();
  }

  trainable(): TrainableLowRank {
    return new TrainableLowRank(this.left.trainable(), this.right.trainable());
  }

  store(): StoredWeight {
    const left = this.left.store();
    const right = this.right.store();
    return {
      tensors: new Map([...prefixed('left', left), ...prefixed('right', right)]),
      descriptor: {
        kind: 'low-rank',
        left: left.descriptor as LowRankDescriptor['left'],
        right: right.descriptor as LowRankDescriptor['right'],
      },
    };
  }

  dispose(): void {
    this.left.dispose();
    this.right.dispose();
    this.packed?.dispose();
  }

  /** @param restoreFactor reads one factor, given the reader of its blobs */
  static restore(
    reader: BlobReader,
    descriptor: LowRankDescriptor,
    restoreFactor: (reader: BlobReader, descriptor: Descriptor | null) => Weight,
  ): LowRank {
    return restoreParts(
      reader,
      descriptor,
      ['left', 'right'],
      restoreFactor,
      (left, right) => new LowRank(left, right),
    );
  }
}
