import { expect } from 'chai';
import { crossEntropy } from '../../lib/autograd';
import { valueAndGradients } from '../../lib/autograd/tape';
import { softLabels } from '../../lib/compress';
import { TersorError } from '../../lib/errors';
import { initialize, type Model, mlp } from '../../lib/models';
import { memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { classificationTask, fit as train } from '../../lib/train';
import { expectClose } from '../support/close';
import { rejectionOf } from '../support/rejection';
import { expectNoLeaks } from '../tensor/leaks';
import { bitsOf, network, separable, trainedBits } from '../train/toy';

const data = separable(200, 1);
const task = classificationTask(data);
const OPTIONS = { epochs: 2, batchSize: 50 } as const;

/** The task with every label replaced by the next class. */
const mislabelled = classificationTask({ ...data, labels: data.labels.map((label) => (label + 1) % 3) });

describe('softLabels', () => {
  let teacher: Model;
  beforeEach(async () => {
    const model = network(3);
    await train(model, task, { epochs: 3, learningRate: 1e-2 });
    teacher = model.pack();
    model.dispose();
  });
  afterEach(() => teacher.dispose());
  expectNoLeaks();

  it('weighs the labels and the teacher: α · CE + (1 − α) · τ² · KL', () => {
    tidy(() => {
      const [temperature, alpha] = [3, 0.25];
      const x = tensor(data.inputs.slice(0, 30), [5, 6]);
      const labels = tensor(data.labels.slice(0, 5));
      const student = tensor(
        Float32Array.from({ length: 15 }, (_, i) => Math.sin(i)),
        [5, 3],
      );
      const objective = softLabels(teacher, { temperature, alpha });
      const loss = () => objective(crossEntropy(student, labels), student, [x]);
      const { value, gradients } = valueAndGradients(loss, [student]);
      const rows = (t: Tensor) => {
        const logits = [...(t.toArray() as Float32Array)];
        return [0, 1, 2, 3, 4].map((row) => logits.slice(3 * row, 3 * row + 3));
      };
      const softmax = (row: number[], divisor: number) => {
        const powers = row.map((logit) => Math.exp(logit / divisor));
        return powers.map((power) => power / powers.reduce((a, b) => a + b));
      };
      const teachers = rows(teacher.forward(x)).map((row) => softmax(row, temperature));
      const losses = rows(student).map((row, i) => {
        const [hard, soft, target] = [softmax(row, 1), softmax(row, temperature), teachers[i] as number[]];
        const divergence = target.reduce((sum, t, k) => sum + t * Math.log(t / (soft[k] as number)), 0);
        return (
          -alpha * Math.log(hard[data.labels[i] as number] as number) + (1 - alpha) * temperature ** 2 * divergence
        );
      });
      expectClose(value, [losses.reduce((a, b) => a + b) / 5], 1e-5, 'loss');
      const slopes = rows(student).flatMap((row, i) => {
        const [hard, soft, target] = [softmax(row, 1), softmax(row, temperature), teachers[i] as number[]];
        return row.map((_, k) => {
          const label = k === data.labels[i] ? 1 : 0;
          const bySoft = temperature * ((soft[k] as number) - (target[k] as number));
          return (alpha * ((hard[k] as number) - label) + (1 - alpha) * bySoft) / 5;
        });
      });
      expectClose(gradients[0] as Tensor, slopes, 1e-6, 'gradient');
    });
  });

  it('is plain training, bit for bit, when only the labels count', async () => {
    const plain = await trainedBits(task, OPTIONS);
    expect(await trainedBits(task, { ...OPTIONS, objective: softLabels(teacher, { alpha: 1 }) })).to.equal(plain);
  });

  it('ignores the labels when only the teacher counts', async () => {
    const objective = softLabels(teacher, { alpha: 0, temperature: 4 });
    const bits = await trainedBits(task, { ...OPTIONS, objective });
    expect(await trainedBits(mislabelled, { ...OPTIONS, objective })).to.equal(bits);
    expect(await trainedBits(mislabelled, { ...OPTIONS, objective: softLabels(teacher) })).not.to.equal(bits);
  });

  it('leaves a student that answers as its teacher where it is', async () => {
    const student = teacher.trainable();
    const { loss } = await train(student, task, {
      ...OPTIONS,
      optimizer: 'sgd',
      objective: softLabels(teacher, { alpha: 0 }),
    });
    expect(loss).to.be.within(-1e-6, 1e-6);
    const before = teacher.trainable();
    student.parameters().forEach((parameter, k) => {
      expectClose(parameter, before.parameters()[k]?.toArray() as Float32Array, 1e-6, `parameter ${k}`);
    });
    student.dispose();
    before.dispose();
  });

  it('leaves the teacher as it is and nothing in memory', async () => {
    const copy = teacher.trainable();
    const [bits, student, before] = [bitsOf(copy), network(), memory()];
    await train(student, task, { ...OPTIONS, objective: softLabels(teacher) });
    expect(memory()).to.deep.equal(before);
    const after = teacher.trainable();
    expect(bitsOf(after)).to.equal(bits);
    for (const model of [copy, student, after]) model.dispose();
  });

  for (const options of [
    { temperature: 0 },
    { temperature: -1 },
    { temperature: Number.NaN },
    { temperature: Number.POSITIVE_INFINITY },
    { alpha: -0.1 },
    { alpha: 1.1 },
    { alpha: Number.NaN },
  ]) {
    const [[option, value]] = Object.entries(options) as [[string, number]];
    it(`refuses ${option} ${value} at once`, () => {
      expect(() => softLabels(teacher, options))
        .to.throw(TersorError, new RegExp(`got ${value}, at ${option} of softLabels`))
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    });
  }

  it('refuses a teacher with other classes', async () => {
    const wider = initialize(mlp([6, 4]));
    const student = network();
    const objective = softLabels(wider);
    expect(await rejectionOf(train(student, task, { ...OPTIONS, objective })))
      .to.be.instanceOf(TersorError)
      .with.property('code', 'ERR_TERSOR_SHAPE');
    wider.dispose();
    student.dispose();
  });
});
