import type { Bags, LinearOptions } from '../autograd';
import { TersorError } from '../errors';
import type { TensorEntry } from '../formats/safetensors';
import type { Tensor } from '../tensor';
import type { Descriptor } from './descriptor';
import type { Factors } from './factors';
import type { StaticInput } from './input';
import type { TrainableMatrix } from './trainable';

/** What a served product may do beside a linear map. */
export interface MatmulOptions extends LinearOptions {
  /**
   * Fixed quantization of whoever reads the result: a weight that multiplies integers then returns u8 codes of it, which it makes while the
   * result is in cache. Every other weight ignores it and returns f32.
   */
  readonly reader?: StaticInput | null;
}

/** What a layer needs of a weight W [out, in], whether it is being trained or served. */
export interface LinearOperator {
  readonly shape: readonly number[];
  /** y = activation(x · Wᵀ + bias) + residual: f32 [n, in] → f32 [n, out]. */
  matmul(x: Tensor, options?: MatmulOptions): Tensor;
  /** Fixed quantization of the inputs, when `matmul` takes u8 codes of it as well as f32. */
  readonly input?: StaticInput | null;
  /** Rows of W: i32 [n] → f32 [n, in]. */
  gather(ids: Tensor): Tensor;
  /** Sum, mean or maximum of rows of W for each bag of ids: f32 [bags, in]. */
  bag(bags: Bags): Tensor;
  /** W as f32. A Dense weight and a trained one hand out a tensor that they own; the caller leaves freeing to `tidy`. */
  dense(): Tensor;
  /** Frees the native memory. */
  dispose(): void;
}

/** A weight in the form in which it is stored and served. Immutable. */
export interface Weight extends LinearOperator {
  readonly kind:
    | 'dense'
    | 'quantized'
    | 'sparse'
    | 'semi-structured'
    | 'block-sparse'
    | 'low-rank'
    | 'sum'
    | 'product-quantized';
  /** As `matmul`, with this weight plus one of low rank, in one pass of one kernel; null where there is none. */
  matmulPlus?(x: Tensor, factors: Factors, options: MatmulOptions): Tensor | null;
  /** Short text for tables, such as "int8 per channel, 80.0 % sparse". */
  readonly representation: string;
  /** Bytes of everything that a runtime needs: codes, scales, zero points, indices. Equal to the bytes in the file, without its header. */
  bytes(): number;
  /** Numbers that the representation holds, zeros of a mask included. */
  parameters(): number;
  /** Numbers that may differ from zero. */
  nonzeros(): number;
  /** Multiply-accumulates of one matmul row. */
  macs(): number;
  /** A copy that autograd can train; packing it again gives this kind of representation. */
  trainable(): TrainableWeight;
  /** The file form: see {@link StoredWeight}. */
  store(): StoredWeight;
}

/** A weight while it is trained: float parameters behind masks and fake quantization. */
export interface TrainableWeight extends LinearOperator {
  /** Tensors that an optimizer updates in place. */
  parameters(): Tensor[];
  /** Everything that a checkpoint must hold to continue with the same bits, by name; loading writes into these tensors. */
  state(): ReadonlyMap<string, Tensor>;
  /** The float weight that packing rounds: masked, not yet quantized. */
  unrounded(): Tensor;
  /** Every matrix inside, itself or its factors: what pruning and quantization act on. */
  matrices(): readonly TrainableMatrix[];
  /** The representation that training has led to. */
  pack(): Weight;
}

/** A weight as named blobs: the blob called '' takes the weight's own name in the file, others are `<weight>.<blob>`. */
export interface StoredWeight {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** How to read the blobs back; null for a plain tensor. */
  readonly descriptor: Descriptor | null;
}

/** Bytes of all blobs. */
export function storedBytes(stored: StoredWeight): number {
  let bytes = 0;
  for (const { data } of stored.tensors.values()) bytes += data.byteLength;
  return bytes;
}

/** @throws ERR_TERSOR_SHAPE unless the shape is [rows, columns] with at least one column */
export function assertMatrix(shape: readonly number[], what: string): asserts shape is readonly [number, number] {
  if (shape.length === 2 && (shape[1] as number) > 0) return;
  throw new TersorError(
    'ERR_TERSOR_SHAPE',
    `expected ${what} of shape [rows, columns] with at least one column, got [${shape.join(', ')}]`,
  );
}
