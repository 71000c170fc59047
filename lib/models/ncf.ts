import { concatColumns, multiply, reshape } from '../autograd';
import { TersorError } from '../errors';
import { embeddingLayer } from '../nn/embedding';
import { linearLayer } from '../nn/linear';
import { philox } from '../random';
import { type Tensor, tensor } from '../tensor';
import {
  type Architecture,
  assertSizes,
  countLayers,
  linearSpecs,
  matrixShape,
  type WeightShapes,
  type WeightSpec,
} from './architecture';

/** Sizes of a neural collaborative filtering model. */
export interface NcfSizes {
  readonly users: number;
  readonly items: number;
  /** Columns of each embedding table. */
  readonly factors: number;
}

/**
 * Generalized matrix factorization (He et al. 2017): score = w · (p_user ∘ q_item) + b.
 *
 * forward(users i32 [n], items i32 [n]) → scores f32 [n].
 * Weights: `user_embedding.weight`, `item_embedding.weight`, `prediction.weight` [1, factors], `prediction.bias` [1].
 *
 * @throws ERR_TERSOR_INVALID_ARGUMENT for sizes that are no counts
 */
export function gmf({ users, items, factors }: NcfSizes): Architecture {
  assertTables([users, items], [factors], 'gmf');
  return {
    kind: 'gmf',
    weights: [...embeddingSpecs(users, items, factors, factors), ...linearSpecs('prediction', [1, factors])],
    forward: (weights, inputs) => {
      const [user, item] = userAndItem(inputs, 'gmf');
      const p = embeddingLayer(weights, 'user_embedding', user);
      const q = embeddingLayer(weights, 'item_embedding', item);
      return reshape(linearLayer(weights, 'prediction', multiply(p, q)), [user.size]);
    },
    exampleInputs: (count) => [randomIds(count, users), randomIds(count, items)],
  };
}

/**
 * The perceptron of neural collaborative filtering (He et al. 2017): ReLU layers on the concatenation [p_user, q_item], then a score.
 *
 * forward(users i32 [n], items i32 [n]) → scores f32 [n].
 * Weights: the two embeddings, `layer1` … `layerL`, `prediction`.
 *
 * @param layers output widths of layer1 … layerL
 * @throws ERR_TERSOR_INVALID_ARGUMENT for sizes that are no counts
 */
export function ncfMlp({
  users,
  items,
  factors,
  layers,
}: NcfSizes & { readonly layers: readonly number[] }): Architecture {
  return ncfMlpOf(embeddingSpecs(users, items, factors, factors), 2 * factors, layers);
}

/** The GMF model whose tables a file holds. */
export function gmfFromShapes(shapes: WeightShapes): Architecture {
  const [users, factors] = matrixShape(shapes, 'user_embedding.weight', 'gmf');
  const [items] = matrixShape(shapes, 'item_embedding.weight', 'gmf');
  return gmf({ users, items, factors });
}

/** The NCF perceptron whose tables and layers a file holds; the tables may differ in width. */
export function ncfMlpFromShapes(shapes: WeightShapes): Architecture {
  const [users, userFactors] = matrixShape(shapes, 'user_embedding.weight', 'ncf-mlp');
  const [items, itemFactors] = matrixShape(shapes, 'item_embedding.weight', 'ncf-mlp');
  const count = countLayers(shapes, layerName, 1);
  const layers = Array.from(
    { length: count },
    (_, i) => matrixShape(shapes, `${layerName(i + 1)}.weight`, 'ncf-mlp')[0],
  );
  return ncfMlpOf(embeddingSpecs(users, items, userFactors, itemFactors), userFactors + itemFactors, layers);
}

function ncfMlpOf(embeddings: WeightSpec[], width: number, layers: readonly number[]): Architecture {
  assertTables(
    embeddings.map(({ shape: [rows = 0] }) => rows),
    [...embeddings.map(({ shape: [, columns = 0] }) => columns), ...layers],
    'ncf-mlp',
  );
  const widths = [width, ...layers];
  const hidden = layers.map((out, i) => ({ name: layerName(i + 1), out, input: widths[i] as number }));
  return {
    kind: 'ncf-mlp',
    weights: [
      ...embeddings,
      ...hidden.flatMap(({ name, out, input }) => linearSpecs(name, [out, input])),
      ...linearSpecs('prediction', [1, widths.at(-1) as number]),
    ],
    forward: (weights, inputs) => {
      const [user, item] = userAndItem(inputs, 'ncf-mlp');
      const p = embeddingLayer(weights, 'user_embedding', user);
      const q = embeddingLayer(weights, 'item_embedding', item);
      const top = hidden.reduce(
        (x, { name }, i) =>
          linearLayer(weights, name, x, { activation: 'relu', next: hidden[i + 1]?.name ?? 'prediction' }),
        concatColumns(p, q),
      );
      return reshape(linearLayer(weights, 'prediction', top), [user.size]);
    },
    exampleInputs: (count) => embeddings.map(({ shape: [rows = 1] }) => randomIds(count, rows)),
  };
}

function embeddingSpecs(users: number, items: number, userFactors: number, itemFactors: number): WeightSpec[] {
  return [
    { name: 'user_embedding.weight', shape: [users, userFactors], role: 'embedding' },
    { name: 'item_embedding.weight', shape: [items, itemFactors], role: 'embedding' },
  ];
}

/** Tables may be empty, such as those of a market without users yet. */
function assertTables(rows: readonly number[], widths: readonly number[], kind: string): void {
  assertSizes(rows, 0, `users and items of ${kind}`);
  assertSizes(widths, 1, `factors and layers of ${kind}`);
}

function randomIds(count: number, rows: number): Tensor {
  if (rows === 0 && count > 0) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_RANGE',
      'expected tables with rows to take examples from, got an empty one',
    );
  }
  const random = philox(0);
  return tensor(Int32Array.from({ length: count }, () => random.integer(rows)));
}

function layerName(i: number): string {
  return `layer${i}`;
}

function userAndItem([users, items]: readonly Tensor[], kind: string): readonly [Tensor, Tensor] {
  if (users !== undefined && items !== undefined && users.size === items.size) return [users, items];
  throw new TersorError(
    'ERR_TERSOR_SHAPE',
    `expected as many users as items, got ${users?.size ?? 'none'} and ${items?.size ?? 'none'}, at forward of '${kind}'`,
  );
}
