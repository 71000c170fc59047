import {
  type Bags,
  embeddingBag,
  fakeQuantize,
  gather,
  type LinearOptions,
  linear,
  matmul,
  multiply,
} from '../autograd';
import { straightThrough } from '../autograd/fake-quantize';
import { TersorError } from '../errors';
import { Binary, native } from '../native';
import { keep, type Tensor, tidy } from '../tensor';
import { bagOfFactors } from './bag';
import { BlockSparse, takesCodes } from './block-sparse';
import { codebookFor, decode, encode } from './codebook';
import { Dense } from './dense';
import {
  DynamicRounding,
  InputObserver,
  type InputPrecision,
  type InputQuantization,
  type InputRounding,
  inputRounding,
  type ObserverOptions,
} from './input';
import { LowRank } from './low-rank';
import { type BlockPattern, isPattern, type SparsityPattern } from './pattern';
import { quantizeMatrix } from './quantized';
import { affineFor, assertIntegerProduct, assertIntegerScheme, assertScheme, type QuantizationScheme } from './scheme';
import { SemiStructured } from './semi-structured';
import { Sparse } from './sparse';
import { assertMatrix, type TrainableWeight, type Weight } from './weight';

/** What a {@link TrainableMatrix} starts from; it takes the tensors over. */
export interface TrainableMatrixParts {
  readonly latent: Tensor;
  readonly mask?: Tensor | null;
  /** What the mask keeps to. */
  readonly pattern?: SparsityPattern | BlockPattern | null;
  readonly scheme?: QuantizationScheme | null;
  /** Of a scheme that has one; default: the one that the scheme chooses for the matrix. */
  readonly codebook?: Tensor | null;
  readonly input?: InputQuantization | null;
  /** Of the packed weight, when it is a quantized one; training sees inputs as they are. */
  readonly inputPrecision?: InputPrecision | null;
  /** Of the packed weight, when it is neither pruned nor quantized. Default 'f32'. */
  readonly storage?: 'f32' | 'bf16';
}

/**
 * A float matrix under training. What the forward pass sees is the matrix times its mask, fake-quantized by its scheme; packing
 * applies the same rounding once more and drops the zeros, so the accuracy measured in training is the accuracy shipped.
 *
 * A combination that no packed weight has throws ERR_TERSOR_UNSUPPORTED when it is asked for, not when training is over: quantized inputs
 * and masks need symmetric codes of 2 bits or more with one scale per row at most; quantized inputs need a quantized weight.
 */
export class TrainableMatrix implements TrainableWeight {
  /** f32, updated in place by the optimizer. */
  readonly latent: Tensor;
  private mask: Tensor | null;
  private pattern: SparsityPattern | BlockPattern | null;
  private scheme: QuantizationScheme | null;
  /** The values of codes, if those have any: chosen with the scheme, and fixed while the matrix is trained. */
  private codebook: Tensor | null;
  private observer: InputRounding | null;
  private readonly inputPrecision: InputPrecision | null;
  private readonly storage: 'f32' | 'bf16';

  constructor(parts: TrainableMatrixParts) {
    const { latent, mask = null, pattern = null, scheme = null, input = null } = parts;
    const { inputPrecision = null, storage = 'f32' } = parts;
    assertPackable(latent.shape, { masked: mask !== null, scheme, inputs: input !== null });
    this.latent = keep(latent);
    this.mask = mask === null ? null : keep(mask);
    this.pattern = pattern;
    this.scheme = scheme;
    this.codebook = scheme === null ? null : keepOptional(parts.codebook ?? this.choose(scheme));
    this.observer = input === null ? null : inputRounding(input);
    this.inputPrecision = inputPrecision;
    this.storage = storage;
  }

  get shape(): readonly number[] {
    return this.latent.shape;
  }

  matmul(x: Tensor, options?: LinearOptions): Tensor {
    return linear(this.observer === null ? x : this.observer.fakeQuantize(x), this.dense(), options);
  }

  gather(ids: Tensor): Tensor {
    return gather(this.dense(), ids);
  }

  bag(bags: Bags): Tensor {
    return embeddingBag(this.dense(), bags);
  }

  dense(): Tensor {
    const masked = this.unrounded();
    const { scheme, codebook } = this;
    if (scheme === null) return masked;
    const affine = affineFor(masked, scheme);
    if (codebook === null) return fakeQuantize(masked, affine);
    return straightThrough(masked, decode(encode(masked, scheme, affine, codebook), affine, codebook, null));
  }

  unrounded(): Tensor {
    return this.mask === null ? this.latent : multiply(this.latent, this.mask);
  }

  /** Zeroes what the mask removes, in the latent matrix too, so that it stays removed when masks are chosen again. */
  applyMask(): void {
    if (this.mask !== null) native.binary(Binary.multiply, this.latent.handle, this.mask.handle, this.latent.handle);
  }

  /**
   * Prunes: elements whose mask is 0 become 0 and stay so.
   *
   * @param mask f32 of the matrix's shape, 0 or 1; taken over
   * @param pattern what the mask keeps to: packing then gives a weight with kernels for it, if there are any for its codes
   * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_UNSUPPORTED
   */
  prune(mask: Tensor, pattern: SparsityPattern | BlockPattern | null = null): void {
    if (mask.shape.join() !== this.shape.join()) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected a mask of shape [${this.shape.join(', ')}], got [${mask.shape.join(', ')}]`,
      );
    }
    this.assertPackable({ masked: true });
    if (this.mask === null) this.mask = keep(mask);
    else {
      // In place: a running checkpoint holds on to this tensor.
      this.mask.copyFrom(mask);
      mask.dispose();
    }
    this.pattern = pattern;
    this.applyMask();
  }

  /**
   * Trains under fake quantization from now on.
   *
   * @throws ERR_TERSOR_UNSUPPORTED, ERR_TERSOR_INVALID_ARGUMENT, ERR_TERSOR_SHAPE for a vector
   */
  quantize(scheme: QuantizationScheme): void {
    this.assertPackable({ scheme });
    const codebook = this.choose(scheme);
    this.codebook?.dispose();
    this.scheme = scheme;
    this.codebook = keepOptional(codebook);
  }

  /**
   * Rounds the inputs to uint8 from now on: by a range that is observed, or 'dynamic': each row by its own.
   *
   * @throws ERR_TERSOR_UNSUPPORTED
   */
  quantizeInputs(options: ObserverOptions | 'dynamic'): void {
    this.assertPackable({ inputs: true });
    this.observer?.dispose();
    this.observer = options === 'dynamic' ? new DynamicRounding() : new InputObserver(options);
  }

  /** Whether the input range follows the batches (training, calibration) or stays (evaluation). */
  observe(observing: boolean): void {
    if (this.observer !== null) this.observer.observing = observing;
  }

  parameters(): Tensor[] {
    return [this.latent];
  }

  state(): ReadonlyMap<string, Tensor> {
    const state = new Map([['latent', this.latent]]);
    if (this.mask !== null) state.set('mask', this.mask);
    if (this.codebook !== null) state.set('codebook', this.codebook);
    for (const [name, part] of this.observer?.state() ?? []) state.set(name, part);
    return state;
  }

  matrices(): readonly TrainableMatrix[] {
    return [this];
  }

  pack(): Weight {
    const input = this.observer?.quantization() ?? null;
    if (this.mask !== null) {
      this.applyMask();
      return this.packSparse(input);
    }
    if (this.scheme !== null) {
      const packed = quantizeMatrix(this.latent, this.scheme, input, 'min-max', this.codebook);
      if (input !== null || this.inputPrecision === null) return packed;
      const rounding = packed.withInputPrecision(this.inputPrecision);
      packed.dispose();
      return rounding;
    }
    return new Dense(this.storage === 'f32' ? this.latent.clone() : this.latent.cast(this.storage));
  }

  dispose(): void {
    this.latent.dispose();
    this.mask?.dispose();
    this.codebook?.dispose();
    this.observer?.dispose();
  }

  /** As the pattern's own representation where that has kernels for the values, else by nonzeros. */
  private packSparse(input: InputQuantization | null): Weight {
    const { latent, pattern, scheme } = this;
    if (pattern === null) return Sparse.from(latent, scheme, input);
    if (isPattern(pattern)) return SemiStructured.from(latent, pattern, scheme, input);
    const hasKernels = scheme === null || takesCodes(pattern);
    return hasKernels ? BlockSparse.from(latent, pattern, scheme, input) : Sparse.from(latent, scheme, input);
  }

  private choose(scheme: QuantizationScheme): Tensor | null {
    return tidy(() => codebookFor(this.latent, scheme, affineFor(this.latent, scheme)));
  }

  /** Checks the state that a change would lead to. */
  private assertPackable(change: Partial<Compression>): void {
    const now = { masked: this.mask !== null, scheme: this.scheme, inputs: this.observer !== null };
    assertPackable(this.shape, { ...now, ...change });
  }
}

function keepOptional(x: Tensor | null): Tensor | null {
  return x === null ? null : keep(x);
}

/** What a packed weight would have to be. */
export interface Compression {
  readonly masked: boolean;
  readonly scheme: QuantizationScheme | null;
  readonly inputs: boolean;
}

/** @throws ERR_TERSOR_UNSUPPORTED for a combination that no packed weight has; ERR_TERSOR_INVALID_ARGUMENT; ERR_TERSOR_SHAPE */
export function assertPackable(shape: readonly number[], { masked, scheme, inputs }: Compression): void {
  if (scheme !== null) assertScheme(scheme, shape);
  if (masked) assertMatrix(shape, 'a weight to prune');
  if (masked && scheme !== null) assertIntegerScheme(scheme, 'a sparse weight');
  if (inputs) assertIntegerProduct(scheme, shape);
}

/** Two factors under training. */
export class TrainableLowRank implements TrainableWeight {
  private readonly left: TrainableWeight;
  private readonly right: TrainableWeight;

  /** @param left [m, r]; @param right [r, n]; both are taken over */
  constructor(left: TrainableWeight, right: TrainableWeight) {
    this.left = left;
    this.right = right;
  }

  get shape(): readonly number[] {
    return [this.left.shape[0] as number, this.right.shape[1] as number];
  }

  matmul(x: Tensor, options?: LinearOptions): Tensor {
    return this.left.matmul(this.right.matmul(x), options);
  }

  gather(ids: Tensor): Tensor {
    return matmul(this.left.gather(ids), this.right.dense());
  }

  bag(bags: Bags): Tensor {
    return bagOfFactors(this.left, this.right, bags);
  }

  dense(): Tensor {
    return matmul(this.left.dense(), this.right.dense());
  }

  unrounded(): Tensor {
    return matmul(this.left.unrounded(), this.right.unrounded());
  }

  parameters(): Tensor[] {
    return [...this.left.parameters(), ...this.right.parameters()];
  }

  state(): ReadonlyMap<string, Tensor> {
    return new Map([
      ...[...this.left.state()].map(([name, t]) => [`left.${name}`, t] as const),
      ...[...this.right.state()].map(([name, t]) => [`right.${name}`, t] as const),
    ]);
  }

  matrices(): readonly TrainableMatrix[] {
    return [...this.left.matrices(), ...this.right.matrices()];
  }

  pack(): Weight {
    return new LowRank(this.left.pack(), this.right.pack());
  }

  dispose(): void {
    this.left.dispose();
    this.right.dispose();
  }
}
