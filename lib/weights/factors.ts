import { epilogueArguments } from '../autograd';
import { type LowRankArguments, native } from '../native';
import { empty, keep, type Tensor } from '../tensor';
import type { MatmulOptions } from './weight';

/** The factors of a weight of low rank, copied once into the order in which the device's kernels read them. */
export class Factors {
  private readonly shape: readonly [number, number];
  private readonly rank: number;
  private readonly packed: Tensor;

  /**
   * @param left f32 [rows, rank]; stays the caller's
   * @param right f32 [rank, columns]; stays the caller's
   */
  constructor(left: Tensor, right: Tensor) {
    const [rows, rank] = left.shape as readonly [number, number];
    this.shape = [rows, right.shape[1] as number];
    this.rank = rank;
    this.packed = keep(empty([native.lowRankElements(...this.shape, rank, left.device)], 'f32', left.device));
    native.packLowRank(left.handle, right.handle, this.packed.handle);
  }

  /** x · (left · right)ᵀ without a copy of what lies between: f32 [n, columns] → f32 [n, rows]. */
  multiply(x: Tensor, options: MatmulOptions = {}): Tensor {
    const y = empty([x.shape[0] ?? 0, this.shape[0]]);
    native.lowRankGemm(x.handle, ...this.shape, ...this.arguments(), ...epilogueArguments(options), y.handle);
    return y;
  }

  /** What kernels take beside the arguments of the weight that these are added to. */
  arguments(): LowRankArguments {
    return [this.packed.handle, this.rank];
  }

  dispose(): void {
    this.packed.dispose();
  }
}
