/**
 * What a recipe may say: one schema gives the checks, the defaults and the TypeScript types.
 *
 * A message in the schema is the phrase that follows "expected" in an error; problems.ts adds what was found. The rules between fields
 * are whole sentences.
 */
import { z } from 'zod';
import { OPTIMIZERS } from '../train/optimizer';
import { SCHEDULES } from '../train/schedule';
import { BLOCK_PATTERNS, isPattern, type SparsityPattern } from '../weights/pattern';
import { withRules } from './rules';

const WEIGHTS = "a list of one or more weight names, such as ['*_embedding.weight']";
const STEPS = 'a list of one or more steps';
const NAME = "letters, digits, '-' and '_', at most 64, beginning with a letter or digit (it names a folder)";

const PATTERN = "a pattern 'N:M' with 1 <= N <= M <= 16, such as '2:4'";

const weights = z.array(z.string(WEIGHTS).min(1, WEIGHTS), WEIGHTS).min(1, WEIGHTS);
const count = wholeNumber(1);
const positive = z.number('a number above 0').gt(0, 'a number above 0');
const notNegative = z.number('a number of 0 or more').gte(0, 'a number of 0 or more');
const momentum = z
  .number('a number from 0 to below 1')
  .gte(0, 'a number from 0 to below 1')
  .lt(1, 'a number from 0 to below 1');
const percentile = z
  .number('a number from 50 to 100')
  .gte(50, 'a number from 50 to 100')
  .lte(100, 'a number from 50 to 100');
const inside = z.number('a number between 0 and 1').gt(0, 'a number between 0 and 1').lt(1, 'a number between 0 and 1');
const share = z.number('a number from 0 to 1').gte(0, 'a number from 0 to 1').lte(1, 'a number from 0 to 1');
const part = z
  .number('a number above 0 and up to 1')
  .gt(0, 'a number above 0 and up to 1')
  .lte(1, 'a number above 0 and up to 1');

const distillSchema = z.strictObject({
  /** Softmax temperature τ of teacher and student; a higher one shows more of how the teacher ranks the wrong classes. Default 2. */
  temperature: positive.default(2),
  /** Share α of the labels in the loss α·CE + (1 − α)·τ²·KL(teacher‖student), 0 to 1. Default 0.5. */
  alpha: share.default(0.5),
});

const retrainSchema = withRules(
  z.strictObject({
    /** Passes over the training data. */
    epochs: count,
    /** Examples in one optimizer step. Default 32. */
    batchSize: count.default(32),
    /** 'adam' (default; Kingma and Ba, arXiv 1412.6980), 'adamw', 'sgd', 'adagrad', 'rmsprop' or 'lamb'. */
    optimizer: z.enum(OPTIMIZERS).default('adam'),
    /** Step size at the start. Default 0.001. */
    learningRate: positive.default(1e-3),
    /** Share of its last step that SGD adds to the next, 0 to below 1. Only with 'sgd', where the default is 0. */
    momentum: momentum.exactOptional(),
    /** Factor of the weight that is added to its gradient (L2 penalty), or taken from it by 'adamw' and 'lamb'. Default 0. */
    weightDecay: notNegative.default(0),
    /** 'cosine' (default) lowers the learning rate to 0 over the run (Loshchilov and Hutter, arXiv 1608.03983), 'linear' too; 'constant' keeps it. */
    lrSchedule: z.enum(SCHEDULES).default('cosine'),
    /** Steps in which the learning rate first rises to its value (Goyal et al., arXiv 1706.02677). Left out means none. */
    warmupSteps: count.exactOptional(),
    /** Learn also from the model as it was loaded (Hinton et al., arXiv 1503.02531); left out means from the labels only. */
    distill: distillSchema.exactOptional(),
  }),
  [
    {
      keys: ['momentum', 'optimizer'],
      broken: (retrain) =>
        retrain.momentum !== undefined &&
        retrain.optimizer !== 'sgd' &&
        `expected momentum only with optimizer sgd, got it with ${retrain.optimizer}`,
    },
  ],
).transform((retrain) => (retrain.optimizer === 'sgd' ? { ...retrain, momentum: retrain.momentum ?? 0 } : retrain));

const scheduleSchema = z.strictObject({
  /** 'cubic': sparsity s·(1 − (1 − t)³) at time t, fast first and then ever slower (Zhu and Gupta, arXiv 1710.01878). */
  kind: z.enum(['cubic']),
  /** Fraction of the retraining at which the target is reached, above 0 and up to 1. Default 0.6. */
  end: part.default(0.6),
  /** Optimizer steps between two updates of the masks. Default 20. */
  every: count.default(20),
});

const pruneSchema = withRules(
  z.strictObject({
    /** Names of the weights to prune; '*' in a name stands for any characters. */
    weights,
    /**
     * 'magnitude' (default): the elements of smallest absolute value go (Han et al., arXiv 1506.02626). 'sparsegpt': those go, and the
     * others change, so that the layer's outputs on training examples change least (Frantar and Alistarh, arXiv 2301.00774).
     */
    method: z.enum(['magnitude', 'sparsegpt']).default('magnitude'),
    /** Fraction of each weight's elements to remove, between 0 and 1. Either this or `threshold` or `pattern`. */
    sparsity: inside.exactOptional(),
    /** Remove whole blocks, rows x columns, those with the smallest norms; `sparsity` is then the fraction of blocks. */
    blocks: z.enum(BLOCK_PATTERNS).exactOptional(),
    /** Elements whose absolute value is at most this are removed. Either this or `sparsity` or `pattern`. */
    threshold: notNegative.exactOptional(),
    /** 'N:M': of every M columns of a row all but the N largest are removed (Mishra et al., arXiv 2104.08378). Either this or `sparsity` or `threshold`. */
    pattern: z.custom<SparsityPattern>((text) => typeof text === 'string' && isPattern(text), PATTERN).exactOptional(),
    /** Raise the sparsity step by step while retraining; left out means all at once, before any retraining. */
    schedule: scheduleSchema.exactOptional(),
    /** Train the elements that are left while the others stay 0; left out means no training. */
    retrain: retrainSchema.exactOptional(),
  }),
  [
    {
      keys: ['sparsity', 'threshold', 'pattern'],
      broken: ({ sparsity, threshold, pattern }) => {
        const given = Object.entries({ sparsity, threshold, pattern }).filter(([, value]) => value !== undefined);
        if (given.length === 1) return false;
        return `expected one of sparsity, threshold and pattern, got ${given.map(([key]) => key).join(' and ') || 'none'}`;
      },
    },
    {
      keys: ['sparsity', 'blocks'],
      broken: ({ sparsity, blocks }) =>
        blocks !== undefined &&
        sparsity === undefined &&
        'expected sparsity beside blocks (the fraction of them to remove), got none',
    },
    {
      keys: ['method', 'threshold', 'pattern', 'blocks'],
      broken: ({ method, threshold, pattern, blocks }) => {
        const others = Object.entries({ threshold, pattern, blocks }).filter(([, value]) => value !== undefined);
        if (method !== 'sparsegpt' || others.length === 0) return false;
        return `expected only sparsity beside method sparsegpt, got ${others.map(([key]) => key).join(' and ')}`;
      },
    },
    {
      keys: ['method', 'retrain'],
      broken: ({ method, retrain }) =>
        method === 'sparsegpt' &&
        retrain !== undefined &&
        'expected no retrain beside method sparsegpt (add a step that retrains), got it',
    },
    {
      keys: ['schedule', 'retrain'],
      broken: ({ schedule, retrain }) =>
        schedule !== undefined &&
        retrain === undefined &&
        'expected retrain beside schedule (the sparsity rises during it), got schedule alone',
    },
    {
      keys: ['schedule', 'threshold', 'pattern'],
      broken: ({ schedule, threshold, pattern }) =>
        schedule !== undefined &&
        (threshold !== undefined || pattern !== undefined) &&
        `expected sparsity beside schedule (it is what rises), got ${threshold === undefined ? 'pattern' : 'threshold'}`,
    },
  ],
);

const activationQuantizationSchema = withRules(
  z.strictObject({
    /** Bits of a code: 8. */
    bits: z.literal(8),
    /** 'asymmetric' (default): unsigned codes with one scale and one zero point for a range. */
    scheme: z.enum(['asymmetric']).default('asymmetric'),
    /**
     * How the range is found: 'ema' (default), a moving average over batches (Jacob et al., arXiv 1712.05877); 'min-max', the widest seen;
     * 'histogram', the one whose codes leave the least squared error of all values seen; 'percentile', the one that leaves out the
     * outermost values; or 'dynamic': every example's own, found while the model runs, which needs no data.
     */
    observer: z.enum(['ema', 'min-max', 'histogram', 'percentile', 'dynamic']).default('ema'),
    /** Share of the old range that the moving average keeps at each batch, 0 to below 1. Only with 'ema', where the default is 0.99. */
    momentum: momentum.exactOptional(),
    /** Percent of the values that are not above the range, and as many not below it, 50 to 100. Only with 'percentile', default 99.99. */
    percentile: percentile.exactOptional(),
  }),
  [
    {
      keys: ['percentile', 'observer'],
      broken: (activations) =>
        activations.percentile !== undefined &&
        activations.observer !== 'percentile' &&
        `expected percentile only with observer percentile, got it with ${activations.observer}`,
    },
    {
      keys: ['momentum', 'observer'],
      broken: (activations) =>
        activations.momentum !== undefined &&
        activations.observer !== 'ema' &&
        `expected momentum only with observer ema, got it with ${activations.observer}`,
    },
  ],
).transform((activations) => {
  if (activations.observer === 'ema') return { ...activations, momentum: activations.momentum ?? 0.99 };
  if (activations.observer !== 'percentile') return activations;
  return { ...activations, percentile: activations.percentile ?? 99.99 };
});

const correctionSchema = withRules(
  z.strictObject({
    /** Columns of the first factor and rows of the second. Either this or `energy`. */
    rank: count.exactOptional(),
    /** Smallest rank that gives back this fraction of the error's sum of squares, above 0 and up to 1. Either this or `rank`. */
    energy: part.exactOptional(),
  }),
  [
    {
      keys: ['rank', 'energy'],
      broken: ({ rank, energy }) => {
        if ((rank === undefined) !== (energy === undefined)) return false;
        return `expected either rank or energy, got ${rank === undefined ? 'neither' : 'both'}`;
      },
    },
  ],
);

const quantizeSchema = withRules(
  z.strictObject({
    /** Names of the weights to quantize; '*' in a name stands for any characters. */
    weights,
    /**
     * 'nearest' (default): every weight to the nearest code. 'gptq': so that the layer's outputs on training examples change least
     * (Frantar et al., arXiv 2210.17323), with scales of least squared error.
     */
    method: z.enum(['nearest', 'gptq']).default('nearest'),
    /** Bits of a code: 1, 2, 3, 4 or 8. */
    bits: z.literal([1, 2, 3, 4, 8]),
    /**
     * 'symmetric' (default): scale·code with codes around 0; 'asymmetric': scale·(code − zero point) over [minimum, maximum]; 'nf4': codes
     * of 4 bits are numbers of fixed values, dense around 0 (Dettmers et al., arXiv 2305.14314); 'kmeans': codes of 2 to 4 bits are numbers
     * of values learned from the weight (Han et al., arXiv 1510.00149).
     */
    scheme: z.enum(['symmetric', 'asymmetric', 'nf4', 'kmeans']).default('symmetric'),
    /** What shares one scale: the whole 'tensor', an output 'channel' (default), a 'group' of neighbours in a row, or a 'row' of a table. */
    granularity: z.enum(['tensor', 'channel', 'group', 'row']).default('channel'),
    /** Elements that share a scale; with granularity 'group', and only then. */
    groupSize: count.exactOptional(),
    /** Quantize the layers' inputs too, so that they run on integers; left out means that they stay in floating point. */
    activations: activationQuantizationSchema.exactOptional(),
    /**
     * Add the best approximation of what rounding took, as two f32 factors of low rank (LoRC: Yao et al., arXiv 2303.08302; LQER: Zhang et
     * al., arXiv 2402.02446); left out means codes alone.
     */
    correction: correctionSchema.exactOptional(),
    /** Train with the rounding in place (straight-through gradients); left out means post-training quantization. */
    retrain: retrainSchema.exactOptional(),
  }),
  [
    {
      keys: ['granularity', 'groupSize'],
      broken: ({ granularity, groupSize }) => {
        if ((granularity === 'group') === (groupSize !== undefined)) return false;
        return granularity === 'group'
          ? 'expected groupSize beside granularity group, got none'
          : `expected groupSize only with granularity group, got it with ${granularity}`;
      },
    },
    {
      keys: ['method', 'retrain'],
      broken: ({ method, retrain }) =>
        method === 'gptq' &&
        retrain !== undefined &&
        'expected no retrain beside method gptq (training rounds to nearest; add a step that retrains), got it',
    },
    {
      keys: ['correction', 'retrain'],
      broken: ({ correction, retrain }) =>
        correction !== undefined &&
        retrain !== undefined &&
        'expected no retrain beside correction (add a step that retrains codes and factors together), got it',
    },
    {
      keys: ['scheme', 'bits'],
      broken: ({ scheme, bits }) => {
        if (scheme === 'nf4' && bits !== 4) return `expected bits: 4 beside scheme nf4, got ${bits}`;
        return (
          scheme === 'kmeans' && (bits < 2 || bits > 4) && `expected bits: 2, 3 or 4 beside scheme kmeans, got ${bits}`
        );
      },
    },
    {
      keys: ['method', 'scheme'],
      broken: ({ method, scheme }) =>
        method === 'gptq' &&
        (scheme === 'nf4' || scheme === 'kmeans') &&
        `expected scheme: symmetric or asymmetric beside method gptq, got ${scheme}`,
    },
    {
      keys: ['method', 'activations'],
      broken: ({ method, activations }) =>
        method === 'gptq' && activations !== undefined && 'expected no activations beside method gptq, got them',
    },
    {
      keys: ['activations', 'bits'],
      broken: ({ activations, bits }) =>
        activations !== undefined &&
        bits !== 8 &&
        `expected bits: 8 beside activations (the integer kernels multiply bytes), got ${bits}`,
    },
    {
      keys: ['activations', 'scheme'],
      broken: ({ activations, scheme }) =>
        activations !== undefined &&
        scheme !== 'symmetric' &&
        `expected scheme: symmetric beside activations, got ${scheme}`,
    },
    {
      keys: ['activations', 'granularity'],
      broken: ({ activations, granularity }) =>
        activations !== undefined &&
        granularity === 'group' &&
        'expected one scale for an output or more beside activations, got granularity group',
    },
  ],
);

const factorizeSchema = withRules(
  z.strictObject({
    /** Names of the weights to factorize; '*' in a name stands for any characters. */
    weights,
    /** 'svd': the two factors of least squared error (Eckart and Young 1936). */
    method: z.enum(['svd']).default('svd'),
    /** Columns of the first factor and rows of the second. Either this or `energy`. */
    rank: count.exactOptional(),
    /** Smallest rank that keeps this fraction of the sum of squares, above 0 and up to 1. Either this or `rank`. */
    energy: part.exactOptional(),
    /** Train the two factors; left out means no training. */
    retrain: retrainSchema.exactOptional(),
  }),
  [
    {
      keys: ['rank', 'energy'],
      broken: ({ rank, energy }) => {
        if ((rank === undefined) !== (energy === undefined)) return false;
        return `expected either rank or energy, got ${rank === undefined ? 'neither' : 'both'}`;
      },
    },
  ],
);

const productQuantizeSchema = z.strictObject({
  /** Names of the embedding tables to quantize; '*' in a name stands for any characters. */
  weights,
  /** Slices that the columns are cut into; a row has a code for each. Divides the columns. */
  subspaces: count,
  /** Bits of a code: 8 (default) for 256 centroids of each slice, or 4 for 16. */
  bits: z.literal([8, 4]).default(8),
  /** Train with the rounding in place (straight-through gradients); left out means post-training quantization. */
  retrain: retrainSchema.exactOptional(),
});

const stepSchema = withRules(
  z.strictObject({
    /** Remove elements of weights. */
    prune: pruneSchema.exactOptional(),
    /** Store weights in fewer bits. */
    quantize: quantizeSchema.exactOptional(),
    /** Replace weights by products of two thinner ones. */
    factorize: factorizeSchema.exactOptional(),
    /** Store rows of embedding tables as numbers of centroids. */
    productQuantize: productQuantizeSchema.exactOptional(),
    /** Train the model in the representations it has by now. */
    retrain: retrainSchema.exactOptional(),
  }),
  [
    {
      keys: ['prune', 'quantize', 'factorize', 'productQuantize', 'retrain'],
      broken: (step) => {
        const kinds = Object.keys(step);
        return (
          kinds.length !== 1 &&
          `expected one of prune, quantize, factorize, productQuantize, retrain in a step, got ${kinds.join(' and ') || 'none'}`
        );
      },
    },
  ],
).transform((step) => step as Step);

const steps = z.array(stepSchema, STEPS).min(1, STEPS);

const variantSchema = z.strictObject({
  /** Names the variant's folder and its rows in the report: letters, digits, '-' and '_'. */
  name: z.string(NAME).regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, NAME),
  /** What is done to the model, in this order, starting from the model as loaded. */
  steps,
});

/** The schema of a recipe file. Its output always has `variants`; `steps` at the top become one variant called 'compressed'. */
export const recipeSchema = withRules(
  z.strictObject({
    /** Version of the format: 1. */
    recipe: z.literal(1),
    /** Seed of everything random. Default 0. */
    seed: wholeNumber(0).default(0),
    /** The steps of a recipe with one variant. Either this or `variants`. */
    steps: steps.exactOptional(),
    /** Several ways to compress the same model, each starting from the model as loaded. Either this or `steps`. */
    variants: z
      .array(variantSchema, 'a list of one or more variants')
      .min(1, 'a list of one or more variants')
      .exactOptional(),
  }),
  [
    {
      keys: ['steps', 'variants'],
      broken: (recipe) => {
        if ((recipe.steps === undefined) !== (recipe.variants === undefined)) return false;
        return `expected either steps or variants, got ${recipe.steps === undefined ? 'neither' : 'both'}`;
      },
    },
    {
      keys: [],
      broken: ({ variants }) => {
        const at = repeatedName(variants);
        return at >= 0 && `expected each variant name once (in any letter case), got '${variants?.[at]?.name}' again`;
      },
      path: ({ variants }) => ['variants', repeatedName(variants), 'name'],
    },
  ],
).transform(({ steps: only, variants, ...rest }) => ({
  ...rest,
  variants: variants ?? [{ name: 'compressed', steps: only ?? [] }],
}));

/** As z.int() checks it, but an error here does not keep zod from looking for errors elsewhere. */
function wholeNumber(minimum: number): z.ZodNumber {
  const expected = `a whole number of ${minimum} or more`;
  return z.number(expected).multipleOf(1, expected).gte(minimum, expected).lte(Number.MAX_SAFE_INTEGER, expected);
}

/** Index of the first variant whose name an earlier one has, or -1. Names that differ only by case would share a folder on some disks. */
function repeatedName(variants: readonly { name: string }[] | undefined): number {
  if (!Array.isArray(variants)) return -1;
  const names = variants.map((variant: { name?: unknown } | null) =>
    typeof variant?.name === 'string' ? variant.name.toLowerCase() : undefined,
  );
  return names.findIndex((name, i) => name !== undefined && names.indexOf(name) !== i);
}

/** A recipe, checked and with its defaults filled in. */
export type Recipe = z.output<typeof recipeSchema>;
/** A recipe as one writes it: with `steps` or `variants`, fields with a default may be left out. */
export type RecipeInput = z.input<typeof recipeSchema>;
/** A named sequence of steps, from the model as loaded. */
export type Variant = z.output<typeof variantSchema>;
/** Removal of weight elements. */
export type PruneStep = z.output<typeof pruneSchema>;
/** Storage of weights in fewer bits. */
export type QuantizeStep = z.output<typeof quantizeSchema>;
/** A low-rank form of what rounding took. */
export type QuantizationCorrection = z.output<typeof correctionSchema>;
/** Quantization of layer inputs. */
export type ActivationQuantization = z.output<typeof activationQuantizationSchema>;
/** Replacement of weights by two factors. */
export type FactorizeStep = z.output<typeof factorizeSchema>;
/** Storage of embedding rows as numbers of centroids. */
export type ProductQuantizeStep = z.output<typeof productQuantizeSchema>;
/** How a model is trained after or during a step. */
export type Retrain = z.output<typeof retrainSchema>;
/** A step that only trains. */
export type RetrainStep = Retrain;
/** One step: an object with exactly one key, its kind. */
export type Step =
  | { prune: PruneStep }
  | { quantize: QuantizeStep }
  | { factorize: FactorizeStep }
  | { productQuantize: ProductQuantizeStep }
  | { retrain: RetrainStep };
