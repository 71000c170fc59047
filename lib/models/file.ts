import { z } from 'zod';
import { TersorError } from '../errors';
import { readSafetensors, type Safetensors, type TensorEntry, writeSafetensors } from '../formats/safetensors';
import { renderHeader } from '../formats/safetensors-header';
import { nearest } from '../nearest';
import { type Descriptor, descriptorSchema, restoreWeight, type StoredWeight, type Weight } from '../weights';
import { describeIssue } from '../weights/descriptor';
import { type Architecture, listNames, matchWeights, type WeightShapes } from './architecture';
import { mlpFromShapes } from './mlp';
import { Model } from './model';
import { gmfFromShapes, ncfMlpFromShapes } from './ncf';

const ARCHITECTURES = {
  mlp: mlpFromShapes,
  gmf: gmfFromShapes,
  'ncf-mlp': ncfMlpFromShapes,
} satisfies Record<string, (shapes: WeightShapes) => Architecture>;

/** Kinds of model that a file can be loaded as. */
export type ModelKind = keyof typeof ARCHITECTURES;
export const MODEL_KINDS = Object.keys(ARCHITECTURES) as ModelKind[];

/** Characters of an unknown kind that a message shows. */
const LONGEST_KIND = 40;

/** Metadata keys of a file written by Tersor. */
const KIND_KEY = 'model';
const WEIGHTS_KEY = 'tersor.weights';
const descriptorsSchema = z.record(z.string(), descriptorSchema);

/** A model's file before it is written. */
interface StoredModel {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Record<string, string>;
}

/**
 * Loads a model from a safetensors file: one that Tersor wrote, or plain tensors under the names of its kind.
 *
 * @param path file
 * @param options.kind what the file holds; by default what its metadata says
 * @throws ERR_TERSOR_IO, ERR_TERSOR_CORRUPT_FILE, ERR_TERSOR_SHAPE when weights are missing or do not fit together,
 *   ERR_TERSOR_NOT_FINITE for NaN or infinite weights, ERR_TERSOR_INVALID_ARGUMENT for an unknown kind
 * @example
 * const model = tersor.loadModel('out/model.safetensors')
 * console.log(model.architecture.kind, model.bytes())
 */
export function loadModel(path: string, { kind }: { kind?: string | undefined } = {}): Model {
  const file = readSafetensors(path);
  try {
    return restoreModel(file, kind ?? file.metadata[KIND_KEY]);
  } catch (error) {
    // Errors of the container itself name the file already.
    if (!(error instanceof TersorError) || error.message.includes(path)) throw error;
    throw new TersorError(error.code, `${error.message}, in ${path}`, { cause: error });
  }
}

function restoreModel(
  { tensors, metadata }: Pick<Safetensors, 'tensors' | 'metadata'>,
  kind: string | undefined,
): Model {
  const descriptors = parseDescriptors(metadata[WEIGHTS_KEY]);
  const shapes = weightShapes(tensors, descriptors);
  const architecture = ARCHITECTURES[parseKind(kind)](shapes);
  // Before a weight is read: what a description claims costs no memory until the other weights bear it out.
  matchWeights(architecture, new Map([...shapes].map(([name, shape]) => [name, { shape }])));
  const unread = new Set(tensors.keys());
  const source = {
    get(name: string) {
      unread.delete(name);
      return tensors.get(name);
    },
  };
  const weights = new Map<string, Weight>();
  try {
    for (const { name } of architecture.weights) {
      weights.set(name, restoreWeight(name, source, descriptors.get(name) ?? null));
    }
    if (unread.size > 0) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected only tensors of a model of kind '${architecture.kind}', got also ${listNames(unread)}`,
      );
    }
    return new Model(architecture, weights);
  } catch (error) {
    for (const weight of weights.values()) weight.dispose();
    throw error;
  }
}

/**
 * Writes a model as safetensors, atomically. Plain weights keep their names, so other tools read them.
 *
 * @returns bytes of the file
 * @throws ERR_TERSOR_IO
 */
export function saveModel(model: Model, path: string): number {
  const { tensors, metadata } = storeModel(model);
  return writeSafetensors(path, tensors, metadata);
}

/** Bytes that {@link saveModel} would write. */
export function modelFileBytes(model: Model): number {
  const { tensors, metadata } = storeModel(model);
  const header = renderHeader(
    [...tensors].map(([name, entry]) => ({ name, ...entry })),
    metadata,
    'memory',
  );
  return [...tensors.values()].reduce((bytes, { data }) => bytes + data.byteLength, header.start.byteLength);
}

function storeModel(model: Model): StoredModel {
  const stored = [...model.weights].map(([name, weight]) => [name, weight.store()] as const);
  const descriptors = Object.fromEntries(
    stored.flatMap(([name, { descriptor }]) => (descriptor ? [[name, descriptor]] : [])),
  );
  const metadata: Record<string, string> = { format: 'pt', [KIND_KEY]: model.architecture.kind };
  if (Object.keys(descriptors).length > 0) metadata[WEIGHTS_KEY] = JSON.stringify(descriptors);
  return { tensors: new Map(stored.flatMap(([name, weight]) => named(name, weight))), metadata };
}

function named(name: string, { tensors }: StoredWeight): [string, TensorEntry][] {
  return [...tensors].map(([blob, entry]) => [blob === '' ? name : `${name}.${blob}`, entry]);
}

function parseKind(kind: string | undefined): ModelKind {
  if (kind !== undefined && Object.hasOwn(ARCHITECTURES, kind)) return kind as ModelKind;
  const name = kind?.slice(0, LONGEST_KIND);
  const meant = name === undefined ? undefined : nearest(name, MODEL_KINDS);
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected a model kind (${MODEL_KINDS.join(', ')}), got ${name === undefined ? 'none' : `'${name}'`}` +
      (meant === undefined ? '' : ` (did you mean '${meant}'?)`),
  );
}

function parseDescriptors(json: string | undefined): ReadonlyMap<string, Descriptor> {
  if (json === undefined) return new Map();
  try {
    return new Map(Object.entries(descriptorsSchema.parse(JSON.parse(json))));
  } catch (cause) {
    const got = cause instanceof z.ZodError ? describeIssue(cause) : 'text that is not JSON';
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected descriptions of weights, got ${got}, at metadata '${WEIGHTS_KEY}'`,
      { cause },
    );
  }
}

/** Shapes of the weights themselves: a described one's from its description, every other tensor's own. */
function weightShapes(
  tensors: ReadonlyMap<string, TensorEntry>,
  descriptors: ReadonlyMap<string, Descriptor>,
): WeightShapes {
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of tensors) if (!isBlob(name, descriptors)) shapes.set(name, shape);
  for (const [name, descriptor] of descriptors) shapes.set(name, describedShape(name, descriptor, tensors));
  return shapes;
}

/** Whether a tensor is `<described weight>.<blob>`, of a part as `<described weight>.<part>.<blob>`, and so on. */
function isBlob(name: string, descriptors: ReadonlyMap<string, Descriptor>): boolean {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    if (descriptors.has(name.slice(0, dot))) return true;
  }
  return false;
}

function describedShape(
  name: string,
  descriptor: Descriptor,
  tensors: ReadonlyMap<string, TensorEntry>,
): readonly [number, number] {
  const shapeOf = (part: string, described: Descriptor | null): readonly number[] =>
    described === null
      ? (tensors.get(`${name}.${part}`)?.shape ?? [])
      : describedShape(`${name}.${part}`, described, tensors);
  if (descriptor.kind === 'low-rank') {
    return [shapeOf('left', descriptor.left)[0] ?? 0, shapeOf('right', descriptor.right)[1] ?? 0];
  }
  if (descriptor.kind === 'sum') {
    const [rows = 0, columns = 0] = shapeOf('weight', descriptor.weight);
    return [rows, columns];
  }
  return descriptor.shape;
}
