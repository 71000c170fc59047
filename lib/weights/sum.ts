import { add, type Bags } from '../autograd';
import { activate } from '../autograd/activations';
import { TersorError } from '../errors';
import { type Tensor, tidy } from '../tensor';
import { bagOfGathered } from './bag';
import type { BlobReader } from './blob';
import type { Descriptor, SumDescriptor } from './descriptor';
import { LowRank } from './low-rank';
import { prefixed, restoreParts } from './parts';
import { served } from './served';
import { TrainableSum } from './trainable-sum';
import { assertMatrix, type MatmulOptions, type StoredWeight, type Weight } from './weight';

/**
 * W ≈ weight + correction, such as codes and a low-rank form of what rounding lost, or a sparse weight and low-rank factors.
 *
 * A dense weight or codes with f32 factors have one kernel, which adds the factors' product to the sums of the other while these are in
 * cache. Otherwise each keeps its own, and the second product adds the first one's result.
 */
export class Sum implements Weight {
  readonly kind = 'sum';
  readonly weight: Weight;
  readonly correction: Weight;

  /**
   * Takes both weights over.
   *
   * @throws ERR_TERSOR_SHAPE when their shapes differ; ERR_TERSOR_UNSUPPORTED for a weight that is itself a sum
   * @example
   * const codes = tersor.quantizeMatrix(tersor.tensor([[0.9, 0.1]]), { bits: 2, scheme: 'symmetric', granularity: 'tensor' })
   * const weight = new tersor.Sum(codes, new tersor.Dense(tersor.tensor([[0.125, 0.25]])))
   * console.log(weight.matmul(tersor.tensor([[0, 4]])).item()) // 1: the codes alone give 0
   */
  constructor(weight: Weight, correction: Weight) {
    assertMatrix(weight.shape, 'a weight to correct');
    if (weight.shape.join() !== correction.shape.join()) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected a correction of shape [${weight.shape.join(', ')}], got [${correction.shape.join(', ')}]`,
      );
    }
    if (weight.kind === 'sum' || correction.kind === 'sum') {
      throw new TersorError(
        'ERR_TERSOR_UNSUPPORTED',
        `expected terms that are no sums themselves, got ${weight.representation} and ${correction.representation}`,
      );
    }
    this.weight = weight;
    this.correction = correction;
  }

  get shape(): readonly [number, number] {
    return this.weight.shape as readonly [number, number];
  }

  get representation(): string {
    return `${this.weight.representation} + ${this.correction.representation}`;
  }

  matmul(x: Tensor, { bias = null, activation = null, residual = null }: MatmulOptions = {}): Tensor {
    return served([x], () => {
      const factors = this.correction instanceof LowRank ? this.correction.factors() : null;
      const together = factors && this.weight.matmulPlus?.(x, factors, { bias, activation, residual });
      if (together) return together;
      // Whatever is added last goes into the first product, unless an activation stands between.
      const part = this.correction.matmul(x, activation === null ? { residual } : {});
      const y = this.weight.matmul(x, { bias, residual: part });
      if (activation === null) return y;
      const activated = activate(activation, y);
      return residual === null ? activated : add(activated, residual);
    });
  }

  gather(ids: Tensor): Tensor {
    return tidy(() => add(this.weight.gather(ids), this.correction.gather(ids)));
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfTerms(this, bags));
  }

  dense(): Tensor {
    return tidy(() => add(this.weight.dense(), this.correction.dense()));
  }

  bytes(): number {
    return this.weight.bytes() + this.correction.bytes();
  }

  parameters(): number {
    return this.weight.parameters() + this.correction.parameters();
  }

  nonzeros(): number {
    return this.weight.nonzeros() + this.correction.nonzeros();
  }

  macs(): number {
    return this.weight.macs() + this.correction.macs();
  }

  trainable(): TrainableSum {
    return new TrainableSum(this.weight.trainable(), this.correction.trainable());
  }

  store(): StoredWeight {
    const weight = this.weight.store();
    const correction = this.correction.store();
    return {
      tensors: new Map([...prefixed('weight', weight), ...prefixed('correction', correction)]),
      descriptor: {
        kind: 'sum',
        weight: weight.descriptor as SumDescriptor['weight'],
        correction: correction.descriptor as SumDescriptor['correction'],
      },
    };
  }

  dispose(): void {
    this.weight.dispose();
    this.correction.dispose();
  }

  /** @param restoreTerm reads one of the two, given the reader of its blobs */
  static restore(
    reader: BlobReader,
    descriptor: SumDescriptor,
    restoreTerm: (reader: BlobReader, descriptor: Descriptor | null) => Weight,
  ): Sum {
    return restoreParts(reader, descriptor, ['weight', 'correction'], restoreTerm, (weight, correction) => {
      return new Sum(weight, correction);
    });
  }
}

/** A sum or mean of rows goes through the sum of matrices, a maximum does not. */
export function bagOfTerms(
  sum: Pick<Sum, 'gather'> & { weight: BagSource; correction: BagSource },
  bags: Bags,
): Tensor {
  return bags.mode === 'max' ? bagOfGathered(sum, bags) : add(sum.weight.bag(bags), sum.correction.bag(bags));
}

type BagSource = Pick<Weight, 'bag'>;
