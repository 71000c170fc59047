import { expect } from 'chai';
import { parseMetricNames } from '../../lib/evaluate/metric-names';

describe('parseMetricNames', () => {
  it('reads a list in its order', () => {
    expect(parseMetricNames('hr@10, ndcg@5,accuracy')).to.deep.equal([
      { kind: 'hr', name: 'hr@10', k: 10 },
      { kind: 'ndcg', name: 'ndcg@5', k: 5 },
      { kind: 'accuracy', name: 'accuracy' },
    ]);
  });

  it('names the nearest metric on a typo', () => {
    const typos = { acuracy: 'accuracy', 'hit@10': 'hr@10', 'ncdg@10': 'ndcg@10', NDCG: 'ndcg@10', 'HR@10': 'hr@10' };
    for (const [typo, meant] of Object.entries(typos)) {
      expect(() => parseMetricNames(typo), typo)
        .to.throw(`got '${typo}' (nearest: '${meant}')`)
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
    }
  });

  it('refuses a cutoff that is no positive integer, a missing cutoff, an empty list and a repetition', () => {
    const huge = `hr@${'9'.repeat(400)}`;
    for (const bad of ['hr@0', 'hr@', 'hr@-1', 'ndcg@1.5', 'hr', 'accuracy@10', '', 'hr@10,', huge, 'hr@10,hr@010']) {
      expect(() => parseMetricNames(bad), bad)
        .to.throw('at metrics')
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
    }
  });
});
