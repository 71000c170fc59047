import { expect } from 'chai';
import fc from 'fast-check';
import { matchWeights } from '../../lib/recipe/match';
import { errorOf } from '../formats/files';

const NAMES = ['user_embedding.weight', 'item_embedding.weight', 'layer1.weight', 'layer2.weight', 'prediction.weight'];

const select = (...patterns: string[]) => matchWeights(patterns, NAMES, 'step 1');

describe('matchWeights', () => {
  it('takes names and stars', () => {
    expect(select('layer1.weight')).to.deep.equal(['layer1.weight']);
    expect(select('*_embedding.weight')).to.deep.equal(NAMES.slice(0, 2));
    expect(select('layer*')).to.deep.equal(['layer1.weight', 'layer2.weight']);
    expect(select('*e*d*.w*t')).to.deep.equal([...NAMES.slice(0, 2), 'prediction.weight']);
    expect(select('*')).to.deep.equal(NAMES);
    expect(select('layer1.weight*')).to.deep.equal(['layer1.weight']);
  });

  it("gives each name once, in the model's order, whatever the patterns' order", () => {
    expect(select('layer2.weight', '*', 'user*')).to.deep.equal(NAMES);
    expect(select('layer2*', 'layer1*', 'layer*')).to.deep.equal(['layer1.weight', 'layer2.weight']);
  });

  it('takes every other character for itself', () => {
    for (const pattern of [
      'layer1?weight',
      'layer.*weight$',
      '[lp]*',
      '(layer1.weight)',
      'LAYER1.weight',
      '^*',
      'layer1\\.weight',
    ]) {
      expect(errorOf(() => select(pattern)).code, pattern).to.equal('ERR_TERSOR_RECIPE');
    }
    expect(matchWeights(['a.b*'], ['a.b', 'axb', 'a.bc\nd'], '')).to.deep.equal(['a.b', 'a.bc\nd']);
  });

  it('agrees with a regular expression', () => {
    const text = (letters: string) => fc.string({ unit: fc.constantFrom(...letters), maxLength: 8 });
    fc.assert(
      fc.property(text('ab*'), text('ab'), (pattern, name) => {
        const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name);
        const matched = () => matchWeights([pattern], [name], '').length === 1;
        if (expected) expect(matched(), `${pattern} for ${name}`).to.equal(true);
        else expect(matched, `${pattern} for ${name}`).to.throw('expected the name of a weight');
      }),
      { numRuns: 1000, seed: 1 },
    );
  });

  it('takes no time over a pattern made to take long', () => {
    const name = `${'a'.repeat(1000)}b`;
    const start = performance.now();
    expect(errorOf(() => matchWeights([`${'*a'.repeat(500)}*c`], [name], '')).code).to.equal('ERR_TERSOR_RECIPE');
    expect(matchWeights(['*'.repeat(10_000)], [name], '')).to.deep.equal([name]);
    expect(performance.now() - start).to.be.below(1000);
  });

  it('says of a pattern that matches nothing what there is, what was probably meant, and where', () => {
    const { code, message } = errorOf(() => select('layer*', 'user_embeding.weight'));
    expect(code).to.equal('ERR_TERSOR_RECIPE');
    for (const part of [...NAMES, "got 'user_embeding.weight'", "did you mean 'user_embedding.weight'?", 'at step 1']) {
      expect(message).to.include(part);
    }
    expect(errorOf(() => select('xyz')).message).not.to.include('did you mean');
    expect(errorOf(() => select('')).code).to.equal('ERR_TERSOR_RECIPE');
  });
});
