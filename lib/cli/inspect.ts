import { readSafetensors, type Safetensors } from '../formats/safetensors';
import { byteLength } from '../formats/safetensors-header';
import { loadModel, MODEL_KINDS } from '../models';
import { formatBytes, formatCount } from '../report/format';
import type { Result } from './command';
import { modelFile } from './model-file';
import { printable, renderRows } from './table';

/** One weight of a model, or one tensor of a file that is no model. */
interface Row {
  readonly name: string;
  readonly representation: string;
  readonly shape: readonly number[];
  /** Stored bits for each element of the shape, everything that belongs to the weight counted; null without elements. */
  readonly bitsPerElement: number | null;
  readonly bytes: number;
  readonly parameters: number;
  /** Null when the data would have to be read to know it. */
  readonly nonzeros: number | null;
}

/**
 * `tersor inspect`: the weights of a model. A safetensors file whose kind of model is neither given nor in its metadata is listed
 * tensor by tensor.
 */
export function inspect(given: string, { model: kind }: { model?: string }): Result {
  const file = modelFile(given);
  const opened = readSafetensors(file);
  const isModel = kind !== undefined || MODEL_KINDS.some((known) => known === opened.metadata.model);
  const found = isModel ? readWeights(file, kind) : { kind: null, macs: null, weights: readTensors(opened) };
  const totals = {
    bytes: total(found.weights.map(({ bytes }) => bytes)),
    parameters: total(found.weights.map(({ parameters }) => parameters)),
    nonzeros: isModel ? total(found.weights.map(({ nonzeros }) => nonzeros ?? 0)) : null,
  };
  const { metadata, fileBytes } = opened;
  const heading = `${file}: ${found.kind === null ? 'tensors' : `model of kind ${found.kind}`}, ${formatBytes(fileBytes)} on disk`;
  const macs = found.macs === null ? '' : `\n${formatCount(found.macs)} multiply-accumulates for one example`;
  const text = [printable(heading) + macs, weightTable(found.weights, totals), metadataTable(metadata)];
  return {
    json: { file, fileBytes, kind: found.kind, macs: found.macs, totals, weights: found.weights, metadata },
    text: text.filter((part) => part !== '').join('\n\n'),
  };
}

function readWeights(file: string, given: string | undefined): { kind: string; macs: number; weights: Row[] } {
  const model = loadModel(file, { kind: given });
  try {
    const weights = [...model.weights].map(([name, weight]) => ({
      name,
      representation: weight.representation,
      shape: weight.shape,
      bitsPerElement: bitsPerElement(weight.bytes(), weight.shape),
      bytes: weight.bytes(),
      parameters: weight.parameters(),
      nonzeros: weight.nonzeros(),
    }));
    return { kind: model.architecture.kind, macs: model.macs(), weights };
  } finally {
    model.dispose();
  }
}

function readTensors({ tensors }: Safetensors): Row[] {
  return [...tensors].map(([name, { dtype, shape }]) => {
    const bytes = byteLength(dtype, shape) ?? 0;
    return {
      name,
      representation: dtype.toLowerCase(),
      shape,
      bitsPerElement: bitsPerElement(bytes, shape),
      bytes,
      parameters: elements(shape),
      nonzeros: null,
    };
  });
}

function weightTable(rows: readonly Row[], totals: Pick<Row, 'bytes' | 'parameters' | 'nonzeros'>): string {
  const counts = ({ bytes, parameters, nonzeros }: typeof totals) => [
    formatCount(bytes),
    formatCount(parameters),
    nonzeros === null ? '-' : formatCount(nonzeros),
  ];
  return renderRows(
    [
      { heading: 'weight' },
      { heading: 'representation' },
      { heading: 'shape' },
      { heading: 'bits/element', align: 'right' },
      { heading: 'bytes', align: 'right' },
      { heading: 'parameters', align: 'right' },
      { heading: 'nonzeros', align: 'right' },
    ],
    [
      ...rows.map((row) => [
        row.name,
        row.representation,
        `[${row.shape.join(', ')}]`,
        row.bitsPerElement?.toFixed(2) ?? '-',
        ...counts(row),
      ]),
      ['total', '', '', '', ...counts(totals)],
    ],
  );
}

/** Long values, such as descriptions of weights, are cut; --json has them whole. */
function metadataTable(metadata: Readonly<Record<string, string>>): string {
  const rows = Object.entries(metadata).map(([key, value]) => [
    key,
    value.length > 100 ? `${value.slice(0, 100)}…` : value,
  ]);
  return rows.length === 0 ? '' : renderRows([{ heading: 'metadata' }, { heading: '' }], rows);
}

function bitsPerElement(bytes: number, shape: readonly number[]): number | null {
  return elements(shape) === 0 ? null : (8 * bytes) / elements(shape);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
