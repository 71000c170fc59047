/** Small models of every kind, for tests. */
import { gmf, initialize, Model, mlp, ncfMlp } from '../../lib/models';
import type { Tensor } from '../../lib/tensor';
import type { Weight } from '../../lib/weights';
import type { WeightCase } from '../weights/cases';

/** One of each kind; made anew at every call. */
export const MODELS: Readonly<Record<'mlp' | 'gmf' | 'ncf-mlp', () => Model>> = {
  mlp: () => initialize(mlp([9, 7, 6, 4]), { seed: 1 }),
  gmf: () => initialize(gmf({ users: 12, items: 17, factors: 7 }), { seed: 2 }),
  'ncf-mlp': () => initialize(ncfMlp({ users: 12, items: 17, factors: 5, layers: [8, 6] }), { seed: 3 }),
};

/** The model with every matrix in another representation; biases stay. `model` stays usable. */
export function represented(model: Model, { make }: Pick<WeightCase, 'make'>): Model {
  const roles = new Map(model.architecture.weights.map(({ name, role }) => [name, role]));
  return new Model(
    model.architecture,
    new Map(
      [...model.weights].map(([name, weight]): [string, Weight] => [
        name,
        roles.get(name) === 'bias' ? copy(weight) : make(weight.dense()),
      ]),
    ),
  );
}

/** The model's answers to examples that are always the same. */
export function answers(model: Pick<Model, 'architecture' | 'forward'>, count = 11): Float32Array {
  const inputs = model.architecture.exampleInputs(count);
  let y: Tensor | undefined;
  try {
    y = model.forward(...inputs);
    return y.toArray() as Float32Array;
  } finally {
    for (const each of [...inputs, y]) each?.dispose();
  }
}

function copy(weight: Weight): Weight {
  const trainable = weight.trainable();
  try {
    return trainable.pack();
  } finally {
    trainable.dispose();
  }
}
