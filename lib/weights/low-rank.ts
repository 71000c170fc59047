import { type LinearOptions, matmul } from '../autograd';
import { TersorError } from '../errors';
import type { Tensor } from '../tensor';
import type { BlobReader } from './blob';
import type { Descriptor, LowRankDescriptor } from './descriptor';
import { TrainableLowRank } from './trainable';
import { type StoredWeight, storedBytes, type Weight } from './weight';

/** W [m, n] ≈ left [m, r] · right [r, n]; each factor is a weight of any kind. */
export class LowRank implements Weight {
  readonly kind = 'low-rank';
  readonly left: Weight;
  readonly right: Weight;

  /** Takes both factors over. */
  constructor(left: Weight, right: Weight) {
    if (left.shape.length !== 2 || right.shape.length !== 2 || left.shape[1] !== right.shape[0]) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected factors [m, r] and [r, n], got [${left.shape.join(', ')}] and [${right.shape.join(', ')}]`,
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

  matmul(x: Tensor, options?: LinearOptions): Tensor {
    return this.left.matmul(this.right.matmul(x), options);
  }

  gather(ids: Tensor): Tensor {
    return matmul(this.left.gather(ids), this.right.dense());
  }

  dense(): Tensor {
    return matmul(this.left.dense(), this.right.dense());
  }

  bytes(): number {
    return storedBytes(this.store());
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
  }

  /** @param restoreFactor reads one factor, given the reader of its blobs */
  static restore(
    reader: BlobReader,
    { left, right }: LowRankDescriptor,
    restoreFactor: (reader: BlobReader, descriptor: Descriptor | null) => Weight,
  ): LowRank {
    return new LowRank(restoreFactor(under('left', reader), left), restoreFactor(under('right', reader), right));
  }
}

function* prefixed(factor: string, { tensors }: StoredWeight) {
  for (const [blob, entry] of tensors) yield [join(factor, blob), entry] as const;
}

function under(factor: string, reader: BlobReader): BlobReader {
  return {
    nameOf: (blob) => reader.nameOf(join(factor, blob)),
    read: (blob) => reader.read(join(factor, blob)),
  };
}

function join(factor: string, blob: string): string {
  return blob === '' ? factor : `${factor}.${blob}`;
}
