import { add, type Bags, type LinearOptions } from '../autograd';
import { activate } from '../autograd/activations';
import type { Tensor } from '../tensor';
import { bagOfTerms, Sum } from './sum';
import type { TrainableMatrix } from './trainable';
import type { TrainableWeight } from './weight';

/** A weight and its correction under training, both at once. */
export class TrainableSum implements TrainableWeight {
  readonly weight: TrainableWeight;
  readonly correction: TrainableWeight;

  /** Takes both over. */
  constructor(weight: TrainableWeight, correction: TrainableWeight) {
    this.weight = weight;
    this.correction = correction;
  }

  get shape(): readonly number[] {
    return this.weight.shape;
  }

  matmul(x: Tensor, { bias = null, activation = null, residual = null }: LinearOptions = {}): Tensor {
    const y = add(this.weight.matmul(x, { bias }), this.correction.matmul(x));
    const activated = activation === null ? y : activate(activation, y);
    return residual === null ? activated : add(activated, residual);
  }

  gather(ids: Tensor): Tensor {
    return add(this.weight.gather(ids), this.correction.gather(ids));
  }

  bag(bags: Bags): Tensor {
    return bagOfTerms(this, bags);
  }

  dense(): Tensor {
    return add(this.weight.dense(), this.correction.dense());
  }

  unrounded(): Tensor {
    return add(this.weight.unrounded(), this.correction.unrounded());
  }

  parameters(): Tensor[] {
    return [...this.weight.parameters(), ...this.correction.parameters()];
  }

  state(): ReadonlyMap<string, Tensor> {
    return new Map([
      ...[...this.weight.state()].map(([name, t]) => [`weight.${name}`, t] as const),
      ...[...this.correction.state()].map(([name, t]) => [`correction.${name}`, t] as const),
    ]);
  }

  matrices(): readonly TrainableMatrix[] {
    return [...this.weight.matrices(), ...this.correction.matrices()];
  }

  pack(): Sum {
    return new Sum(this.weight.pack(), this.correction.pack());
  }

  dispose(): void {
    this.weight.dispose();
    this.correction.dispose();
  }
}
