import { expect } from 'chai';
import { gmf, initialize, type Model } from '../../lib/models';
import { describeRecipe } from '../../lib/recipe/describe';
import { validateRecipe } from '../../lib/recipe/parse';
import { type PlannedStep, planRecipe } from '../../lib/recipe/plan';
import { applyStep } from '../../lib/recipe/steps';
import { tidy } from '../../lib/tensor';
import { expectNoLeaks } from '../tensor/leaks';

const TABLE = 'user_embedding.weight';

function planned(model: Model, steps: readonly object[]): readonly PlannedStep[] {
  const [variant] = planRecipe(validateRecipe({ recipe: 1, steps }), model, { training: false });
  return variant?.steps ?? [];
}

/** The model behind the steps, which `use` looks at. */
async function apply(model: Model, steps: readonly object[], use: (after: Model) => void): Promise<void> {
  let now: { model: Model; references: ReadonlyMap<string, Float32Array> } = { model, references: new Map() };
  for (const step of planned(model, steps)) {
    const next = await applyStep(now, step, { teacher: model, training: undefined, seed: 0 });
    if (now.model !== model) now.model.dispose();
    now = next;
  }
  use(now.model);
  now.model.dispose();
}

describe('steps that store codes', () => {
  let model: Model;
  before(() => {
    model = initialize(gmf({ users: 40, items: 30, factors: 8 }), { seed: 1 });
  });
  after(() => model.dispose());
  expectNoLeaks();

  it('store embedding tables in product codes, near to what they were', () =>
    apply(model, [{ productQuantize: { weights: ['*_embedding.weight'], subspaces: 4 } }], (after) =>
      tidy(() => {
        const [packed, before] = [after.weights.get(TABLE), model.weights.get(TABLE)];
        expect(packed?.kind).to.equal('product-quantized');
        // As many rows as centroids or fewer: nothing is lost.
        expect([...(packed?.dense().toArray() ?? [])]).to.deep.equal([...(before?.dense().toArray() ?? [])]);
      }),
    ));

  it('store weights in codes of NF4 and of learned values', async () => {
    for (const [scheme, bits, kind] of [
      ['nf4', 4, 'nf4 per row'],
      ['kmeans', 3, 'codebook of 8 per row'],
    ] as const) {
      await apply(model, [{ quantize: { weights: [TABLE], bits, scheme, granularity: 'row' } }], (after) =>
        expect(after.weights.get(TABLE)?.representation).to.equal(kind),
      );
    }
  });

  it('say what they do', () => {
    const recipe = validateRecipe({
      recipe: 1,
      steps: [
        { productQuantize: { weights: ['t'], subspaces: 4 } },
        { quantize: { weights: ['w'], bits: 2, scheme: 'kmeans' } },
      ],
    });
    expect(describeRecipe(recipe)).to.deep.equal([
      '1. Quantize t to 4 product codes a row of 8 bits each, centroids by k-means, after training.',
      '2. Quantize w to 2 bits, values learned by k-means, one scale per channel, after training.',
    ]);
  });

  it('refuse what they do not fit, before anything is done', () => {
    const product = { weights: [TABLE], subspaces: 4 };
    const refused = (steps: readonly object[], text: RegExp) => expect(() => planned(model, steps)).to.throw(text);
    refused([{ productQuantize: { ...product, subspaces: 3 } }], /subspaces that divide 8 columns/);
    refused(
      [{ productQuantize: { weights: ['prediction.weight'], subspaces: 1 } }],
      /a weight that inputs are multiplied by/,
    );
    refused([{ productQuantize: product }, { quantize: { weights: [TABLE], bits: 8 } }], /only retrain after/);
    refused([{ quantize: { weights: [TABLE], bits: 8 } }, { productQuantize: product }], /got a quantized one/);
    refused([{ quantize: { weights: [TABLE], bits: 3, scheme: 'nf4' } }], /bits: 4 beside scheme nf4, got 3/);
    refused([{ quantize: { weights: [TABLE], bits: 8, scheme: 'kmeans' } }], /bits: 2, 3 or 4 beside scheme kmeans/);
    refused(
      [{ quantize: { weights: [TABLE], bits: 4, scheme: 'nf4', method: 'gptq' } }],
      /beside method gptq, got nf4/,
    );
  });
});
