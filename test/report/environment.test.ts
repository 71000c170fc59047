import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { collectEnvironment } from '../../lib/report/environment';
import { parseReport, serializeReport } from '../../lib/report/schema';
import { sampleReport } from './sample';

describe('collectEnvironment', () => {
  const runtime = { device: 'cpu', isa: 'avx2', threads: 3 };

  it('records versions, machine and the time of its clock', () => {
    const environment = collectEnvironment(runtime, () => new Date(Date.UTC(2024, 1, 29, 12, 30)));
    const manifest = JSON.parse(readFileSync(path.join(__dirname, '..', '..', 'package.json'), 'utf8'));
    expect(environment).to.include({ ...runtime, tersor: manifest.version, date: '2024-02-29T12:30:00.000Z' });
    expect(`v${environment.node}`).to.equal(process.version);
    expect(environment.platform).to.equal(process.platform);
    expect(environment.cpu).to.not.equal('');
  });

  it('gives what the report schema takes, with the real clock', () => {
    const before = Date.now();
    const report = { ...sampleReport(), environment: collectEnvironment(runtime) };
    expect(parseReport(serializeReport(report)).environment).to.deep.equal(report.environment);
    expect(Date.parse(report.environment.date)).to.be.within(before, Date.now());
  });
});
