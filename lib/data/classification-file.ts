/** Labelled examples in one safetensors file: train.inputs, train.labels, test.inputs, test.labels. */
import { TersorError } from '../errors';
import { readSafetensors, type TensorEntry, writeSafetensors } from '../formats/safetensors';
import { type ClassificationData, type ClassificationSets, checkClassification } from './classification';

type Part = 'train' | 'test';

/** Options of {@link saveClassification}. */
export interface SaveClassificationOptions {
  /** `'u8'` stores inputs that are whole multiples of 1/255 (pixels) in a quarter of the bytes, without loss. Default `'f32'`. */
  readonly inputs?: 'f32' | 'u8';
}

/**
 * Reads a data set: `train.inputs` and `test.inputs` [n, …] (F32, or U8 which is scaled by 1/255), `train.labels` and `test.labels` [n]
 * (I64, I32 or U8). The number of classes is the metadata entry `classes`, else the largest label of both parts plus 1.
 *
 * @throws TersorError ERR_TERSOR_DATA for a missing tensor, another dtype or shape, parts that differ in features, and what
 *   {@link checkClassification} refuses; ERR_TERSOR_CORRUPT_FILE and ERR_TERSOR_IO as the reader throws them
 *
 * @example
 * const { train, test } = loadClassification('digits.safetensors');
 * console.log(train.labels.length, test.labels.length, train.features, train.classes);
 */
export function loadClassification(path: string): ClassificationSets {
  const { tensors, metadata } = readSafetensors(path);
  const read = (part: Part) => readPart(tensors, part, path);
  const train = read('train');
  const test = read('test');
  if (train.features !== test.features) {
    fail(`${train.features} features as in train.inputs`, `${test.features}`, `${path}: test.inputs`);
  }
  const classes =
    metadata.classes === undefined ? largestLabel([train, test]) + 1 : readClasses(metadata.classes, path);
  return {
    train: checkClassification({ ...train, classes }, `${path}: train`),
    test: checkClassification({ ...test, classes }, `${path}: test`),
  };
}

/**
 * Writes a data set that {@link loadClassification} gives back bit for bit.
 *
 * @returns bytes of the file
 * @throws TersorError ERR_TERSOR_DATA when the data are not usable, when the parts differ in features or classes, or when
 *   `inputs: 'u8'` would lose something; ERR_TERSOR_IO when it cannot be written
 *
 * @example
 * const toy = { inputs: new Float32Array([0, 1]), labels: new Int32Array([0, 1]), features: 1, classes: 2 };
 * saveClassification('toy.safetensors', { train: toy, test: toy });
 */
export function saveClassification(
  path: string,
  sets: ClassificationSets,
  options: SaveClassificationOptions = {},
): number {
  const { train, test } = sets;
  if (train.features !== test.features || train.classes !== test.classes) {
    fail(
      `${train.features} features and ${train.classes} classes as in train`,
      `${test.features} and ${test.classes}`,
      `${path}: test`,
    );
  }
  const entries = (['train', 'test'] as const).flatMap((part): [string, TensorEntry][] => {
    const data = checkClassification(sets[part], `${path}: ${part}`);
    const shape = [data.labels.length, data.features];
    const inputs: TensorEntry =
      options.inputs === 'u8'
        ? { dtype: 'U8', shape, data: toPixels(data, `${path}: ${part}.inputs`) }
        : { dtype: 'F32', shape, data: bytesOf(data.inputs) };
    return [
      [`${part}.inputs`, inputs],
      [`${part}.labels`, { dtype: 'I32', shape: [data.labels.length], data: bytesOf(data.labels) }],
    ];
  });
  return writeSafetensors(path, entries, { classes: String(train.classes) });
}

function readPart(tensors: Map<string, TensorEntry>, part: Part, path: string): Omit<ClassificationData, 'classes'> {
  const inputs = find(tensors, `${part}.inputs`, path);
  const labels = find(tensors, `${part}.labels`, path);
  const [rows, ...rest] = inputs.shape;
  if (rows === undefined || rest.length === 0) {
    fail('shape [n, …]', `[${inputs.shape.join(', ')}]`, `${path}: ${part}.inputs`);
  }
  if (labels.shape.length !== 1 || labels.shape[0] !== rows) {
    fail(`shape [${rows}]`, `[${labels.shape.join(', ')}]`, `${path}: ${part}.labels`);
  }
  return {
    inputs: toInputs(inputs, `${path}: ${part}.inputs`),
    labels: toLabels(labels, `${path}: ${part}.labels`),
    features: rest.reduce((product, size) => product * size, 1),
  };
}

function find(tensors: Map<string, TensorEntry>, name: string, path: string): TensorEntry {
  return tensors.get(name) ?? fail(`a tensor named '${name}'`, [...tensors.keys()].join(', ') || 'none', path);
}

function toInputs({ dtype, data }: TensorEntry, where: string): Float32Array {
  if (dtype === 'F32') return new Float32Array(aligned(data));
  if (dtype === 'U8') return Float32Array.from(data, (pixel) => pixel / 255);
  return fail('F32 or U8', dtype, where);
}

function toLabels({ dtype, data }: TensorEntry, where: string): Int32Array {
  if (dtype === 'I32') return new Int32Array(aligned(data));
  if (dtype === 'U8') return Int32Array.from(data);
  if (dtype !== 'I64') return fail('I64, I32 or U8', dtype, where);
  const wide = new BigInt64Array(aligned(data));
  return Int32Array.from(wide, (label, row) => {
    const narrow = Number(BigInt.asIntN(32, label));
    return BigInt(narrow) === label ? narrow : fail('a label in 32 bits', label, `${where}[${row}]`);
  });
}

function toPixels({ inputs, features }: ClassificationData, where: string): Uint8Array {
  return Uint8Array.from(inputs, (value, index) => {
    const pixel = Math.round(value * 255);
    if (pixel >= 0 && pixel <= 255 && Math.fround(pixel / 255) === value) return pixel;
    return fail('a multiple of 1/255 in 0..1', value, `${where}[${Math.floor(index / features)}, ${index % features}]`);
  });
}

function readClasses(text: string, path: string): number {
  const classes = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return classes >= 1 ? classes : fail('a number of classes', `'${text}'`, `${path}: metadata.classes`);
}

function largestLabel(parts: readonly { labels: Int32Array }[]): number {
  return parts.reduce((largest, { labels }) => labels.reduce((a, b) => Math.max(a, b), largest), 0);
}

/** Memory of its own, at an offset where wider elements may lie. */
function aligned(data: Uint8Array): ArrayBuffer {
  return new Uint8Array(data).buffer;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function fail(expected: string, got: unknown, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${String(got)}, at ${where}`);
}
