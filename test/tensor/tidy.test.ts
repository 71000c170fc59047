import { expect } from 'chai';
import { TersorError } from '../../lib/errors';
import { keep, memory, type Tensor, tidy, zeros } from '../../lib/tensor';
import { expectNoLeaks } from './leaks';

describe('tidy', () => {
  const usedBefore = expectNoLeaks();

  it('disposes of what is made inside, except of what is returned', () => {
    let inner: Tensor | undefined;
    const result = tidy(() => {
      inner = zeros([2]);
      return zeros([3]);
    });
    expect([inner?.disposed, result.disposed]).to.deep.equal([true, false]);
    result.dispose();
  });

  it('finds returned tensors in arrays, objects, maps, sets and instances, cyclic ones too', () => {
    class Holder {
      readonly weight = zeros([1]);
    }
    const make = () => {
      const cyclic: Record<string, unknown> = { t: zeros([1]), numbers: new Float32Array(3), nothing: null };
      cyclic.self = cyclic;
      return {
        list: [zeros([1]), [zeros([1])]],
        map: new Map<unknown, unknown>([
          ['value', zeros([1])],
          [zeros([1]), 'key'],
        ]),
        set: new Set([zeros([1])]),
        holder: new Holder(),
        cyclic,
      };
    };
    const result = tidy(() => {
      zeros([5]);
      return make();
    });
    expect(memory().tensors - usedBefore().tensors).to.equal(7);
    for (const t of [
      ...result.list.flat(),
      ...result.map.values(),
      ...result.map.keys(),
      ...result.set,
      result.holder.weight,
      result.cyclic.t,
    ]) {
      (t as Partial<Tensor>).dispose?.();
    }
  });

  it('nests: what the inner one returns belongs to the outer one', () => {
    const seen: Tensor[] = [];
    tidy(() => {
      const fromInner = tidy(() => {
        seen.push(zeros([1]));
        return zeros([2]);
      });
      seen.push(fromInner);
      expect(seen.map((t) => t.disposed)).to.deep.equal([true, false]);
    });
    expect(seen.map((t) => t.disposed)).to.deep.equal([true, true]);
  });

  it('leaves tensors of its surroundings alone', () => {
    const outside = zeros([1]);
    expect(tidy(() => outside)).to.equal(outside);
    tidy(() => {
      const outer = zeros([1]);
      tidy(() => [outer, outside]);
      expect([outer.disposed, outside.disposed]).to.deep.equal([false, false]);
    });
    expect(outside.disposed).to.equal(false);
    outside.dispose();
  });

  it('disposes of everything when the function throws', () => {
    const failure = new Error('inside');
    expect(() =>
      tidy(() => {
        zeros([4]);
        throw failure;
      }),
    ).to.throw(failure);
  });

  it('refuses asynchronous functions, before or after they run, and leaves no rejection behind', async () => {
    const code = 'ERR_TERSOR_INVALID_ARGUMENT';
    let ran = false;
    const asynchronous = async () => {
      ran = true;
    };
    expect(() => tidy(asynchronous))
      .to.throw(TersorError, /asynchronous/)
      .with.property('code', code);
    expect(ran).to.equal(false);
    expect(() => tidy(() => Promise.resolve(zeros([1]))))
      .to.throw(TersorError)
      .with.property('code', code);
    expect(() => tidy(() => Promise.reject(new Error('later'))))
      .to.throw(TersorError)
      .with.property('code', code);
    await new Promise(setImmediate); // an unhandled rejection would end the test run here
  });

  it('lets kept tensors live, through every level', () => {
    const kept: Tensor[] = [];
    tidy(() => {
      const outer = zeros([1]);
      tidy(() => kept.push(keep(zeros([2])), keep(outer)));
    });
    expect(kept.map((t) => t.disposed)).to.deep.equal([false, false]);
    for (const t of kept) t.dispose();
  });
});
