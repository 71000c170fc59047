import { expect } from 'chai';
import type { LeaveOneOutData } from '../../lib/data/interactions';
import { mean } from '../../lib/evaluate/metrics';
import { classificationProtocol, leaveOneOutProtocol, type Protocol } from '../../lib/evaluate/protocol';
import { gmf, initialize, type Model, mlp } from '../../lib/models';
import { philox } from '../../lib/random';
import { type Tensor, tensor } from '../../lib/tensor';
import { errorOf } from '../formats/files';
import { points, rejectionOf } from '../recipe/small-model';
import { expectNoLeaks } from '../tensor/leaks';

/** More than two batches of 512. */
const COUNT = 1100;

/** Answers with `width` numbers for each example, and keeps the sizes of the batches it was given. */
function answering(width: number, answer: (inputs: readonly Tensor[]) => Float32Array) {
  const batches: number[] = [];
  const forward = (...inputs: Tensor[]) => {
    const values = answer(inputs);
    batches.push(values.length / width);
    return tensor(values, [values.length / width, width]);
  };
  return { batches, forward };
}

function floatsOf(model: Model, name: string): Float64Array {
  return Float64Array.from(model.weights.get(name)?.dense().toArray() as Float32Array);
}

async function valuesOf(protocol: Protocol, model: Pick<Model, 'forward'>): Promise<Record<string, number[]>> {
  const metrics = await protocol.measure(model);
  return Object.fromEntries(metrics.map(({ name, values }) => [name, [...values]]));
}

describe('classificationProtocol', () => {
  expectNoLeaks();
  const data = points(COUNT);

  it('counts the examples whose largest logit, in float64, is the label’s', async () => {
    const model = initialize(mlp([12, 3]), { seed: 5 });
    const [w, b] = [floatsOf(model, 'layers.0.weight'), floatsOf(model, 'layers.0.bias')];
    const expected = Array.from(data.labels, (label, row) => {
      const logits = Array.from(b, (bias, k) =>
        Array.from({ length: 12 }, (_, i) => w[k * 12 + i]! * data.inputs[row * 12 + i]!).reduce((x, y) => x + y, bias),
      );
      return logits.indexOf(Math.max(...logits)) === label ? 1 : 0;
    });
    const { accuracy } = await valuesOf(classificationProtocol(data), model);
    expect(accuracy).to.deep.equal(expected);
    expect(mean(expected)).to.be.within(0.05, 0.95);
    model.dispose();
  });

  it('gives every example once, in order, in batches of at most 512', async () => {
    const seen: number[] = [];
    const model = answering(3, ([x]) => {
      const rows = (x as Tensor).toArray() as Float32Array;
      seen.push(...rows);
      return new Float32Array((rows.length / 12) * 3);
    });
    await classificationProtocol(data).measure(model);
    expect(model.batches).to.deep.equal([512, 512, 76]);
    expect(seen).to.deep.equal([...data.inputs]);
  });

  it('answers the same whether an example comes in a batch or alone', async () => {
    const model = initialize(mlp([12, 3]), { seed: 5 });
    const { accuracy } = await valuesOf(classificationProtocol(data), model);
    for (const row of [0, 511, 512, COUNT - 1]) {
      const inputs = data.inputs.slice(row * 12, (row + 1) * 12);
      const one = { ...data, inputs, labels: data.labels.slice(row, row + 1) };
      expect(await valuesOf(classificationProtocol(one), model)).to.deep.equal({ accuracy: [accuracy?.[row]] });
    }
    model.dispose();
  });

  it('takes the number of classes from the model: a test set may lack the last ones', async () => {
    const wide = answering(5, ([x]) => {
      const rows = (x as Tensor).shape[0] as number;
      return Float32Array.from({ length: rows * 5 }, (_, i) => (i % 5 === 2 ? 1 : 0));
    });
    const { accuracy } = await valuesOf(classificationProtocol(data), wide);
    expect(accuracy).to.deep.equal(Array.from(data.labels, (label) => (label === 2 ? 1 : 0)));
    const narrow = answering(2, ([x]) => new Float32Array((x as Tensor).shape[0]! * 2));
    const error = (await rejectionOf(classificationProtocol(data).measure(narrow))) as Error;
    expect(error).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    expect(error.message).to.include('a class in 0..1, got 2');
  });

  it('refuses NaN logits, inputs of another width, and an empty set', async () => {
    const broken = answering(3, ([x]) => new Float32Array((x as Tensor).shape[0]! * 3).fill(Number.NaN));
    const protocol = classificationProtocol(data);
    expect(await rejectionOf(protocol.measure(broken))).to.have.property('code', 'ERR_TERSOR_NOT_FINITE');
    const other = initialize(mlp([13, 3]));
    expect(await rejectionOf(protocol.measure(other))).to.have.property('code', 'ERR_TERSOR_SHAPE');
    const none = classificationProtocol({ ...data, inputs: new Float32Array(), labels: new Int32Array() });
    expect(await rejectionOf(none.measure(other))).to.have.property('code', 'ERR_TERSOR_DATA');
    other.dispose();
  });

  it('refuses metrics of another protocol, and says which fit', () => {
    const { code, message } = errorOf(() => classificationProtocol(data, 'accuracy,hr@10'));
    expect(code).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    expect(message).to.include("got 'hr@10'").and.include('(accuracy)');
  });
});

describe('leaveOneOutProtocol', () => {
  expectNoLeaks();
  const USERS = 40;
  const ITEMS = 60;
  const K = 19;

  /** Test cases whose negatives may repeat and may even be the positive itself. */
  function cases(count: number): LeaveOneOutData {
    const random = philox(9);
    const ids = (length: number, end: number) => Int32Array.from({ length }, () => random.integer(end));
    return { users: ids(count, USERS), positives: ids(count, ITEMS), negatives: ids(count * K, ITEMS), k: K };
  }

  /** Negatives that score at least as high as the positive. */
  function rank(
    { users, positives, negatives }: LeaveOneOutData,
    row: number,
    score: (u: number, i: number) => number,
  ) {
    const user = users[row] as number;
    const positive = score(user, positives[row] as number);
    return negatives.slice(row * K, (row + 1) * K).filter((item: number) => score(user, item) >= positive).length;
  }

  it('gives hit rate and NDCG of ranks computed in float64', async () => {
    const data = cases(COUNT);
    const model = initialize(gmf({ users: USERS, items: ITEMS, factors: 8 }), { seed: 2 });
    const [p, q, w] = ['user_embedding', 'item_embedding', 'prediction'].map((name) =>
      floatsOf(model, `${name}.weight`),
    ) as [Float64Array, Float64Array, Float64Array];
    const score = (user: number, item: number) =>
      Array.from(w, (weight, k) => weight * p[user * 8 + k]! * q[item * 8 + k]!).reduce((a, b) => a + b);
    const ranks = Array.from(data.users, (_, row) => rank(data, row, score));
    const values = await valuesOf(leaveOneOutProtocol(data, 'ndcg@5, hr@1,hr@10'), model);
    expect(Object.keys(values)).to.deep.equal(['ndcg@5', 'hr@1', 'hr@10']);
    expect(values['hr@1']).to.deep.equal(ranks.map((at) => (at < 1 ? 1 : 0)));
    expect(values['hr@10']).to.deep.equal(ranks.map((at) => (at < 10 ? 1 : 0)));
    expect(values['ndcg@5']).to.deep.equal(ranks.map((at) => (at < 5 ? 1 / Math.log2(at + 2) : 0)));
    model.dispose();
  });

  it('counts ties against the positive', async () => {
    const flat = answering(1, ([users]) => new Float32Array((users as Tensor).size));
    const values = await valuesOf(leaveOneOutProtocol(cases(3), `hr@${K},hr@${K + 1}`), flat);
    expect(values).to.deep.equal({ [`hr@${K}`]: [0, 0, 0], [`hr@${K + 1}`]: [1, 1, 1] });
  });

  it('pairs each user with the positive first and then the negatives, in batches of at most 512 users', async () => {
    const data = cases(COUNT);
    const seen: number[][] = [[], []];
    const model = answering(1, (inputs) => {
      for (const [i, ids] of inputs.entries()) seen[i]?.push(...(ids.toArray() as Int32Array));
      return new Float32Array((inputs[0] as Tensor).size);
    });
    await leaveOneOutProtocol(data).measure(model);
    expect(model.batches).to.deep.equal([512, 512, 76].map((users) => users * (K + 1)));
    const rows = Array.from(data.users.keys());
    expect(seen[0]).to.deep.equal(rows.flatMap((row) => Array<number>(K + 1).fill(data.users[row] as number)));
    expect(seen[1]).to.deep.equal(
      rows.flatMap((row) => [data.positives[row] as number, ...data.negatives.slice(row * K, (row + 1) * K)]),
    );
  });

  it('refuses ids that the model does not have, a model with other outputs, and no cases', async () => {
    const small = initialize(gmf({ users: USERS, items: 3, factors: 2 }));
    const protocol = leaveOneOutProtocol(cases(5));
    expect(await rejectionOf(protocol.measure(small))).to.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    const two = answering(2, ([users]) => new Float32Array((users as Tensor).size * 2));
    expect(await rejectionOf(protocol.measure(two))).to.have.property('code', 'ERR_TERSOR_SHAPE');
    const none = leaveOneOutProtocol(cases(0));
    expect(await rejectionOf(none.measure(small))).to.have.property('code', 'ERR_TERSOR_DATA');
    small.dispose();
  });

  it('refuses metrics of another protocol, and says which fit', () => {
    const { code, message } = errorOf(() => leaveOneOutProtocol(cases(1), 'hr@10,accuracy'));
    expect(code).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    expect(message).to.include("got 'accuracy'").and.include('(hr@k, ndcg@k)');
  });
});

describe('a protocol at work', () => {
  expectNoLeaks();
  const protocol = classificationProtocol(points(COUNT));

  it('stops between batches when it is aborted, with the reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const model = answering(3, ([x]) => {
      setImmediate(() => controller.abort(reason));
      return new Float32Array((x as Tensor).shape[0]! * 3);
    });
    expect(await rejectionOf(protocol.measure(model, { signal: controller.signal }))).to.equal(reason);
    expect(model.batches).to.deep.equal([512]);
  });

  it('does not begin when it was aborted before', async () => {
    const reason = new Error('enough');
    const model = answering(3, () => new Float32Array());
    expect(await rejectionOf(protocol.measure(model, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    expect(model.batches).to.deep.equal([]);
  });

  it('lets the event loop turn after every batch', async () => {
    let turns = 0;
    const turnsBefore: number[] = [];
    const model = answering(3, ([x]) => {
      turnsBefore.push(turns);
      setImmediate(() => turns++);
      return new Float32Array((x as Tensor).shape[0]! * 3);
    });
    await protocol.measure(model);
    expect(turnsBefore).to.deep.equal([0, 1, 2]);
  });

  it('frees what a forward pass that throws has made', async () => {
    const model = {
      forward() {
        tensor([1, 2, 3]);
        throw new Error('no');
      },
    };
    expect(await rejectionOf(protocol.measure(model))).to.have.property('message', 'no');
  });
});
