/** What may become of a column, and what was learned of it from the training part. */
import { z } from 'zod';

/** A number: (x − mean) / sd of the training part; a missing value becomes 0, the mean. */
export interface NumericFeature {
  readonly kind: 'numeric';
  readonly column: string;
  /** Takes log(1 + x) first; values must be above −1. Default false. */
  readonly log1p?: boolean;
}

/** A number's bin, of bins that hold about equally many training examples. */
export interface BinnedFeature {
  readonly kind: 'bins';
  readonly column: string;
  /** 2 or more; equal quantiles make fewer. */
  readonly bins: number;
  /** For numbers that are mostly 0: bins of those that are not, and one for 0. Default false. */
  readonly zeroInflated?: boolean;
}

/** A token's number, from 1 in the order in which tokens first come in the training part; 0 for one that did not come there. */
export interface CategoricalFeature {
  readonly kind: 'categorical';
  readonly column: string;
  /** Tokens that come less often in the training part count as not seen. Default 1. */
  readonly minCount?: number;
  /** The column holds several tokens with this between them: a multi-hot feature. Columns of type token_seq are multi-hot without it. */
  readonly separator?: string;
}

/** A token's bucket, murmur3(token) mod buckets: nothing to learn or to keep, but tokens may share a bucket. */
export interface HashedFeature {
  readonly kind: 'hashed';
  readonly column: string;
  readonly buckets: number;
  /** As of {@link CategoricalFeature}. */
  readonly separator?: string;
}

/** How one feature is made of a column. */
export type FeatureSpec = NumericFeature | BinnedFeature | CategoricalFeature | HashedFeature;

const column = z.string();
const separator = z.string().min(1).optional();
const count = z.number().int().min(1);

/** What {@link FeatureSpec} may hold. */
export const specSchema = z.record(
  z.string(),
  z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('numeric'), column, log1p: z.boolean().optional() }),
    z.strictObject({
      kind: z.literal('bins'),
      column,
      bins: z.number().int().min(2),
      zeroInflated: z.boolean().optional(),
    }),
    z.strictObject({ kind: z.literal('categorical'), column, minCount: count.optional(), separator }),
    z.strictObject({ kind: z.literal('hashed'), column, buckets: count.max(2 ** 31 - 1), separator }),
  ]),
);

/** What was learned, as it is saved. */
export const fittedSchema = z.record(
  z.string(),
  z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('numeric'),
      column,
      log1p: z.boolean(),
      mean: z.number(),
      sd: z.number().positive(),
    }),
    z.strictObject({
      kind: z.literal('bins'),
      column,
      edges: z
        .array(z.number())
        .refine((edges) => edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number)), {
          message: 'expected ascending edges',
        }),
    }),
    z.strictObject({
      kind: z.literal('categorical'),
      column,
      separator,
      tokens: z
        .array(z.string())
        .refine((tokens) => new Set(tokens).size === tokens.length, { message: 'expected distinct tokens' }),
    }),
    z.strictObject({ kind: z.literal('hashed'), column, separator, buckets: count.max(2 ** 31 - 1) }),
  ]),
);

/** Learned features by name. */
export type FittedFeatures = z.infer<typeof fittedSchema>;
/** A learned feature. */
export type FittedFeature = FittedFeatures[string];
