import path from 'node:path';
import { expect } from 'chai';
import { truncatedSvd } from '../../lib/compress';
import type { TersorError } from '../../lib/errors';
import { gmf, initialize, loadModel, Model, mlp, saveModel } from '../../lib/models';
import { validateRecipe } from '../../lib/recipe/parse';
import { type PlannedVariant, planRecipe } from '../../lib/recipe/plan';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense, LowRank, type QuantizationScheme, quantizeMatrix, Sparse, type Weight } from '../../lib/weights';
import { errorOf, temporaryFolder } from '../formats/files';
import { expectNoLeaks } from '../tensor/leaks';

const WEIGHT = 'layers.0.weight';
const weights = [WEIGHT];
const PRUNE = { prune: { weights, sparsity: 0.5 } };
const SVD = { factorize: { weights, rank: 2 } };
const INT8 = { quantize: { weights, bits: 8 } };
const RETRAIN = { retrain: { epochs: 1 } };
const INTEGER = { quantize: { weights, bits: 8, activations: { bits: 8 } } };
const GROUPS = { quantize: { weights, bits: 4, granularity: 'group', groupSize: 4 } };
const ASYMMETRIC = { quantize: { weights, bits: 8, scheme: 'asymmetric' } };
const ROWS = { quantize: { weights, bits: 4, scheme: 'asymmetric', granularity: 'row' } };
const BIT = { quantize: { weights, bits: 1 } };
const INT4 = { quantize: { weights, bits: 4 } };
/** Schemes that neither sparse weights nor the integer kernels take. */
const OTHERS = { GROUPS, ASYMMETRIC, ROWS, BIT };

function plan(model: Model, steps: readonly object[], training = true): PlannedVariant {
  return planRecipe(validateRecipe({ recipe: 1, steps }), model, { training })[0] as PlannedVariant;
}

function refusal(model: Model, steps: readonly object[], training = true): TersorError {
  const error = errorOf(() => plan(model, steps, training));
  expect(error.code, error.message).to.equal('ERR_TERSOR_RECIPE');
  return error;
}

/** A perceptron 20-12-4 whose first matrix is made anew. */
function perceptron(first: (w: Tensor) => Weight = (w) => new Dense(w.clone())): Model {
  const model = initialize(mlp([20, 12, 4]), { seed: 1 });
  const [w, ...rest] = [...model.weights.values()].map((weight) => weight.dense()) as [Tensor, ...Tensor[]];
  const made = [first(w), ...rest.map((values) => new Dense(values.clone()))];
  const names = [...model.weights.keys()];
  model.dispose();
  return new Model(model.architecture, new Map(names.map((name, i) => [name, made[i] as Weight])));
}

function half(w: Tensor, scheme: QuantizationScheme | null = null): Weight {
  return tidy(() =>
    Sparse.from(
      tensor(
        (w.toArray() as Float32Array).map((v, i) => (i % 2 ? v : 0)),
        w.shape,
      ),
      scheme,
    ),
  );
}

describe('planRecipe', () => {
  const folder = temporaryFolder();
  const models: Model[] = [];
  /** A model that is freed after the test. */
  const using = (model: Model): Model => {
    models.push(model);
    return model;
  };
  afterEach(() => {
    for (const model of models.splice(0)) model.dispose();
  });
  expectNoLeaks();

  it('resolves every step against the weights, in order, variant by variant', () => {
    const recipe = validateRecipe({
      recipe: 1,
      variants: [
        { name: 'a', steps: [{ prune: { weights: ['*'], sparsity: 0.5, retrain: { epochs: 2 } } }, RETRAIN] },
        { name: 'b', steps: [SVD] },
      ],
    });
    const [a, b] = planRecipe(recipe, using(perceptron()), { training: true }) as [PlannedVariant, PlannedVariant];
    expect([a.name, b.name]).to.deep.equal(['a', 'b']);
    expect(a.steps.map((step) => step.weights)).to.deep.equal([[WEIGHT, 'layers.1.weight'], []]);
    expect(a.steps.map((step) => step.retrain?.epochs)).to.deep.equal([2, 1]);
    expect(a.steps[0]?.step).to.equal(recipe.variants[0]?.steps[0]);
    expect(b.steps.map((step) => [step.weights, step.retrain])).to.deep.equal([[[WEIGHT], undefined]]);
  });

  it('labels the steps for tables and numbers those with the same label', () => {
    const steps = [
      { prune: { weights, sparsity: 0.8 } },
      { prune: { weights, sparsity: 1 / 3 } },
      { prune: { weights, threshold: 0.01 } },
      { prune: { weights, sparsity: 0.8 } },
      RETRAIN,
      RETRAIN,
      INT8,
      INT8,
      INT8,
    ];
    expect(plan(using(perceptron()), steps).steps.map(({ label }) => label)).to.deep.equal([
      'prune 80 %',
      'prune 33.33 %',
      'prune at 0.01',
      'prune 80 % (2)',
      'retrain',
      'retrain (2)',
      'int8',
      'int8 (2)',
      'int8 (3)',
    ]);
    const svds = [SVD, { factorize: { weights: ['layers.1.weight'], energy: 0.9 } }];
    const labels = plan(using(perceptron()), svds).steps.map(({ label }) => label);
    expect(labels).to.deep.equal(['svd rank 2', 'svd 90 % energy']);
  });

  it('takes biases for no weights, by name or by pattern, and names the step', () => {
    const model = using(perceptron());
    for (const pattern of ['layers.0.bias', '*.bias']) {
      const { message } = refusal(model, [RETRAIN, { prune: { weights: [pattern], sparsity: 0.5 } }]);
      expect(message).to.include('other than a bias').and.include(`got '${pattern}'`);
      expect(message).to.include("step 2 of variant 'compressed'");
    }
    const typo = refusal(model, [{ prune: { weights: ['layer.0.weight'], sparsity: 0.5 } }]);
    expect(typo.message).to.include(`did you mean '${WEIGHT}'?`);
  });

  it('needs no data for inputs that are quantized by the range of each row', () => {
    const dynamic = { quantize: { weights, bits: 8, activations: { bits: 8, observer: 'dynamic' } } };
    expect(plan(using(perceptron()), [dynamic], false).steps).to.have.length(1);
    expect(refusal(using(perceptron()), [INTEGER], false).message).to.include('training data');
  });

  it('asks for training data where a step trains or calibrates, and only there', () => {
    const model = using(perceptron());
    const retrain = { epochs: 1 };
    for (const steps of [
      [INT8, RETRAIN],
      [INT8, { prune: { ...PRUNE.prune, retrain } }],
      [INT8, { quantize: { ...INT8.quantize, retrain } }],
      [PRUNE, { factorize: { ...SVD.factorize, weights: ['layers.1.weight'], retrain } }],
      [PRUNE, INTEGER],
      [PRUNE, { quantize: { weights: ['layers.1.weight'], method: 'gptq', bits: 4 } }],
      [SVD, { prune: { weights: ['layers.1.weight'], method: 'sparsegpt', sparsity: 0.5 } }],
    ]) {
      expect(refusal(model, steps, false).message)
        .to.include('training data')
        .and.include('step 2');
      expect(plan(model, steps, true).steps).to.have.length(2);
    }
    expect(plan(model, [SVD, PRUNE, INT8], false).steps).to.have.length(3);
  });

  it('refuses a rank that saves nothing, and weights too small for any', () => {
    const model = using(perceptron());
    // 12 · 20 / 32 = 7.5 and 4 · 12 / 16 = 3.
    expect(plan(model, [{ factorize: { weights, rank: 7 } }]).steps).to.have.length(1);
    const high = refusal(model, [{ factorize: { weights, rank: 8 } }]).message;
    expect(high)
      .to.include('a rank of at most 7')
      .and.include('[12, 20]')
      .and.include('got rank 8')
      .and.include(WEIGHT);
    const other = refusal(model, [{ factorize: { weights: ['*'], rank: 3 } }]).message;
    expect(other).to.include('a rank of at most 2').and.include("weight 'layers.1.weight' in step 1");
    const recommender = using(initialize(gmf({ users: 5, items: 5, factors: 4 })));
    for (const target of [{ rank: 1 }, { energy: 0.5 }]) {
      const { message } = refusal(recommender, [{ factorize: { weights: ['prediction.weight'], ...target } }]);
      expect(message).to.include('a larger matrix').and.include('[1, 4]');
    }
  });

  it('factorizes only what is still dense', () => {
    const model = using(perceptron());
    for (const [first, kind] of [
      [PRUNE, 'sparse'],
      [INT8, 'quantized'],
      [SVD, 'low-rank'],
    ] as const) {
      const { message } = refusal(model, [first, SVD]);
      expect(message).to.include('a dense weight').and.include(`got a ${kind} one`);
      expect(message).to.include(`at weight '${WEIGHT}' in step 2 of variant 'compressed'`);
    }
    expect(plan(model, [RETRAIN, SVD]).steps).to.have.length(2);
  });

  it('refuses codes on a sparse weight that it cannot store, in either order, through factors too', () => {
    const model = using(perceptron());
    for (const [name, other] of Object.entries(OTHERS)) {
      for (const steps of [
        [PRUNE, other],
        [other, PRUNE],
        [PRUNE, RETRAIN, INT8, other],
        [SVD, PRUNE, other],
        [SVD, other, PRUNE],
      ]) {
        const { message } = refusal(model, steps);
        expect(message, name).to.include('symmetric codes of 2 bits or more').and.include('sparse');
        expect(message).to.include(`at weight '${WEIGHT}' in step ${steps.length}`);
      }
    }
    for (const steps of [
      [PRUNE, INT8],
      [INT8, PRUNE],
      [PRUNE, INT4, INT8],
      [SVD, PRUNE, INTEGER],
      [PRUNE, INTEGER],
    ]) {
      expect(plan(model, steps).steps).to.have.length(steps.length);
    }
  });

  it('judges each variant from the model as it is', () => {
    const variants = [
      { name: 'a', steps: [PRUNE] },
      { name: 'b', steps: [GROUPS] },
      { name: 'c', steps: [SVD] },
    ];
    const recipe = validateRecipe({ recipe: 1, variants });
    expect(planRecipe(recipe, using(perceptron()), { training: false })).to.have.length(3);
  });

  it('remembers quantized inputs: later codes must suit the integer kernels', () => {
    const model = using(perceptron());
    for (const other of Object.values(OTHERS)) {
      for (const steps of [
        [INTEGER, other],
        [SVD, INTEGER, other],
      ]) {
        const { message } = refusal(model, steps);
        expect(message).to.include('quantized inputs').and.include(`step ${steps.length} of`).and.include(WEIGHT);
      }
      expect(plan(model, [other, INTEGER]).steps).to.have.length(2);
    }
    expect(plan(model, [INTEGER, INT4]).steps).to.have.length(2);
    expect(plan(model, [SVD, INTEGER]).steps).to.have.length(2);
  });

  it('refuses quantized inputs of embedding tables, which multiply nothing', () => {
    const model = using(initialize(gmf({ users: 9, items: 9, factors: 4 })));
    const step = (pattern: string) => ({ quantize: { weights: [pattern], bits: 8, activations: { bits: 8 } } });
    const { message } = refusal(model, [step('*')]);
    expect(message).to.include('embedding table').and.include("weight 'user_embedding.weight' in step 1");
    expect(plan(model, [step('prediction.weight')]).steps).to.have.length(1);
    expect(plan(model, [{ quantize: { weights: ['*'], bits: 8 } }]).steps).to.have.length(1);
  });

  it('lets GPTQ take dense weights that inputs are multiplied by, and no others', () => {
    const step = (pattern: string) => ({ quantize: { weights: [pattern], method: 'gptq', bits: 4 } });
    const tables = using(initialize(gmf({ users: 9, items: 9, factors: 4 })));
    expect(refusal(tables, [step('*')]).message)
      .to.include('got an embedding table')
      .and.include("weight 'user_embedding.weight' in step 1");
    expect(plan(tables, [step('prediction.weight')]).steps[0]?.label).to.equal('int4 gptq');
    const model = using(perceptron());
    const prune = { prune: { weights, method: 'sparsegpt', sparsity: 0.5 } };
    expect(plan(model, [prune]).steps[0]?.label).to.equal('prune 50 % sparsegpt');
    expect(refusal(model, [SVD, prune]).message).to.include('for method sparsegpt, got a low-rank one');
    for (const [before, kind] of [
      [PRUNE, 'sparse'],
      [SVD, 'low-rank'],
      [INT8, 'quantized'],
    ] as const) {
      expect(refusal(model, [before, step(WEIGHT)]).message).to.include(`got a ${kind} one`);
    }
  });

  it('corrects codes by factors that are smaller than the weight, once', () => {
    const model = using(perceptron());
    const step = (pattern: string, correction: object) => ({ quantize: { weights: [pattern], bits: 4, correction } });
    const labels = plan(model, [step(WEIGHT, { rank: 2 }), step('layers.1.weight', { energy: 0.5 })]).steps;
    expect(labels.map(({ label }) => label)).to.deep.equal(['int4 + rank 2', 'int4 + 50 % energy']);
    // 12 · 20 / 32 = 7.5.
    expect(plan(model, [step(WEIGHT, { rank: 7 }), RETRAIN]).steps).to.have.length(2);
    expect(refusal(model, [step(WEIGHT, { rank: 8 })]).message)
      .to.include('a rank of at most 7')
      .and.include('got rank 8')
      .and.include(`weight '${WEIGHT}' in step 1`);
    for (const [first, kind] of [
      [SVD, 'low-rank'],
      [step(WEIGHT, { rank: 2 }), 'sum'],
    ] as const) {
      expect(refusal(model, [first, step(WEIGHT, { rank: 1 })]).message)
        .to.include(`no product or sum to correct, got a ${kind} one`)
        .and.include('step 2');
    }
    expect(
      plan(model, [PRUNE, step(WEIGHT, { rank: 2 }), { quantize: { weights: [WEIGHT], bits: 8 } }]).steps,
    ).to.have.length(3);
    expect(refusal(model, [step(WEIGHT, { rank: 2 }), SVD]).message).to.include('got a sum one');
  });

  it('refuses rows too long for exact sums in 32 bits', () => {
    const model = using(initialize(mlp([66_000, 2])));
    expect(refusal(model, [INTEGER]).message)
      .to.include('columns')
      .and.include('66000')
      .and.include(WEIGHT);
    expect(plan(model, [INT8]).steps).to.have.length(1);
  });

  it('starts from what the weights of a loaded model are', async () => {
    const codes = (scheme: 'symmetric' | 'asymmetric'): QuantizationScheme => ({
      bits: 8,
      scheme,
      granularity: 'channel',
    });
    const dense = perceptron();
    const factors = await truncatedSvd(dense.weights.get(WEIGHT)?.dense() as Tensor, { rank: 2 });
    const [left, right] = [factors.left.dense(), factors.right.dense()];
    const given: Record<string, [Weight: (w: Tensor) => Weight, fits: object[], refused: object[]]> = {
      sparse: [(w) => half(w), [PRUNE, INT8, INTEGER, RETRAIN], [SVD, GROUPS, BIT]],
      'sparse int8': [(w) => half(w, codes('symmetric')), [PRUNE, INT4], [SVD, ASYMMETRIC, ROWS]],
      int8: [(w) => quantizeMatrix(w, codes('symmetric')), [PRUNE, INTEGER, GROUPS, INT4], [SVD]],
      asymmetric: [(w) => quantizeMatrix(w, codes('asymmetric')), [INT8, INTEGER, GROUPS], [SVD, PRUNE]],
      'int8 inputs': [
        (w) => quantizeMatrix(w, codes('symmetric'), { scale: 0.1, zeroPoint: 0 }),
        [PRUNE, INT4, INTEGER],
        [SVD, GROUPS, ASYMMETRIC, BIT],
      ],
      'low-rank': [
        () => new LowRank(new Dense(left.clone()), new Dense(right.clone())),
        [PRUNE, GROUPS, INTEGER],
        [SVD],
      ],
      'low-rank with a sparse factor': [
        () => new LowRank(half(left), quantizeMatrix(right, codes('symmetric'))),
        [PRUNE, INT8],
        [SVD, GROUPS],
      ],
      'low-rank with an asymmetric factor': [
        () => new LowRank(new Dense(left.clone()), quantizeMatrix(right, codes('asymmetric'))),
        [INT8, GROUPS],
        [SVD, PRUNE],
      ],
    };
    for (const [name, [first, fits, refused]] of Object.entries(given)) {
      const file = path.join(folder, 'model.safetensors');
      const made = perceptron(first);
      saveModel(made, file);
      made.dispose();
      const model = loadModel(file);
      for (const step of fits) expect(plan(model, [step]).steps, `${name} ${JSON.stringify(step)}`).to.have.length(1);
      for (const step of refused) {
        expect(refusal(model, [step]).message, name).to.include(`at weight '${WEIGHT}' in step 1 of variant`);
      }
      model.dispose();
    }
    dense.dispose();
    factors.dispose();
  });
});
