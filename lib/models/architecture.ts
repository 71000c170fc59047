import { TersorError } from '../errors';
import type { WeightSource } from '../nn/linear';
import type { Tensor } from '../tensor';

/** What a weight is for: which operation reads it decides its multiply-accumulates and the schemes that fit it. */
export type WeightRole = 'matmul' | 'embedding' | 'bias';

/** One named weight that a model needs. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: WeightRole;
}

/** A model without its weights: which ones it needs and how it computes. */
export interface Architecture {
  readonly kind: string;
  readonly weights: readonly WeightSpec[];
  /** Same code for serving and training: the source decides what a weight is. */
  forward(weights: WeightSource, inputs: readonly Tensor[]): Tensor;
  /** Valid inputs of `count` examples, always the same: what latency is measured on. */
  exampleInputs(count: number): Tensor[];
}

/** Shapes of the weights of a file, by weight name. */
export type WeightShapes = ReadonlyMap<string, readonly number[]>;

/** Reads a matrix's shape, or says what is missing. */
export function matrixShape(shapes: WeightShapes, name: string, kind: string): readonly [number, number] {
  const shape = shapes.get(name);
  if (shape?.length === 2) return shape as readonly [number, number];
  const got = shape === undefined ? 'none' : `shape [${shape.join(', ')}]`;
  throw new TersorError('ERR_TERSOR_SHAPE', `expected a matrix '${name}' in a model of kind '${kind}', got ${got}`);
}

/** Specs of a fully connected layer [out, in]. */
export function linearSpecs(layer: string, [out, input]: readonly [number, number]): WeightSpec[] {
  return [
    { name: `${layer}.weight`, shape: [out, input], role: 'matmul' },
    { name: `${layer}.bias`, shape: [out], role: 'bias' },
  ];
}

/** Numbers of consecutive layers `<prefix><n>.weight` present in a file, from `first` on. */
export function countLayers(shapes: WeightShapes, layerName: (n: number) => string, first: number): number {
  let n = first;
  while (shapes.has(`${layerName(n)}.weight`)) n++;
  return n - first;
}
