import { expect } from 'chai';
import fc from 'fast-check';
import { crossEntropy, linear } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { TersorError } from '../../lib/errors';
import { philox } from '../../lib/random';
import { type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import { adagrad, adam, lamb, type Optimizer, rmsprop, sgd } from '../../lib/train';
import { random64, toTensor } from '../support/array64';
import { EPSILON, expectClose } from '../support/close';
import { withShared } from '../support/shared';
import { readVectors } from '../support/vectors';
import { expectNoLeaks } from '../tensor/leaks';

type Update = (parameter: number, gradient: number, step: number) => number;

/** One number's updates by SGD, in float64. */
function sgd64(learningRate: number, { momentum = 0, weightDecay = 0, nesterov = false }): Update {
  let velocity = 0;
  return (p, gradient) => {
    const g = gradient + weightDecay * p;
    velocity = momentum * velocity + g;
    return p - learningRate * (nesterov ? g + momentum * velocity : velocity);
  };
}

/** One number's updates by Adam or AdamW, in float64. */
function adam64(
  learningRate: number,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, decoupled = false },
): Update {
  let first = 0;
  let second = 0;
  return (p, gradient, step) => {
    const g = gradient + (decoupled ? 0 : weightDecay * p);
    first = beta1 * first + (1 - beta1) * g;
    second = beta2 * second + (1 - beta2) * g * g;
    const direction = first / (1 - beta1 ** step) / (Math.sqrt(second / (1 - beta2 ** step)) + epsilon);
    return p - learningRate * (direction + (decoupled ? weightDecay * p : 0));
  };
}

/** One number's updates by Adagrad (decay 1) or RMSprop, in float64. */
function rms64(learningRate: number, { decay = 1, epsilon = 1e-10, weightDecay = 0 }): Update {
  let squares = 0;
  return (p, gradient) => {
    const g = gradient + weightDecay * p;
    squares = decay * squares + (decay === 1 ? 1 : 1 - decay) * g * g;
    return p - (learningRate * g) / (Math.sqrt(squares) + epsilon);
  };
}

const RATE = 0.05;
const STEPS = 5;

const rules: [name: string, make: (parameters: Tensor[]) => Optimizer, make64: () => Update][] = [
  ['sgd', (p) => sgd(p), () => sgd64(RATE, {})],
  ['sgd with weight decay', (p) => sgd(p, { weightDecay: 0.1 }), () => sgd64(RATE, { weightDecay: 0.1 })],
  ...[{ momentum: 0.9 }, { momentum: 0.9, weightDecay: 0.1 }, { momentum: 0.9, weightDecay: 0.1, nesterov: true }].map(
    (options): (typeof rules)[number] => [
      `sgd ${JSON.stringify(options)}`,
      (p) => sgd(p, options),
      () => sgd64(RATE, options),
    ],
  ),
  ...[{}, { weightDecay: 0.1 }, { weightDecay: 0.1, decoupled: true }, { beta1: 0, beta2: 0.5, epsilon: 0.1 }].map(
    (options): (typeof rules)[number] => [
      `adam ${JSON.stringify(options)}`,
      (p) => adam(p, options),
      () => adam64(RATE, options),
    ],
  ),
  ...[{}, { weightDecay: 0.1 }, { epsilon: 0.1 }].map((options): (typeof rules)[number] => [
    `adagrad ${JSON.stringify(options)}`,
    (p) => adagrad(p, options),
    () => rms64(RATE, options),
  ]),
  ...[
    { decay: 0.9, epsilon: 1e-8 },
    { decay: 0, epsilon: 0.1 },
    { decay: 0.99, weightDecay: 0.1, epsilon: 1e-3 },
  ].map((options): (typeof rules)[number] => [
    `rmsprop ${JSON.stringify(options)}`,
    (p) => rmsprop(p, options),
    () => rms64(RATE, options),
  ]),
];

const curves: [name: string, make: (parameters: Tensor[]) => Optimizer, learningRate: number][] = [
  ['sgd-momentum0.9-nesterov-wd0.01-lr0.1', (p) => sgd(p, { momentum: 0.9, nesterov: true, weightDecay: 0.01 }), 0.1],
  ['adam-lr0.01', (p) => adam(p), 0.01],
  ['adamw-lr0.01-wd0.1', (p) => adam(p, { weightDecay: 0.1, decoupled: true }), 0.01],
  ['adagrad-lr0.1', (p) => adagrad(p), 0.1],
  ['rmsprop-lr0.01', (p) => rmsprop(p), 0.01],
];

describe('optimizers', () => {
  expectNoLeaks();

  for (const [name, make, make64] of rules) {
    it(`${name}: follows the rule in float64 over ${STEPS} steps`, () => {
      const dimension = fc.integer({ min: 1, max: 20 });
      fc.assert(
        fc.property(dimension, dimension, fc.nat(), (rows, columns, seed) => {
          const random = philox(seed);
          // Of two shapes, so that a mix-up of their states shows.
          const start = [random64([rows, columns], random), random64([columns], random)];
          const expected = start.map(({ data }) => [...data]);
          const updates = start.map(({ data }) => [...data].map(make64));
          tidy(() => {
            const parameters = start.map(toTensor);
            const optimizer = make(parameters);
            for (let step = 1; step <= STEPS; step++) {
              const gradients = start.map(({ shape }) => random64(shape, random));
              optimizer.update(gradients.map(toTensor), RATE, step);
              expected.forEach((values, k) => {
                values.forEach((value, i) => {
                  values[i] = updates[k]?.[i]?.(value, gradients[k]?.data[i] as number, step) as number;
                });
              });
            }
            optimizer.dispose();
            // A step moves a number by at most some 40 learning rates; 30 roundings each on the way.
            parameters.forEach((parameter, k) => {
              expectClose(parameter, expected[k] as number[], STEPS * 30 * EPSILON * (2 + 40 * RATE), `parameter ${k}`);
            });
          });
        }),
        { numRuns: 10 },
      );
    });
  }

  for (const [name, make, learningRate] of curves) {
    it(`${name}: has the loss curve of PyTorch`, () => {
      withShared(['vectors', 'torch.safetensors'], (file) => {
        tidy(() => {
          const vectors = readVectors(file);
          const [x, y] = [vectors.tensor('opt.x'), vectors.tensor('opt.y')];
          const parameters = ['w1', 'b1', 'w2', 'b2'].map((part) => vectors.tensor(`opt.${part}`));
          const [w1, b1, w2, b2] = parameters as [Tensor, Tensor, Tensor, Tensor];
          const loss = () => crossEntropy(linear(linear(x, w1, { bias: b1, activation: 'relu' }), w2, { bias: b2 }), y);
          const optimizer = make(parameters);
          const expected = vectors.numbers(`opt.losses.${name}`);
          expect(expected).to.have.length(20);
          const losses = expected.map((_, i) => {
            const { value, gradients } = valueAndGradients(loss, parameters);
            optimizer.update(gradients, learningRate, i + 1);
            return value.item();
          });
          optimizer.dispose();
          expectClose(
            losses,
            expected,
            expected.map((value) => 1e-5 * value),
            'loss of each step',
          );
        });
      });
    });
  }

  it('name the tensors that a checkpoint must hold, one per parameter, of its shape, from 0', () => {
    tidy(() => {
      const parameters = [zeros([2, 3]), zeros([4])];
      const stateOf = (optimizer: Optimizer) => {
        const state = [...optimizer.state()].map(([name, t]) => [name, [...t.shape], [...t.toArray()].some(Boolean)]);
        optimizer.dispose();
        return state;
      };
      expect(stateOf(sgd(parameters))).to.deep.equal([]);
      expect(stateOf(sgd(parameters, { momentum: 0.5 }))).to.deep.equal([
        ['velocity.0', [2, 3], false],
        ['velocity.1', [4], false],
      ]);
      expect(stateOf(adam(parameters))).to.deep.equal([
        ['first.0', [2, 3], false],
        ['first.1', [4], false],
        ['second.0', [2, 3], false],
        ['second.1', [4], false],
      ]);
    });
  });

  it('lamb: follows the rule in float64, each parameter by its own length, also one that is zero', () => {
    const options = { beta1: 0.8, beta2: 0.9, epsilon: 1e-6, weightDecay: 0.1 };
    const random = philox(11);
    const start = [random64([7, 5], random), random64([3], random), { shape: [4], data: new Float64Array(4) }];
    const expected = start.map(({ data }) => [...data]);
    // Without decay and with a rate of 1, Adam moves by minus its direction.
    const directions = start.map(({ data }) => [...data].map(() => adam64(1, { ...options, weightDecay: 0 })));
    const length = (values: readonly number[]) => Math.hypot(...values);
    tidy(() => {
      const parameters = start.map(toTensor);
      const optimizer = lamb(parameters, options);
      for (let step = 1; step <= STEPS; step++) {
        const gradients = start.map(({ shape }) => random64(shape, random));
        optimizer.update(gradients.map(toTensor), RATE, step);
        expected.forEach((values, k) => {
          const update = values.map((value, i) => {
            const moved = directions[k]?.[i]?.(0, gradients[k]?.data[i] as number, step) as number;
            return options.weightDecay * value - moved;
          });
          const [size, most] = [length(values), length(update)];
          const trust = size === 0 || most === 0 ? 1 : size / most;
          expected[k] = values.map((value, i) => value - RATE * trust * (update[i] as number));
        });
      }
      optimizer.dispose();
      parameters.forEach((parameter, k) => {
        expectClose(parameter, expected[k] as number[], STEPS * 60 * EPSILON * 3, `parameter ${k}`);
      });
    });
  });

  it('continue with the same bits from a copy of their state', () => {
    tidy(() => {
      for (const make of [(p: Tensor[]) => sgd(p, { momentum: 0.9 }), adam, adagrad, rmsprop, lamb]) {
        const gradient = (step: number) => [tensor([Math.sin(step), 2])];
        const [a, b] = [tensor([1, 2]), tensor([1, 2])];
        const [whole, first] = [make([a]), make([b])];
        for (let step = 1; step <= 6; step++) whole.update(gradient(step), 0.1, step);
        for (let step = 1; step <= 3; step++) first.update(gradient(step), 0.1, step);
        const second = make([b]);
        for (const [name, t] of second.state()) t.copyFrom(first.state().get(name) as Tensor);
        for (let step = 4; step <= 6; step++) second.update(gradient(step), 0.1, step);
        expectClose(b, a.toArray() as Float32Array, 0, 'parameter');
        for (const optimizer of [whole, first, second]) optimizer.dispose();
      }
    });
  });

  it('clip all gradients together to a length, and leave shorter ones', () => {
    tidy(() => {
      const [a, b] = [tensor([0]), tensor([0, 0])];
      for (const [maxGradientNorm, share] of [
        [6.5, 0.5],
        [13.5, 1],
        [0, 1],
      ] as const) {
        for (const x of [a, b]) x.copyFrom(zeros(x.shape));
        // Of length 13 together.
        updated(sgd([a, b], { maxGradientNorm }), [tensor([3]), tensor([4, 12])], 1);
        expectClose(a, [-3 * share], 1e-5, 'first');
        expectClose(b, [-4 * share, -12 * share], 1e-5, 'second');
      }
      // Adam's first step does not depend on the length; its moments do.
      const optimizer = adam([b], { maxGradientNorm: 1 });
      optimizer.update([tensor([3, 4])], 0.1, 1);
      expectClose(optimizer.state().get('first.0') as Tensor, [0.06, 0.08], 1e-6, 'first moment');
      optimizer.dispose();
    });
  });

  it('leave gradients as they are', () => {
    tidy(() => {
      const gradient = tensor([3, -4]);
      for (const make of [sgd, adam, adagrad, rmsprop, lamb]) {
        const optimizer = make([tensor([1, 2])], { weightDecay: 1 });
        optimizer.update([gradient], 0.1, 1);
        optimizer.dispose();
      }
      expectClose(gradient, [3, -4], 0, 'gradient');
    });
  });

  it('outlive the tidy they were made in', () => {
    tidy(() => {
      const w = tensor([1]);
      const made: Optimizer[] = [];
      tidy(() => {
        made.push(adam([w]));
      });
      for (const optimizer of made) updated(optimizer, [tensor([1])], 0.5);
      expect(w.item()).to.be.closeTo(0.5, 1e-6);
    });
  });

  describe('refuse', () => {
    const refused: [what: string, code: string, act: (w: Tensor, g: Tensor) => void][] = [
      ['nesterov without momentum', 'ERR_TERSOR_INVALID_ARGUMENT', (w) => sgd([w], { nesterov: true })],
      ['a momentum of 1', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(sgd([w], { momentum: 1 }), [g])],
      ['a negative weight decay', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(sgd([w], { weightDecay: -1 }), [g])],
      ['a beta of 1', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(adam([w], { beta2: 1 }), [g])],
      ['an epsilon of 0', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(adam([w], { epsilon: 0 }), [g])],
      ['an rmsprop decay of 1', 'ERR_TERSOR_OUT_OF_RANGE', (w) => rmsprop([w], { decay: 1 })],
      ['an adagrad epsilon of 0', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(adagrad([w], { epsilon: 0 }), [g])],
      ['a lamb step of 0', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(lamb([w]), [g], 0.1, 0)],
      ['a learning rate of NaN', 'ERR_TERSOR_NOT_FINITE', (w, g) => updated(adam([w]), [g], Number.NaN)],
      [
        'a negative gradient norm',
        'ERR_TERSOR_OUT_OF_RANGE',
        (w, g) => updated(sgd([w], { maxGradientNorm: -1 }), [g]),
      ],
      ['step 0', 'ERR_TERSOR_OUT_OF_RANGE', (w, g) => updated(adam([w]), [g], 0.1, 0)],
      ['no gradients', 'ERR_TERSOR_SHAPE', (w) => updated(adam([w]), [])],
      ['too many gradients', 'ERR_TERSOR_SHAPE', (w, g) => updated(sgd([w]), [g, g])],
      ['a gradient of another shape', 'ERR_TERSOR_SHAPE', (w) => updated(adam([w]), [tensor([1, 2, 3])])],
    ];
    for (const [what, code, act] of refused) {
      it(`${what}, leaving the parameters as they are`, () => {
        tidy(() => {
          const w = tensor([1, 2]);
          let caught: unknown;
          try {
            act(w, tensor([1, 1]));
          } catch (error) {
            caught = error;
          }
          expect(caught).to.be.instanceOf(TersorError).with.property('code', code);
          expectClose(w, [1, 2], 0, 'parameter');
        });
      });
    }
  });
});

/** One update by an optimizer that is then gone. */
function updated(optimizer: Optimizer, gradients: Tensor[], learningRate = 0.1, step = 1): void {
  try {
    optimizer.update(gradients, learningRate, step);
  } finally {
    optimizer.dispose();
  }
}
