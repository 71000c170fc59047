import { expect } from 'chai';
import type { LinearOptions } from '../../lib/autograd';
import { gradualPruning } from '../../lib/compress';
import type { ClassificationData } from '../../lib/data/classification';
import { initialize, Model, mlp, type TrainableModel } from '../../lib/models';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy } from '../../lib/tensor';
import { classificationTask, fit } from '../../lib/train';
import {
  DEFAULT_OBSERVER,
  Dense,
  LowRank,
  type QuantizationScheme,
  type TrainableMatrix,
  type Weight,
} from '../../lib/weights';
import { EPSILON, expectClose } from '../support/close';
import { floatProduct, inputCode } from '../weights/reference';

const FEATURES = 12;
const CLASSES = 5;
const COUNT = 400;
const LAYERS = ['layers.0', 'layers.1', 'layers.2'];

/** Points around one centre for each class. */
function points(): ClassificationData {
  const random = philox(31);
  const centres = Float64Array.from({ length: CLASSES * FEATURES }, () => 2 * random.uniform() - 1);
  const labels = Int32Array.from({ length: COUNT }, (_, i) => i % CLASSES);
  const inputs = Float32Array.from({ length: COUNT * FEATURES }, (_, i) => {
    const label = labels[Math.floor(i / FEATURES)] as number;
    return (centres[label * FEATURES + (i % FEATURES)] as number) + 0.8 * (random.uniform() - 0.5);
  });
  return { inputs, labels, features: FEATURES, classes: CLASSES };
}

const int8 = (granularity: 'tensor' | 'channel'): QuantizationScheme => ({ bits: 8, scheme: 'symmetric', granularity });

/** Ways to train under fake quantization with integer inputs. */
const PREPARATIONS: Record<string, (matrices: TrainableMatrix[]) => void> = {
  'int8 per channel': (matrices) => quantizeAll(matrices, int8('channel')),
  'int8 per tensor': (matrices) => quantizeAll(matrices, int8('tensor')),
  'int4 per channel': (matrices) => quantizeAll(matrices, { bits: 4, scheme: 'symmetric', granularity: 'channel' }),
};

function quantizeAll(matrices: TrainableMatrix[], scheme: QuantizationScheme): void {
  for (const matrix of matrices) {
    matrix.quantize(scheme);
    matrix.quantizeInputs({ ...DEFAULT_OBSERVER, momentum: 0.9 });
  }
}

describe('a model trained under fake quantization', () => {
  const data = points();
  const shapes: Record<string, () => Model> = {
    dense: () => initialize(mlp([FEATURES, 16, 10, CLASSES]), { seed: 5 }),
    'of low rank': () => {
      const model = initialize(mlp([FEATURES, 16, 10, CLASSES]), { seed: 5 });
      const weights = new Map(model.weights);
      weights.get('layers.0.weight')?.dispose();
      weights.set('layers.0.weight', new LowRank(uniform(16, 4), uniform(4, FEATURES)));
      return new Model(model.architecture, weights);
    },
  };
  for (const [shape, make] of Object.entries(shapes)) {
    for (const [name, prepare] of Object.entries(PREPARATIONS)) {
      for (const sparsity of [0, 0.5]) {
        it(`is what is packed: ${shape}, ${name}${sparsity > 0 ? ', half of it pruned' : ''}`, async () => {
          const initial = make();
          const model = initial.trainable();
          const matrices = LAYERS.flatMap((layer) => model.matrices(`${layer}.weight`));
          prepare(matrices);
          await fit(model, classificationTask(data), {
            epochs: 6,
            batchSize: 16,
            learningRate: 1e-2,
            afterStep: sparsity > 0 ? gradualPruning(matrices, { sparsity, every: 5 }) : undefined,
          });
          const packed = model.pack();
          tidy(() => {
            const x = tensor(data.inputs, [COUNT, FEATURES]);
            checkLayers(model, packed, x);
            checkAnswers(model.forward(x), packed.forward(x));
          });
          for (const each of [initial, model, packed]) each.dispose();
        });
      }
    }
  }

  /** Rounding of f32 is all that may differ: both multiply the same rounded inputs with the same rounded weights. */
  function checkLayers(model: TrainableModel, packed: Model, x: Tensor): void {
    let hidden = x;
    for (const layer of LAYERS) {
      const weight = packed.weights.get(`${layer}.weight`) as Weight;
      const bias = packed.weights.get(`${layer}.bias`)?.dense() ?? null;
      const matrices = model.matrices(`${layer}.weight`) as [TrainableMatrix, TrainableMatrix];
      if (weight instanceof LowRank) {
        const inner = checkProduct(matrices[1], weight.right, hidden);
        hidden = checkProduct(matrices[0], weight.left, inner, { bias, activation: 'relu' });
      } else
        hidden = checkProduct(matrices[0], weight, hidden, {
          bias,
          activation: layer !== LAYERS.at(-1) ? 'relu' : null,
        });
    }
  }

  function checkProduct(trained: TrainableMatrix, served: Weight, x: Tensor, options: LinearOptions = {}): Tensor {
    const { descriptor } = served.store();
    if (
      descriptor === null ||
      !('input' in descriptor) ||
      descriptor.input === undefined ||
      descriptor.input === 'dynamic'
    ) {
      throw new Error(`expected static quantized inputs, got ${served.representation}`);
    }
    const { input } = descriptor;
    const rounded = (x.toArray() as Float32Array).map(
      (value) => input.scale * (inputCode(value, input) - input.zeroPoint),
    );
    const { values, tolerance } = floatProduct(served, tensor(rounded, x.shape), options);
    expectClose(trained.matmul(x, options), values, tolerance, 'in training');
    const y = served.matmul(x, options);
    expectClose(y, values, tolerance, 'as served');
    return y;
  }

  function checkAnswers(trained: Tensor, served: Tensor): void {
    const [a, b] = [trained.toArray() as Float32Array, served.toArray() as Float32Array];
    const tolerance = 64 * EPSILON * Math.max(...a.map(Math.abs));
    const differing = new Set<number>();
    a.forEach((logit, i) => {
      if (!(Math.abs(logit - (b[i] as number)) <= tolerance)) differing.add(Math.floor(i / CLASSES));
    });
    // A hidden number on the border between two codes may fall to either side.
    expect(differing.size, 'examples that differ by more than rounding').to.be.at.most(COUNT / 100);
    expect(largest(b)).to.deep.equal(largest(a));
    const right = largest(b).filter((label, i) => label === data.labels[i]).length;
    expect(right / COUNT, 'accuracy').to.be.above(0.9);
  }
});

function uniform(rows: number, columns: number): Dense {
  const random = philox(rows);
  return new Dense(
    tensor(
      Float32Array.from({ length: rows * columns }, () => random.uniform() - 0.5),
      [rows, columns],
    ),
  );
}

/** Index of the largest logit of each example. */
function largest(logits: Float32Array): number[] {
  return Array.from({ length: COUNT }, (_, i) => {
    const row = logits.subarray(i * CLASSES, (i + 1) * CLASSES);
    return row.indexOf(Math.max(...row));
  });
}
