import { expect } from 'chai';
import * as format from '../../lib/report/format';

const comparison = { against: 'fp32', difference: -0.0012, low: -0.0035, high: 0.001, confidence: 0.95 };

describe('report numbers', () => {
  it('prints bytes in decimal units and never as 1000 of the smaller one', () => {
    const cases: [number, string][] = [
      [0, '0 B'],
      [999, '999 B'],
      [1000, '1.0 KB'],
      [437_544, '437.5 KB'],
      [999_949, '999.9 KB'],
      [999_950, '1.0 MB'],
      [25_000_000, '25.0 MB'],
      [7.2e9, '7.2 GB'],
    ];
    for (const [bytes, text] of cases) expect(format.formatBytes(bytes)).to.equal(text);
  });

  it('prints ratios of sizes, also of empty files', () => {
    const cases: [number, number, string][] = [
      [100, 100, '1x'],
      [31_204, 437_992, '14.0x'],
      [50, 100, '2.00x'],
      [110, 100, '0.91x'],
      [1, 1234, '1,234x'],
      [0, 100, '\u221ex'],
      [0, 0, '1x'],
    ];
    for (const [bytes, baseline, text] of cases) expect(format.formatRatio(bytes, baseline)).to.equal(text);
    expect(format.sizeChange(50, 100)).to.deep.equal(['2.00×', 'smaller']);
    expect(format.sizeChange(150, 100)).to.deep.equal(['1.50×', 'larger']);
    expect(format.sizeChange(100, 100)).to.equal(undefined);
  });

  it('prints accuracy in per cent and ranking metrics as the literature does', () => {
    expect(format.formatMetric('accuracy', 0.97306)).to.equal('97.31 %');
    expect(format.formatMetric('hr@10', 0.6356)).to.equal('0.6356');
  });

  it('prints differences in percentage points with their sign, and no sign on a zero', () => {
    expect(format.formatDifference(comparison)).to.equal('\u22120.12 pp');
    expect(format.formatInterval(comparison)).to.equal('[\u22120.35, +0.10]');
    expect(format.formatDifference({ ...comparison, difference: -0.00001 })).to.equal('0.00 pp');
    expect(format.formatDifference({ ...comparison, difference: 0.00001 })).to.equal('0.00 pp');
    expect(format.formatConfidence(0.95)).to.equal('95 %');
    expect(format.formatConfidence(0.999)).to.equal('99.9 %');
  });

  it('prints latencies with three digits or microseconds, whichever is coarser', () => {
    const texts = [0.0004, 0.0412, 0.9996, 1.234, 9.996, 56.78, 99.96, 1234.5].map(format.formatMilliseconds);
    expect(texts).to.deep.equal(['0.000', '0.041', '1.00', '1.23', '10.0', '56.8', '100', '1235']);
  });

  it('prints signal-to-noise ratios and exactness', () => {
    expect([31.44, -3.2, null].map(format.formatSqnr)).to.deep.equal(['31.4 dB', '\u22123.2 dB', 'exact']);
  });

  it('lists metrics in order of first appearance', () => {
    const stages = [{ metrics: { 'hr@10': 1, accuracy: 1 } }, { metrics: { accuracy: 1, 'ndcg@10': 1 } }];
    expect(format.metricNames(stages)).to.deep.equal(['hr@10', 'accuracy', 'ndcg@10']);
  });
});
