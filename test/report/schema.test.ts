import { expect } from 'chai';
import { parseReport, REPORT_SCHEMA_VERSION, type Report, serializeReport } from '../../lib/report/schema';
import { sampleReport } from './sample';

/** The sample report as JSON with one field changed, by path; undefined removes it. */
function changed(path: (string | number)[], value: unknown): string {
  const report = sampleReport();
  let target: unknown = report;
  for (const key of path.slice(0, -1)) target = Reflect.get(target as object, key);
  if (value === undefined) Reflect.deleteProperty(target as object, path[path.length - 1]!);
  else Reflect.set(target as object, path[path.length - 1]!, value);
  return JSON.stringify(report);
}

describe('report schema', () => {
  it('writes what it reads', () => {
    const report = sampleReport();
    const text = serializeReport(report);
    expect(text.endsWith('}\n')).to.equal(true);
    expect(parseReport(text)).to.deep.equal(report);
    expect(REPORT_SCHEMA_VERSION).to.equal(1);
  });

  it('keeps an exact weight (null), an absent comparison and an absent reason apart from values', () => {
    const { baseline, stages } = parseReport(serializeReport(sampleReport()));
    expect(baseline.weights[0]).to.have.property('sqnrDb', null);
    expect(baseline).to.not.have.property('comparisons');
    expect(stages[1]!.weights[0]).to.not.have.property('skipped');
  });

  it('names the field that is wrong, what was expected and the file', () => {
    const cases: [(string | number)[], unknown, string][] = [
      [['seed'], 'zero', 'out/report.json.seed'],
      [['stages', 1, 'bytes'], -1, 'out/report.json.stages[1].bytes'],
      [['stages', 1, 'bytes'], 1.5, 'out/report.json.stages[1].bytes'],
      [['baseline', 'latencyMs', 'batch128', 'p99'], undefined, 'out/report.json.baseline.latencyMs.batch128.p99'],
      [['baseline', 'metrics', 'accuracy'], null, 'out/report.json.baseline.metrics.accuracy'],
      [['stages', 0, 'comparisons', 'accuracy', 'confidence'], 95, 'stages[0].comparisons.accuracy.confidence'],
      [['stages', 1, 'weights', 2, 'sqnrDb'], '38 dB', 'stages[1].weights[2].sqnrDb'],
      [['environment', 'date'], 'yesterday', 'out/report.json.environment.date'],
      [['environment', 'cores'], 0, 'out/report.json.environment.cores'],
      [['stages'], undefined, 'out/report.json.stages'],
    ];
    for (const [path, value, place] of cases) {
      expect(() => parseReport(changed(path, value), 'out/report.json'), path.join('.'))
        .to.throw(place)
        .with.property('code', 'ERR_TERSOR_CORRUPT_FILE');
    }
  });

  it('refuses a misspelt field instead of dropping it', () => {
    expect(() => parseReport(changed(['stages', 0, 'latencyMS'], {}))).to.throw('latencyMS');
  });

  it('refuses other versions, truncated files and JSON that is no report', () => {
    expect(() => parseReport(changed(['schemaVersion'], 2))).to.throw(
      'expected schemaVersion 1, got 2, at report.json',
    );
    const text = serializeReport(sampleReport());
    for (const bad of [text.slice(0, text.length / 2), '', 'null', '[]', '7', '{}']) {
      expect(() => parseReport(bad), bad.slice(0, 9))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_CORRUPT_FILE');
    }
  });

  it('does not write NaN or infinity, which JSON would turn into null', () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const report: Report = sampleReport();
      report.stages[0]!.metrics.accuracy = value;
      expect(() => serializeReport(report))
        .to.throw('report.stages[0].metrics.accuracy')
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
      const noisy: Report = sampleReport();
      noisy.stages[0]!.weights[0]!.sqnrDb = value;
      expect(() => serializeReport(noisy)).to.throw('report.stages[0].weights[0].sqnrDb');
    }
  });

  it('lists five mistakes and counts the rest', () => {
    const report = sampleReport();
    for (const stage of report.stages) Object.assign(stage, { bytes: -1, macs: -1, nonzeros: -1 });
    expect(() => serializeReport(report)).to.throw(/(at report\.stages.*){5}; and 4 more$/);
  });
});
