import { z } from 'zod';

const dimension = z.number().int().nonnegative();
const matrixShape = z.tuple([dimension, dimension]);

const input = z.strictObject({
  scale: z.number().positive(),
  zeroPoint: z.number().int().min(0).max(255),
});

/** The quantization scheme as users write it, see scheme.ts. */
export const schemeSchema = z.strictObject({
  bits: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(8)]),
  scheme: z.enum(['symmetric', 'asymmetric']),
  granularity: z.enum(['tensor', 'channel', 'group', 'row']),
  groupSize: z.number().int().positive().optional(),
});

const quantized = z.strictObject({
  kind: z.literal('quantized'),
  shape: matrixShape,
  scheme: schemeSchema,
  input: input.optional(),
});

const sparse = z.strictObject({
  kind: z.literal('sparse'),
  shape: matrixShape,
  /** Stored numbers. */
  nonzeros: dimension,
  /** Of the values; absent when they are f32. */
  scheme: schemeSchema.optional(),
  input: input.optional(),
});

/** Low-rank factors are themselves weights; a factor without a descriptor is a plain tensor. */
const factor = z.union([z.null(), quantized, sparse]);

const lowRank = z.strictObject({
  kind: z.literal('low-rank'),
  left: factor,
  right: factor,
});

/** How the blobs of one weight in a safetensors file stand for a matrix; written as JSON into the file's metadata. */
export const descriptorSchema = z.discriminatedUnion('kind', [quantized, sparse, lowRank]);
export type Descriptor = z.infer<typeof descriptorSchema>;
export type QuantizedDescriptor = z.infer<typeof quantized>;
export type SparseDescriptor = z.infer<typeof sparse>;
export type LowRankDescriptor = z.infer<typeof lowRank>;
