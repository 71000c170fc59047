/** One of every representation that a weight can have, for tests of what all of them promise. */
import { multiply, scale } from '../../lib/autograd';
import { magnitudeMask } from '../../lib/compress';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import {
  type BlockPattern,
  BlockSparse,
  Dense,
  type InputQuantization,
  LowRank,
  ProductQuantized,
  type QuantizationScheme,
  quantizeMatrix,
  SemiStructured,
  Sparse,
  type SparsityPattern,
  Sum,
  type Weight,
} from '../../lib/weights';

/** A way to represent a matrix. */
export interface WeightCase {
  readonly name: string;
  readonly kind: Weight['kind'];
  /** Makes the weight; `w` stays the caller's. */
  make(w: Tensor): Weight;
}

const BITS = [1, 2, 3, 4, 8] as const;
const GRANULARITIES = ['tensor', 'channel', 'group', 'row'] as const;

/** Covers the inputs that the tests make, −1..1, without symmetry. */
const INPUT: InputQuantization = { scale: Math.fround(2.1 / 255), zeroPoint: 121 };

/** Every scheme there is; groups of 5 divide none of the tests' widths. */
export const SCHEMES: readonly QuantizationScheme[] = BITS.flatMap((bits) =>
  (['symmetric', 'asymmetric'] as const).flatMap((scheme) =>
    GRANULARITIES.map((granularity) => ({
      bits,
      scheme,
      granularity,
      ...(granularity === 'group' ? { groupSize: 5 } : {}),
    })),
  ),
);

/** Every kind of codebook. */
export const CODEBOOK_SCHEMES: readonly QuantizationScheme[] = [
  { bits: 4, scheme: 'nf4', granularity: 'group', groupSize: 5 },
  { bits: 4, scheme: 'nf4', granularity: 'row' },
  { bits: 2, scheme: 'kmeans', granularity: 'tensor' },
  { bits: 3, scheme: 'kmeans', granularity: 'channel' },
  { bits: 4, scheme: 'kmeans', granularity: 'group', groupSize: 5 },
];

/** Whether a scheme may stand beside quantized inputs, and in a sparse weight: as the documentation says it. */
export function isInteger({ bits, scheme, granularity }: QuantizationScheme): boolean {
  return scheme === 'symmetric' && bits > 1 && granularity !== 'group';
}

/** "4 bit asymmetric in groups". */
export function schemeName({ bits, scheme, granularity }: QuantizationScheme): string {
  return `${bits} bit ${scheme} per ${granularity}`;
}

const INTEGER_SCHEMES = SCHEMES.filter(isInteger);
const INT8: QuantizationScheme = { bits: 8, scheme: 'symmetric', granularity: 'channel' };
const INT4: QuantizationScheme = { bits: 4, scheme: 'symmetric', granularity: 'group', groupSize: 5 };

/** Rank of the low-rank cases. */
const RANK = 3;

/** Every representation. */
export const CASES: readonly WeightCase[] = [
  { name: 'dense', kind: 'dense', make: (w) => new Dense(w.clone()) },
  { name: 'dense bf16', kind: 'dense', make: (w) => new Dense(w.cast('bf16')) },
  ...[...SCHEMES, ...CODEBOOK_SCHEMES].map((scheme) => quantized(scheme, null)),
  ...INTEGER_SCHEMES.flatMap((scheme) => [quantized(scheme, INPUT), quantized(scheme, 'dynamic')]),
  sparse(null, null),
  ...INTEGER_SCHEMES.flatMap((scheme) => [sparse(scheme, null), sparse(scheme, INPUT), sparse(scheme, 'dynamic')]),
  patterned('2:4'),
  patterned('3:5'),
  ...['2:4' as const, '3:5' as const].flatMap((pattern) =>
    [INT8, { ...INT8, bits: 4 } as const].flatMap((scheme) =>
      [null, INPUT, 'dynamic' as const].map((input) => patterned(pattern, scheme, input)),
    ),
  ),
  patterned('2:4', { ...INT8, granularity: 'tensor' }, INPUT),
  inBlocks('32x1'),
  inBlocks('16x4'),
  ...[INT8, { ...INT8, bits: 4 } as const].flatMap((scheme) =>
    [null, INPUT, 'dynamic' as const].map((input) => inBlocks('16x4', scheme, input)),
  ),
  inBlocks('32x4', { ...INT8, granularity: 'tensor' }, INPUT),
  productCodes(16),
  productCodes(256),
  lowRank('dense factors', (factor) => new Dense(factor.clone())),
  lowRank('int4 factors', (factor) => quantizeMatrix(factor, INT4)),
  lowRank('int8 factors, int8 inputs', (factor) => quantizeMatrix(factor, INT8, { scale: 1 / 32, zeroPoint: 128 })),
  lowRank('int8 factors, dynamic int8 inputs', (factor) => quantizeMatrix(factor, INT8, 'dynamic')),
  lowRank('sparse factors', (factor) => Sparse.from(factor)),
  lowRank('sparse int8 factors, int8 inputs', (factor) => Sparse.from(factor, INT8, { scale: 1 / 32, zeroPoint: 128 })),
  summed(
    'int4 and low rank',
    (w) => quantizeMatrix(w, INT4),
    lowRank('correction', (factor) => new Dense(factor.clone())).make,
  ),
  summed(
    'sparse and dense',
    (w) => Sparse.from(w),
    (correction) => new Dense(correction.clone()),
  ),
];

/** A representation by its name in {@link CASES}. */
export function caseNamed(name: string): WeightCase {
  const found = CASES.find((each) => each.name === name);
  if (found === undefined) throw new Error(`expected a representation '${name}', got none`);
  return found;
}

function quantized(scheme: QuantizationScheme, input: InputQuantization | null): WeightCase {
  const inputs = inputsName(input);
  return {
    name: `quantized ${schemeName(scheme)}${inputs}`,
    kind: 'quantized',
    make: (w) => quantizeMatrix(w, scheme, input),
  };
}

function sparse(scheme: QuantizationScheme | null, input: InputQuantization | null): WeightCase {
  const values = scheme === null ? 'f32' : schemeName(scheme);
  const inputs = inputsName(input);
  return { name: `sparse ${values}${inputs}`, kind: 'sparse', make: (w) => Sparse.from(w, scheme, input) };
}

function inputsName(input: InputQuantization | null): string {
  if (input === null) return '';
  return input === 'dynamic' ? ', dynamic int8 inputs' : ', int8 inputs';
}

function valuesName(scheme: QuantizationScheme | null, input: InputQuantization | null): string {
  return `${scheme === null ? '' : ` ${schemeName(scheme)}`}${inputsName(input)}`;
}

/** The largest elements of every group. */
function patterned(
  pattern: SparsityPattern,
  scheme: QuantizationScheme | null = null,
  input: InputQuantization | null = null,
): WeightCase {
  const make = (w: Tensor) => {
    const pruned = tidy(() => multiply(w, magnitudeMask(w, { pattern })));
    try {
      return SemiStructured.from(pruned, pattern, scheme, input);
    } finally {
      pruned.dispose();
    }
  };
  return { name: `semi-structured ${pattern}${valuesName(scheme, input)}`, kind: 'semi-structured', make };
}

/** Two thirds of the blocks. */
function inBlocks(
  blocks: BlockPattern,
  scheme: QuantizationScheme | null = null,
  input: InputQuantization | null = null,
): WeightCase {
  const make = (w: Tensor) => {
    const pruned = tidy(() => multiply(w, magnitudeMask(w, { sparsity: 1 / 3, blocks })));
    try {
      return BlockSparse.from(pruned, blocks, scheme, input);
    } finally {
      pruned.dispose();
    }
  };
  return { name: `blocks of ${blocks}${valuesName(scheme, input)}`, kind: 'block-sparse', make };
}

/** Centroids made of the matrix's own numbers: any will do, as for the factors below. */
function productCodes(count: 16 | 256): WeightCase {
  const make = (w: Tensor) => {
    const [rows, columns] = w.shape as readonly [number, number];
    const subspaces = columns % 3 === 0 ? 3 : 1;
    const width = columns / subspaces;
    const values = w.toArray() as Float32Array;
    const centroids = Float32Array.from({ length: subspaces * count * width }, (_, i) => {
      const [subspace, number] = [Math.floor(i / (count * width)), Math.floor(i / width) % count];
      return values[(number % Math.max(rows, 1)) * columns + subspace * width + (i % width)] ?? 0.25;
    });
    return tidy(() => ProductQuantized.from(w, tensor(centroids, [subspaces, count, width])));
  };
  return { name: `product codes of ${count}`, kind: 'product-quantized', make };
}

/**
 * Factors made of the matrix's own numbers: any will do, for nothing here asks that their product be the matrix. They are as large
 * as the roots of its numbers, so that their product stays inside f32 when it does.
 */
function lowRank(name: string, pack: (factor: Tensor) => Weight): WeightCase {
  const make = (w: Tensor) => {
    const [rows, columns] = w.shape as readonly [number, number];
    const values = (w.toArray() as Float32Array).map((value) =>
      Number.isFinite(value) ? Math.sign(value) * Math.sqrt(Math.abs(value)) : value,
    );
    const left = Float32Array.from(
      { length: rows * RANK },
      (_, i) => values[Math.floor(i / RANK) * columns + ((i % RANK) % columns)] as number,
    );
    const right = Float32Array.from({ length: RANK * columns }, (_, i) => values[i % values.length] ?? 0.5);
    const factors = [tensor(left, [rows, RANK]), tensor(right, [RANK, columns])] as const;
    try {
      return new LowRank(pack(factors[0]), pack(factors[1]));
    } finally {
      for (const factor of factors) factor.dispose();
    }
  };
  return { name: `low rank, ${name}`, kind: 'low-rank', make };
}

/** A weight and a correction made of a sixteenth of its numbers: any will do. */
function summed(name: string, weight: (w: Tensor) => Weight, correction: (w: Tensor) => Weight): WeightCase {
  const make = (w: Tensor) => {
    const small = tidy(() => scale(w, 1 / 16));
    try {
      return new Sum(weight(w), correction(small));
    } finally {
      small.dispose();
    }
  };
  return { name: `sum, ${name}`, kind: 'sum', make };
}
