import { expect } from 'chai';
import { nearest } from '../lib/nearest';

describe('nearest', () => {
  const steps = ['prune', 'quantize', 'factorize', 'retrain'];

  it('finds the name behind a missing, an extra, a wrong or a swapped character and behind wrong case', () => {
    expect(nearest('prun', steps)).to.equal('prune');
    expect(nearest('factorizee', steps)).to.equal('factorize');
    expect(nearest('quantise', steps)).to.equal('quantize');
    expect(nearest('retrian', steps)).to.equal('retrain');
    expect(nearest('PRUNE', steps)).to.equal('prune');
  });

  it('has no suggestion for a name unlike all of them', () => {
    expect(nearest('xyzzy', steps)).to.equal(undefined);
    expect(nearest('', steps)).to.equal(undefined);
    expect(nearest('prune', [])).to.equal(undefined);
  });
});
