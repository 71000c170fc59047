import { TersorError } from '../errors';
import { native } from '../native';
import { linearLayer } from '../nn/linear';
import { empty, type Tensor } from '../tensor';
import {
  type Architecture,
  assertSizes,
  countLayers,
  linearSpecs,
  matrixShape,
  type WeightShapes,
} from './architecture';

/**
 * Multilayer perceptron: fully connected layers `layers.0`, `layers.1`, … with ReLU between them.
 *
 * forward(x f32 [n, sizes[0]]) → logits f32 [n, last size].
 *
 * @param sizes widths from input to output, such as [784, 128, 64, 10]
 * @example
 * const model = tersor.initialize(tersor.mlp([784, 128, 64, 10]), { seed: 0 })
 * console.log(model.parameters()) // 109386
 */
export function mlp(sizes: readonly number[]): Architecture {
  if (sizes.length < 2) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected at least two layer sizes, got ${sizes.length}, at mlp`,
    );
  }
  assertSizes(sizes, 1, 'layer sizes of mlp');
  const layers = sizes.slice(1).map((out, i) => ({ name: layerName(i), out, input: sizes[i] as number }));
  return {
    kind: 'mlp',
    weights: layers.flatMap(({ name, out, input }) => linearSpecs(name, [out, input])),
    forward: (weights, [x]) =>
      layers.reduce(
        (hidden, { name }, i) =>
          linearLayer(weights, name, hidden, {
            activation: i + 1 < layers.length ? 'relu' : null,
            next: layers[i + 1]?.name,
          }),
        only(x, 'mlp'),
      ),
    exampleInputs: (count) => [randomUniform([count, sizes[0] as number])],
  };
}

/** The perceptron whose layers a file holds. */
export function mlpFromShapes(shapes: WeightShapes): Architecture {
  const count = Math.max(countLayers(shapes, layerName, 0), 1);
  const matrices = Array.from({ length: count }, (_, i) => matrixShape(shapes, `${layerName(i)}.weight`, 'mlp'));
  return mlp([(matrices[0] as readonly [number, number])[1], ...matrices.map(([out]) => out)]);
}

function layerName(i: number): string {
  return `layers.${i}`;
}

function randomUniform(shape: readonly number[]): Tensor {
  const x = empty(shape);
  native.randomUniform(0n, 0n, 0, 1, x.handle);
  return x;
}

function only<T>(x: T | undefined, kind: string): T {
  if (x !== undefined) return x;
  throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected one input, got none, at forward of '${kind}'`);
}
