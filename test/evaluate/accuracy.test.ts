import { expect } from 'chai';
import { accuracy, mean } from '../../lib/evaluate/metrics';

describe('accuracy', () => {
  it('compares the largest logit with the label, example by example', () => {
    const logits = Float32Array.of(0.1, 2, -1, 5, 4, 3, -3, -2, -1);
    const { name, values } = accuracy(logits, Int32Array.of(1, 1, 2), 3);
    expect(name).to.equal('accuracy');
    expect([...values]).to.deep.equal([1, 0, 1]);
    expect(mean(values)).to.equal(2 / 3);
  });

  it('breaks a tie in favour of the lowest class', () => {
    expect([...accuracy([0, 0, 0, 0], [0, 1], 2).values]).to.deep.equal([1, 0]);
    expect([...accuracy([1, 3, 3], [2], 3).values]).to.deep.equal([0]);
  });

  it('orders infinities and refuses NaN wherever it stands', () => {
    expect([...accuracy([-Infinity, 0, Infinity], [2], 3).values]).to.deep.equal([1]);
    for (let at = 0; at < 4; at++) {
      const logits = [1, 2, 3, 4];
      logits[at] = Number.NaN;
      expect(() => accuracy(logits, [0, 0], 2), `NaN at ${at}`)
        .to.throw(`got NaN, at logits[${at}]`)
        .with.property('code', 'ERR_TERSOR_NOT_FINITE');
    }
  });

  it('refuses lengths that do not fit, labels that are no class and an empty set', () => {
    expect(() => accuracy([1, 2, 3], [0, 0], 2))
      .to.throw()
      .with.property('code', 'ERR_TERSOR_SHAPE');
    for (const label of [-1, 2, 0.5, Number.NaN]) {
      expect(() => accuracy([1, 2], [label], 2))
        .to.throw('at labels[0]')
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
    expect(() => accuracy([], [], 2))
      .to.throw()
      .with.property('code', 'ERR_TERSOR_DATA');
  });
});
