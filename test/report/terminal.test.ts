import { expect } from 'chai';
import { skippedWeights } from '../../lib/report/skipped';
import { renderTable } from '../../lib/report/terminal';
import { sampleReport } from './sample';

const plain = { color: false, width: 200 };

/** The line of the table that starts with the stage's name, cell by cell. */
function row(table: string, stage: string): string[] {
  const line = table.split('\n').find((text) => text.startsWith(`│ ${stage} `))!;
  return line
    .split('│')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

describe('renderTable', () => {
  it('has one row per stage with every number', () => {
    const table = renderTable(sampleReport(), plain);
    const heads = ['stage', 'accuracy', 'size', 'parameters', 'nonzeros', 'MACs', 'batch 1, ms', 'batch 128, ms'];
    expect(row(table, 'stage')).to.deep.equal(heads);
    const baseline = ['fp32', '97.30 %', '438.0 KB', '109,386', '109,386', '109,184', '0.021 / 0.039', '0.482 / 0.713'];
    expect(row(table, 'fp32')).to.deep.equal(baseline);
    const pruned = [
      'pruned-int8',
      '97.75 %',
      '31.2 KB',
      '109,386',
      '22,557',
      '22,355',
      '0.019 / 0.030',
      '0.301 / 0.466',
    ];
    expect(row(table, 'pruned-int8')).to.deep.equal(pruned);
  });

  it('shows differences with their interval, the ratio, and says what the interval is', () => {
    const table = renderTable(sampleReport(), plain);
    expect(table).to.include('+0.45 pp [+0.05, +0.85]').and.include('\u22121.15 pp [\u22121.70, \u22120.60]');
    expect(table).to.match(/│ +14\.0x │/);
    expect(table).to.include('95 % interval of the difference to fp32, paired bootstrap');
  });

  it('lists what was not compressed and why', () => {
    const table = renderTable(sampleReport(), plain);
    expect(table).to.include('Not compressed\n  layers.2.weight: prune: no pattern matches it (pruned-int8)');
    expect(table.split('Not compressed')[1]!.trim().split('\n')).to.have.length(3);
  });

  it('merges stages that skipped a weight for the same reason', () => {
    const report = sampleReport();
    for (const stage of report.stages) stage.weights = [{ ...stage.weights[0]!, name: 'w', skipped: 'too small' }];
    report.stages[2]!.weights[0]!.skipped = 'not wanted';
    expect(skippedWeights(report)).to.deep.equal([
      { weight: 'w', reason: 'too small', stages: ['fp32 (control)', 'pruned-int8'] },
      { weight: 'w', reason: 'not wanted', stages: ['svd-16'] },
    ]);
  });

  it('leaves no empty section when nothing was compared or skipped', () => {
    const report = sampleReport();
    report.stages = [];
    const table = renderTable(report, plain);
    expect(table).to.not.include('Not compressed').and.not.include('interval');
    expect(table.split('\n')).to.have.length(7);
  });

  it('stays inside the terminal, whatever its width', () => {
    for (const width of [60, 80, 100, 120, 121, 200]) {
      const table = renderTable(sampleReport(), { color: false, width }).split('\n\n[')[0]!;
      const widest = Math.max(...table.split('\n').map((line) => [...line].length));
      expect(widest, `at ${width}`).to.be.at.most(width);
      expect(table, `at ${width}`).to.include('22,557').and.include('+0.45 pp [+0.05, +0.85]').and.include('14.0x');
    }
  });

  it('prints a dash for a metric that a stage lacks', () => {
    const report = sampleReport();
    report.stages[1]!.metrics = { 'hr@10': 0.6356 };
    const table = renderTable(report, plain);
    expect(row(table, 'fp32').slice(1, 3)).to.deep.equal(['97.30 %', '-']);
    expect(row(table, 'pruned-int8').slice(1, 3)).to.deep.equal(['-', '0.6356']);
  });

  it('colours significant differences only, and nothing when told not to', () => {
    const colored = renderTable(sampleReport(), { color: true, width: 200 });
    expect(colored)
      .to.include('\u001b[32m+0.45 pp')
      .and.include('\u001b[31m\u22121.15 pp')
      .and.include('\u001b[2m+0.25 pp');
    const stripped = colored.replace(/\p{Cc}\[\d+m/gu, '');
    expect(stripped).to.equal(renderTable(sampleReport(), plain));
    expect(stripped).to.not.include('\u001b');
  });

  it('takes its defaults from standard output: no colour when piped or under NO_COLOR', () => {
    const { isTTY, columns } = process.stdout;
    const noColor = process.env.NO_COLOR;
    const set = (terminal: boolean, value?: string): void => {
      Object.assign(process.stdout, { isTTY: terminal, columns: terminal ? 200 : undefined });
      if (value === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = value;
    };
    try {
      set(false);
      expect(renderTable(sampleReport())).to.equal(renderTable(sampleReport(), plain));
      set(true);
      expect(renderTable(sampleReport())).to.include('\u001b[32m');
      set(true, '1');
      expect(renderTable(sampleReport())).to.not.include('\u001b');
    } finally {
      Object.assign(process.stdout, { isTTY, columns });
      if (noColor === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = noColor;
    }
  });

  it('lets no control character of a name through to the terminal', () => {
    const report = sampleReport();
    report.stages[1]!.name = 'a\u001b[2Jb\u0007\u009b31m\u202ec\nd';
    report.stages[1]!.weights[2]!.name = 'w\u001b]0;title\u0007';
    report.stages[1]!.weights[2]!.skipped = 'r\u001b[1A';
    const table = renderTable(report, plain);
    expect(table.replaceAll('\n', '')).to.not.match(/[\p{Cc}\u202e]/u);
    expect(table).to.include('a\ufffd[2Jb\ufffd\ufffd31m\ufffdc\ufffdd');
  });
});
