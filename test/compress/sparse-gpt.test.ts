import { expect } from 'chai';
import { sparseGpt } from '../../lib/compress';
import { type Tensor, tensor } from '../../lib/tensor';
import type { QuantizationScheme } from '../../lib/weights';
import { rejectionOf } from '../recipe/small-model';
import { expectNoLeaks } from '../tensor/leaks';

const CODES: QuantizationScheme = { bits: 4, scheme: 'symmetric', granularity: 'channel' };

describe('sparseGpt', () => {
  expectNoLeaks();

  it('lets the inputs that stay make up for those that go', async () => {
    // Moments [[2, 1], [1, 2]]: without the first input the second one's best weight is 3 + 1 · 1/2.
    const w = tensor([
      [1, 3],
      [3, 1],
    ]);
    const moments = tensor([
      [2, 1],
      [1, 2],
    ]);
    const pruned = await sparseGpt(w, moments, { keep: 1, of: 2 }, { damping: 0 });
    const dense = pruned.dense();
    // The columns before a pruned one are done by then.
    expect([...dense.toArray()]).to.deep.equal([0, 3.5, 3, 0]);
    for (const each of [w, moments, pruned, dense]) each.dispose();
  });

  it('rounds what stays to codes of the scheme', async () => {
    const w = tensor([
      [1, 3, -2, 0.5],
      [3, 1, 0.25, -1],
    ]);
    const moments = tensor([
      [2, 1, 0, 0],
      [1, 2, 0, 0],
      [0, 0, 1, 0.5],
      [0, 0, 0.5, 1],
    ]);
    const pruned = await sparseGpt(w, moments, { sparsity: 0.5 }, { scheme: CODES });
    expect(pruned.nonzeros()).to.equal(4);
    expect(pruned.representation).to.equal('int4 per channel, 50.0 % sparse');
    const exact = await sparseGpt(w, moments, { sparsity: 0.5 });
    const [rounded, values] = [pruned, exact].map((each) => each.dense()) as [Tensor, Tensor];
    const numbers = values.toArray() as Float32Array;
    expect([...rounded.toArray()].map((v) => v === 0)).to.deep.equal([...numbers].map((v) => v === 0));
    // Scales are for the weights as they came: up to 3, of which the outermost positive code is 7/7.5.
    for (const [i, v] of [...rounded.toArray()].entries()) {
      expect(v).to.be.closeTo(Math.min(numbers[i] as number, 2.8), 0.5);
    }
    for (const each of [w, moments, pruned, exact, rounded, values]) each.dispose();
  });

  it('refuses targets and schemes that are none, stops when aborted, and leaves nothing in memory', async () => {
    const w = tensor([[1, 2]]);
    const moments = tensor([
      [2, 1],
      [1, 2],
    ]);
    const small = tensor([[1]]);
    for (const [call, code] of [
      [() => sparseGpt(w, moments, { sparsity: 1.5 }), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => sparseGpt(w, moments, { keep: 3, of: 2 }), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => sparseGpt(w, moments, { keep: 1.5, of: 2 }), 'ERR_TERSOR_OUT_OF_RANGE'],
      [() => sparseGpt(w, small, { sparsity: 0.5 }), 'ERR_TERSOR_SHAPE'],
      [() => sparseGpt(w, moments, { sparsity: 0.5 }, { scheme: { ...CODES, bits: 1 } }), 'ERR_TERSOR_UNSUPPORTED'],
    ] as const) {
      expect(await rejectionOf(call())).to.include({ code });
    }
    const reason = new Error('enough');
    const aborted = sparseGpt(w, moments, { sparsity: 0.5 }, { signal: AbortSignal.abort(reason), scheme: CODES });
    expect(await rejectionOf(aborted)).to.equal(reason);
    for (const each of [w, moments, small]) each.dispose();
  });
});
