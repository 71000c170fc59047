import { expect } from 'chai';
import { sum } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { gmf, initialize, Model, mlp, ncfMlp } from '../../lib/models';
import { memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { Dense, type Weight } from '../../lib/weights';
import { EPSILON, expectClose, expectSameBits } from '../support/close';
import { answers, MODELS } from './samples';

const USERS = Int32Array.of(0, 11, 5, 5);
const ITEMS = Int32Array.of(16, 0, 3, 4);

/** A weight's numbers in float64. */
function numbers(model: Model, name: string): Float64Array {
  return Float64Array.from((model.weights.get(name) as Weight).dense().toArray() as Float32Array);
}

function row(table: Float64Array, index: number, width: number): number[] {
  return [...table.subarray(index * width, (index + 1) * width)];
}

/** W · x + b in float64. */
function layer(model: Model, name: string, x: readonly number[]): number[] {
  const [w, b] = [numbers(model, `${name}.weight`), numbers(model, `${name}.bias`)];
  return [...b].map((bias, out) =>
    x.reduce((total, value, k) => total + value * (w[out * x.length + k] as number), bias),
  );
}

const relu = (x: readonly number[]) => x.map((value) => Math.max(value, 0));

describe('forward passes', () => {
  it('of a perceptron give float64 logits', () => {
    tidy(() => {
      const model = MODELS.mlp();
      const x = model.architecture.exampleInputs(5)[0] as Tensor;
      const values = Float64Array.from(x.toArray() as Float32Array);
      const expected = Array.from({ length: 5 }, (_, i) => {
        const first = relu(layer(model, 'layers.0', row(values, i, 9)));
        return layer(model, 'layers.2', relu(layer(model, 'layers.1', first)));
      }).flat();
      const y = model.forward(x);
      expect(y.shape).to.deep.equal([5, 4]);
      expectClose(y, expected, 100 * EPSILON, 'logits');
      model.dispose();
    });
  });

  it('of generalized matrix factorization give float64 scores', () => {
    tidy(() => {
      const model = MODELS.gmf();
      const [p, q] = [numbers(model, 'user_embedding.weight'), numbers(model, 'item_embedding.weight')];
      const expected = Array.from(USERS, (user, i) => {
        const item = row(q, ITEMS[i] as number, 7);
        return layer(
          model,
          'prediction',
          row(p, user, 7).map((value, k) => value * (item[k] as number)),
        );
      }).flat();
      expectClose(model.forward(tensor(USERS), tensor(ITEMS)), expected, 20 * EPSILON, 'scores');
      model.dispose();
    });
  });

  it('of the perceptron of neural collaborative filtering give float64 scores', () => {
    tidy(() => {
      const model = widened(MODELS['ncf-mlp']());
      const [p, q] = [numbers(model, 'user_embedding.weight'), numbers(model, 'item_embedding.weight')];
      const expected = Array.from(USERS, (user, i) => {
        const x = [...row(p, user, 5), ...row(q, ITEMS[i] as number, 5)];
        return layer(model, 'prediction', relu(layer(model, 'layer2', relu(layer(model, 'layer1', x)))));
      }).flat();
      const scores = model.forward(tensor(USERS), tensor(ITEMS));
      expect(scores.shape).to.deep.equal([4]);
      expectClose(scores, expected, 300 * EPSILON, 'scores');
      expect(new Set(scores.toArray() as Float32Array).size, 'different users and items score differently').to.equal(4);
      model.dispose();
    });
  });

  for (const [kind, make] of Object.entries(MODELS)) {
    it(`of ${kind}: training sees what is served, bit for bit; no example gives no answer`, () => {
      tidy(() => {
        const model = make();
        const trainable = model.trainable();
        const inputs = model.architecture.exampleInputs(6);
        expectSameBits(trainable.forward(...inputs), model.forward(...inputs), kind);
        expect(model.forward(...model.architecture.exampleInputs(0)).size).to.equal(0);
        trainable.dispose();
        model.dispose();
      });
    });

    it(`of ${kind} leave nothing but the answer in memory, and dispose frees the model`, () => {
      const before = memory();
      const model = make();
      const inputs = model.architecture.exampleInputs(6);
      const held = memory().tensors;
      const y = model.forward(...inputs);
      expect(memory().tensors - held).to.be.at.most(1);
      const trainable = model.trainable();
      const packed = trainable.pack();
      for (const each of [y, ...inputs, trainable, packed, model]) each.dispose();
      expect(memory().tensors).to.be.at.most(before.tensors);
      expect(memory().bytes).to.be.at.most(before.bytes);
    });
  }

  it('refuse inputs that are differentiated by; a model in training takes them', () => {
    tidy(() => {
      const model = MODELS.mlp();
      const [x] = model.architecture.exampleInputs(2) as [Tensor];
      expect(() => valueAndGradients(() => sum(model.forward(x)), [x]))
        .to.throw('trainable()')
        .with.property('code', 'ERR_TERSOR_UNSUPPORTED');
      const trainable = model.trainable();
      const { gradients } = valueAndGradients(() => sum(trainable.forward(x)), [x]);
      expect(gradients[0]?.toArray().filter((value: number | bigint) => value !== 0)).to.have.length(18);
      trainable.dispose();
      model.dispose();
    });
  });

  it('refuse missing inputs, ids outside the tables, and users that do not pair with items', () => {
    tidy(() => {
      const model = MODELS.gmf();
      const two = tensor(Int32Array.of(1, 2));
      expectCode(() => model.forward(two), 'ERR_TERSOR_SHAPE');
      expectCode(() => model.forward(two, tensor(Int32Array.of(1))), 'ERR_TERSOR_SHAPE');
      expectCode(() => model.forward(two, tensor(Int32Array.of(0, 17))), 'ERR_TERSOR_OUT_OF_RANGE');
      expectCode(() => model.forward(two, tensor([0, 1])), 'ERR_TERSOR_DTYPE');
      const perceptron = MODELS.mlp();
      const empty = initialize(gmf({ users: 0, items: 3, factors: 2 }));
      expectCode(() => empty.architecture.exampleInputs(1), 'ERR_TERSOR_OUT_OF_RANGE');
      empty.dispose();
      expectCode(() => perceptron.forward(), 'ERR_TERSOR_INVALID_ARGUMENT');
      expectCode(() => perceptron.forward(tensor([[1, 2]])), 'ERR_TERSOR_SHAPE');
      model.dispose();
      perceptron.dispose();
    });
  });
});

describe('models', () => {
  it('count what their weights hold: the classic perceptron of 109,386 parameters', () => {
    const model = initialize(mlp([784, 128, 64, 10]));
    expect(model.parameters()).to.equal(109_386);
    expect(model.nonzeros()).to.equal(109_386);
    expect(model.bytes()).to.equal(437_544);
    expect(model.macs()).to.equal(784 * 128 + 128 * 64 + 64 * 10);
    model.dispose();
  });

  it('begin the same for the same seed, and otherwise differ', () => {
    for (const make of [() => mlp([9, 7, 4]), () => gmf({ users: 3, items: 4, factors: 2 })]) {
      const [a, b, c] = [7, 7, 8].map((seed) => initialize(make(), { seed })) as [Model, Model, Model];
      expect(answers(a)).to.deep.equal(answers(b));
      expect(answers(a)).not.to.deep.equal(answers(c));
      for (const model of [a, b, c]) model.dispose();
    }
  });

  it('begin with layers uniform in ±1/√inputs and embeddings of deviation 0.01', () => {
    const model = initialize(ncfMlp({ users: 500, items: 400, factors: 32, layers: [50] }), { seed: 4 });
    for (const [name, deviation, largest] of [
      ['layer1.weight', 1 / Math.sqrt(3 * 64), 1 / 8],
      ['layer1.bias', 1 / Math.sqrt(3 * 64), 1 / 8],
      ['prediction.weight', 1 / Math.sqrt(3 * 50), 1 / Math.sqrt(50)],
      ['user_embedding.weight', 0.01, 0.06],
      ['item_embedding.weight', 0.01, 0.06],
    ] as const) {
      const values = numbers(model, name);
      const spread = Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
      expect(spread, name).to.be.within(0.75 * deviation, 1.25 * deviation);
      expect(Math.max(...values.map(Math.abs)), name).to.be.at.most(largest * (1 + 1e-6));
    }
    model.dispose();
  });

  it('refuse impossible sizes and seeds', () => {
    for (const sizes of [[], [3], [3, 0], [3, -1], [3, 1.5], [3, Number.NaN]]) {
      expectCode(() => mlp(sizes), 'ERR_TERSOR_INVALID_ARGUMENT');
    }
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expectCode(() => initialize(mlp([2, 2]), { seed }), 'ERR_TERSOR_INVALID_ARGUMENT');
    }
    for (const bad of [-1, 1.5, Number.NaN]) {
      expectCode(() => gmf({ users: bad, items: 2, factors: 2 }), 'ERR_TERSOR_INVALID_ARGUMENT');
      expectCode(() => ncfMlp({ users: 2, items: 2, factors: 2, layers: [bad] }), 'ERR_TERSOR_INVALID_ARGUMENT');
    }
  });

  it('refuse weights that are missing, superfluous or of another shape, by name', () => {
    tidy(() => {
      const model = MODELS.mlp();
      const weights = new Map(model.weights);
      weights.delete('layers.1.bias');
      expect(() => new Model(model.architecture, weights))
        .to.throw("'layers.1.bias'")
        .with.property('code', 'ERR_TERSOR_SHAPE');
      weights.set('layers.1.bias', model.weights.get('layers.0.bias') as Weight);
      expect(() => new Model(model.architecture, weights)).to.throw("[6], got [7], at weight 'layers.1.bias'");
      weights.set('layers.1.bias', model.weights.get('layers.1.bias') as Weight);
      weights.set('layers.9.bias', new Dense(tensor([1])));
      expect(() => new Model(model.architecture, weights)).to.throw('layers.9.bias');
      model.dispose();
    });
  });
});

/** With embeddings large enough to matter. */
function widened(model: Model): Model {
  const weights = [...model.weights].map(([name, weight]): [string, Weight] => {
    if (!name.includes('embedding')) return [name, weight];
    const values = (weight.dense().toArray() as Float32Array).map((value) => 100 * value);
    const { shape } = weight;
    weight.dispose();
    return [name, new Dense(tensor(values, shape))];
  });
  return new Model(model.architecture, new Map(weights));
}

function expectCode(act: () => unknown, code: string): void {
  expect(act)
    .to.throw(/expected .*, got /)
    .with.property('code', code);
}
