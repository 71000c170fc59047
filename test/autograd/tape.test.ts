import { expect } from 'chai';
import {
  add,
  concatColumns,
  crossEntropy,
  distillation,
  fakeQuantize,
  gather,
  linear,
  matmul,
  multiply,
  relu,
  reshape,
  scale,
  softmax,
  sum,
} from '../../lib/autograd';
import { noGrad, valueAndGradients } from '../../lib/autograd/tape';
import { TersorError } from '../../lib/errors';
import { memory, type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import { expectNoLeaks } from '../tensor/leaks';

/** Runs a test and frees what it made. */
const freeing = (test: () => void) => () => {
  tidy(test);
};

const numbers = (x: Tensor | undefined) => [...((x as Tensor).toArray() as Float32Array)];

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof TersorError) return error.code;
    throw error;
  }
  return 'none';
}

describe('valueAndGradients', () => {
  expectNoLeaks();

  it(
    'gives zeros for a parameter that the loss does not depend on, of its shape',
    freeing(() => {
      const [used, unused] = [tensor([[1, 2]]), tensor([[1], [2], [3]])];
      const { gradients } = valueAndGradients(() => sum(used), [used, unused]);
      expect(numbers(gradients[0])).to.deep.equal([1, 1]);
      expect(gradients[1]?.shape).to.deep.equal([3, 1]);
      expect(numbers(gradients[1])).to.deep.equal([0, 0, 0]);
    }),
  );

  it(
    'gives zeros for every parameter when the loss is a constant, and no gradients for no parameters',
    freeing(() => {
      const [w, constant] = [tensor([1, 2]), tensor([7])];
      const { value, gradients } = valueAndGradients(() => constant, [w]);
      expect(value).to.equal(constant);
      expect(numbers(gradients[0])).to.deep.equal([0, 0]);
      expect(valueAndGradients(() => sum(w), []).gradients).to.deep.equal([]);
    }),
  );

  it(
    'takes a parameter itself as the loss and leaves it alive',
    freeing(() => {
      const w = tensor([7]);
      const { value, gradients } = valueAndGradients(() => w, [w]);
      expect(value.item()).to.equal(7);
      expect(numbers(gradients[0])).to.deep.equal([1]);
      expect(numbers(w)).to.deep.equal([7]);
    }),
  );

  it(
    'sums the gradients of every use of a tensor',
    freeing(() => {
      const w = tensor([[2, -3]]);
      const loss = () => sum(add(add(multiply(w, w), scale(w, 5)), reshape(w, [1, 2])));
      expect(numbers(valueAndGradients(loss, [w]).gradients[0])).to.deep.equal([10, 0]);
    }),
  );

  it(
    'takes no gradient through what nobody asked for',
    freeing(() => {
      const [w, x] = [tensor([[2]]), tensor([[3]])];
      const { gradients } = valueAndGradients(() => sum(multiply(multiply(x, x), w)), [w]);
      expect(numbers(gradients[0])).to.deep.equal([9]);
    }),
  );

  it(
    'gives every parameter a gradient with memory of its own',
    freeing(() => {
      const [a, b, c, d] = [tensor([1, 2]), tensor([3, 4]), tensor([5, 6]), tensor([[7, 8]])];
      const loss = () => sum(add(add(a, b), add(c, reshape(d, [2]))));
      const { gradients } = valueAndGradients(loss, [a, b, c, d]);
      gradients[0]?.write(Float32Array.of(9, 9));
      for (const gradient of gradients.slice(1)) expect(numbers(gradient)).to.deep.equal([1, 1]);
    }),
  );

  it(
    'keeps its gradients when the parameters and the value are gone',
    freeing(() => {
      const w = tensor([[1, 2]]);
      const { value, gradients } = valueAndGradients(() => sum(reshape(w, [2])), [w]);
      w.dispose();
      value.dispose();
      expect(numbers(gradients[0])).to.deep.equal([1, 1]);
    }),
  );

  it(
    'refuses a loss of more than one element, and of none, naming its shape',
    freeing(() => {
      const w = tensor([[1, 2]]);
      expect(() => valueAndGradients(() => scale(w, 2), [w])).to.throw(TersorError, /one element, got .*\[1, 2\]/);
      expect(codeOf(() => valueAndGradients(() => zeros([0]), [w]))).to.equal('ERR_TERSOR_SHAPE');
    }),
  );

  it(
    'refuses a loss that is no tensor: an asynchronous function, a number',
    freeing(() => {
      const w = tensor([1]);
      for (const loss of [async () => sum(w), () => 1, () => undefined]) {
        expect(codeOf(() => valueAndGradients(loss as unknown as () => Tensor, [w]))).to.equal('ERR_TERSOR_SHAPE');
      }
    }),
  );

  it(
    'refuses to be nested and records again afterwards',
    freeing(() => {
      const w = tensor([2]);
      const square = () => sum(multiply(w, w));
      const nested = () => valueAndGradients(square, [w]).value;
      expect(codeOf(() => valueAndGradients(nested, [w]))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
      expect(numbers(valueAndGradients(square, [w]).gradients[0])).to.deep.equal([4]);
    }),
  );

  it(
    'works after a loss function that threw, whose error it passes on',
    freeing(() => {
      const w = tensor([2]);
      const broken = new Error('broken');
      expect(() =>
        valueAndGradients(() => {
          multiply(w, w);
          throw broken;
        }, [w]),
      ).to.throw(broken);
      expect(numbers(valueAndGradients(() => sum(multiply(w, w)), [w]).gradients[0])).to.deep.equal([4]);
    }),
  );

  it(
    'says so when tidy inside the loss has freed what the gradient needs',
    freeing(() => {
      const w = tensor([2]);
      const loss = () => tidy(() => sum(multiply(scale(w, 2), scale(w, 3))));
      expect(codeOf(() => valueAndGradients(loss, [w]))).to.equal('ERR_TERSOR_DISPOSED');
    }),
  );

  it(
    'carries gradients through rows, columns and ids that are empty',
    freeing(() => {
      const [none, w, bias] = [zeros([0, 3]), tensor([[1, 2, 3]]), tensor([4])];
      const noRows = valueAndGradients(() => sum(linear(none, w, { bias, activation: 'relu' })), [none, w, bias]);
      expect(noRows.value.item()).to.equal(0);
      expect(noRows.gradients.map((g) => [...g.shape])).to.deep.equal([[0, 3], [1, 3], [1]]);
      expect(numbers(noRows.gradients[1])).to.deep.equal([0, 0, 0]);
      expect(numbers(noRows.gradients[2])).to.deep.equal([0]);
      const noColumns = valueAndGradients(() => sum(concatColumns(zeros([1, 0]), w)), [w]);
      expect(numbers(noColumns.gradients[0])).to.deep.equal([1, 1, 1]);
      const noIds = valueAndGradients(() => sum(gather(w, tensor(new Int32Array(0)))), [w]);
      expect(numbers(noIds.gradients[0])).to.deep.equal([0, 0, 0]);
      const noInputs = valueAndGradients(
        () => sum(linear(zeros([2, 0]), zeros([3, 0]), { bias: w.reshape([3]) })),
        [w],
      );
      expect(noInputs.value.item()).to.equal(12);
      const empty = valueAndGradients(() => sum(softmax(relu(none))), [none]);
      expect(empty.gradients[0]?.shape).to.deep.equal([0, 3]);
    }),
  );

  it('frees everything over 1,000 steps of every operation', () => {
    const [w, bias, table] = [
      tensor([[0.5, -0.25]]),
      tensor([0.125]),
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ];
    const [ids, labels, teacher] = [tensor(Int32Array.of(1, 0, 1)), tensor(Int32Array.of(1, 0, 1)), zeros([3, 2])];
    const affine = { scales: tensor([[0.1]]), zeroPoints: null, biases: null, codeMin: -8, codeMax: 7, groupSize: 2 };
    const loss = () => {
      const x = gather(fakeQuantize(table, affine), ids);
      const score = linear(x, multiply(w, w), { bias, activation: 'relu' });
      const logits = concatColumns(score, matmul(x, reshape(w, [2, 1])));
      const soft = scale(distillation(logits, teacher, 2), 0.5);
      return add(add(crossEntropy(logits, labels), soft), sum(softmax(relu(logits))));
    };
    const step = () => {
      const { value, gradients } = valueAndGradients(loss, [w, bias, table]);
      for (const made of [value, ...gradients]) made.dispose();
    };
    const before = memory();
    for (let i = 0; i < 1000; i++) step();
    expect(memory()).to.deep.equal(before);
    for (const made of [w, bias, table, ids, labels, teacher, affine.scales]) made.dispose();
  });

  it('leaves nothing behind when an operation refuses its arguments, inside tidy or not', () => {
    const [a, b, c] = [zeros([2, 3]), zeros([2, 2]), zeros([1, 2])];
    const ids = tensor(Int32Array.of(5));
    const attempts = [
      () => add(a, b),
      () => matmul(a, b),
      () => linear(a, b),
      () => gather(a, ids),
      () => crossEntropy(a, ids),
      () => distillation(a, b, 1),
      () => distillation(a, a, 0),
      () => concatColumns(a, c),
      () => scale(a, Number.NaN),
      () => reshape(a, [7]),
    ];
    for (const attempt of attempts) {
      const before = memory();
      expect(codeOf(attempt)).not.to.equal('none');
      expect(codeOf(() => valueAndGradients(() => sum(attempt()), [a, b]))).not.to.equal('none');
      expect(memory()).to.deep.equal(before);
    }
    for (const made of [a, b, c, ids]) made.dispose();
  });
});

describe('noGrad', () => {
  expectNoLeaks();

  it(
    'keeps what it computes out of the gradient',
    freeing(() => {
      const w = tensor([3]);
      const { gradients } = valueAndGradients(
        () =>
          sum(
            multiply(
              w,
              noGrad(() => multiply(w, w)),
            ),
          ),
        [w],
      );
      expect(numbers(gradients[0])).to.deep.equal([9]);
    }),
  );

  it(
    'passes results and errors on and lets recording continue after either',
    freeing(() => {
      const w = tensor([3]);
      const broken = new Error('broken');
      const loss = () => {
        expect(() =>
          noGrad(() => {
            throw broken;
          }),
        ).to.throw(broken);
        return sum(
          scale(
            w,
            noGrad(() => 2),
          ),
        );
      };
      expect(numbers(valueAndGradients(loss, [w]).gradients[0])).to.deep.equal([2]);
    }),
  );

  it(
    'lets a gradient be taken inside, apart from the one around it',
    freeing(() => {
      const w = tensor([3]);
      const loss = () => {
        const inner = noGrad(() => valueAndGradients(() => sum(multiply(w, w)), [w]).gradients[0] as Tensor);
        return sum(multiply(w, inner));
      };
      expect(numbers(valueAndGradients(loss, [w]).gradients[0])).to.deep.equal([6]);
    }),
  );
});
