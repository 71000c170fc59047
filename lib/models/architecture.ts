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

/** Names in a message, and characters of each. */
const LISTED = 20;
const LONGEST = 80;

/** Reads a matrix's shape, or says what is missing. */
export function matrixShape(shapes: WeightShapes, name: string, kind: string): readonly [number, number] {
  const shape = shapes.get(name);
  if (shape?.length === 2) return shape as readonly [number, number];
  const got = shape === undefined ? 'none' : `shape [${shape.join(', ')}]`;
  throw new TersorError('ERR_TERSOR_SHAPE', `expected a matrix '${name}' in a model of kind '${kind}', got ${got}`);
}

/** @throws ERR_TERSOR_INVALID_ARGUMENT for a size that is no integer of at least `smallest` */
export function assertSizes(sizes: readonly number[], smallest: number, what: string): void {
  const bad = sizes.find((size) => !Number.isSafeInteger(size) || size < smallest);
  if (bad === undefined) return;
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected integers of ${smallest} or more as ${what}, got ${bad}`,
  );
}

/** Specs of a fully connected layer [out, in]. */
export function linearSpecs(layer: string, [out, input]: readonly [number, number]): WeightSpec[] {
  return [
    { name: `${layer}.weight`, shape: [out, input], role: 'matmul' },
    { name: `${layer}.bias`, shape: [out], role: 'bias' },
  ];
}

/**
 * The weights that an architecture needs, in its order.
 *
 * @throws ERR_TERSOR_SHAPE when one is missing, has another shape, or is not wanted
 */
export function matchWeights<W extends { readonly shape: readonly number[] }>(
  { kind, weights: specs }: Architecture,
  weights: ReadonlyMap<string, W>,
): ReadonlyMap<string, W> {
  const wanted = new Set(specs.map(({ name }) => name));
  const unexpected = [...weights.keys()].filter((name) => !wanted.has(name));
  if (unexpected.length > 0) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected the weights ${listNames(wanted)} in a model of kind '${kind}', got also ${listNames(unexpected)}`,
    );
  }
  return new Map(
    specs.map(({ name, shape }) => {
      const weight = weights.get(name);
      if (weight?.shape.join() !== shape.join()) {
        const got = weight === undefined ? 'none' : `[${weight.shape.join(', ')}]`;
        throw new TersorError(
          'ERR_TERSOR_SHAPE',
          `expected shape [${shape.join(', ')}], got ${got}, at weight '${name}' of a model of kind '${kind}'`,
        );
      }
      return [name, weight as W];
    }),
  );
}

/** Names for a message, which a file of thousands must not flood. */
export function listNames(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, LISTED).map((name) => (name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name));
  return shown.join(', ') + (all.length > LISTED ? ` and ${all.length - LISTED} more` : '');
}

/** Numbers of consecutive layers `<prefix><n>.weight` present in a file, from `first` on. */
export function countLayers(shapes: WeightShapes, layerName: (n: number) => string, first: number): number {
  let n = first;
  while (shapes.has(`${layerName(n)}.weight`)) n++;
  return n - first;
}
