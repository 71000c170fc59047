import { z } from 'zod';
import { LARGEST, SMALLEST_NORMAL } from './f32';
import { BLOCK_PATTERNS, isPattern, type SparsityPattern } from './pattern';

/** Ids of rows and columns are int32. */
const count = z.number().int().nonnegative();
const dimension = count.max(2 ** 31 - 1);
const matrixShape = z
  .tuple([dimension, dimension.positive()])
  .refine(([rows, columns]) => Number.isSafeInteger(rows * columns), 'more elements than can be counted');

const input = z.union([
  z.strictObject({
    scale: z.number().min(SMALLEST_NORMAL).max(LARGEST),
    zeroPoint: z.number().int().min(0).max(255),
  }),
  z.literal('dynamic'),
]);

/** The quantization scheme as users write it, see scheme.ts. */
export const schemeSchema = z
  .strictObject({
    bits: z.literal([1, 2, 3, 4, 8]),
    scheme: z.enum(['symmetric', 'asymmetric', 'nf4', 'kmeans']),
    granularity: z.enum(['tensor', 'channel', 'group', 'row']),
    groupSize: z.number().int().positive().optional(),
  })
  .refine(
    ({ granularity, groupSize }) => (granularity === 'group') === (groupSize !== undefined),
    'groupSize goes with granularity group, and only with it',
  )
  .refine(
    ({ scheme, bits }) => (scheme !== 'nf4' || bits === 4) && (scheme !== 'kmeans' || (bits > 1 && bits < 8)),
    'nf4 takes 4 bits, kmeans 2 to 4',
  );

const quantized = z.strictObject({
  kind: z.literal('quantized'),
  shape: matrixShape,
  scheme: schemeSchema,
  input: input.optional(),
  inputPrecision: z.enum(['int8', 'int16']).optional(),
});

const sparse = z.strictObject({
  kind: z.literal('sparse'),
  shape: matrixShape,
  /** Stored numbers. */
  nonzeros: count,
  /** Of the values; absent when they are f32. */
  scheme: schemeSchema.optional(),
  input: input.optional(),
});

const semiStructured = z.strictObject({
  kind: z.literal('semi-structured'),
  shape: matrixShape,
  pattern: z.custom<SparsityPattern>((text) => typeof text === 'string' && isPattern(text), 'expected a pattern N:M'),
  /** Of the values; absent when they are f32. */
  scheme: schemeSchema.optional(),
  input: input.optional(),
});

const blockSparse = z.strictObject({
  kind: z.literal('block-sparse'),
  shape: matrixShape,
  blocks: z.enum(BLOCK_PATTERNS),
  /** Of the values; absent when they are f32. */
  scheme: schemeSchema.optional(),
  input: input.optional(),
});

const productQuantized = z
  .strictObject({
    kind: z.literal('product-quantized'),
    shape: matrixShape,
    /** Codes of a row. */
    subspaces: count.positive(),
    /** Of a code. */
    bits: z.literal([8, 4]),
  })
  .refine(({ shape: [, columns], subspaces }) => columns % subspaces === 0, 'subspaces do not divide the columns');

/** Low-rank factors are themselves weights; a factor without a descriptor is a plain tensor. */
const factor = z.union([z.null(), quantized, sparse, semiStructured, blockSparse]);

const lowRank = z.strictObject({
  kind: z.literal('low-rank'),
  left: factor,
  right: factor,
});

/** A term of a sum without a descriptor is a plain tensor. */
const term = z.union([factor, lowRank]);

const sum = z.strictObject({
  kind: z.literal('sum'),
  weight: term,
  correction: term,
});

/** How the blobs of one weight in a safetensors file stand for a matrix; written as JSON into the file's metadata. */
export const descriptorSchema = z.discriminatedUnion('kind', [
  quantized,
  sparse,
  semiStructured,
  blockSparse,
  lowRank,
  sum,
  productQuantized,
]);
export type Descriptor = z.infer<typeof descriptorSchema>;
export type QuantizedDescriptor = z.infer<typeof quantized>;
export type SparseDescriptor = z.infer<typeof sparse>;
export type SemiStructuredDescriptor = z.infer<typeof semiStructured>;
export type BlockSparseDescriptor = z.infer<typeof blockSparse>;
export type ProductQuantizedDescriptor = z.infer<typeof productQuantized>;
export type LowRankDescriptor = z.infer<typeof lowRank>;
export type SumDescriptor = z.infer<typeof sum>;

/** The first thing that is wrong: "scheme.bits: Invalid input". */
export function describeIssue({ issues: [issue] }: z.ZodError): string {
  return issue === undefined ? 'nothing' : `${issue.path.join('.')}: ${issue.message}`;
}
