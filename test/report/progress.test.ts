import { Writable } from 'node:stream';
import { expect } from 'chai';
import { createProgress, type ProgressStream } from '../../lib/report/progress';

/** A stream that keeps what is written; with isTTY it also answers as a terminal does. */
function recorder(isTTY: boolean): { stream: ProgressStream; text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  Object.assign(stream, { isTTY, columns: 100, cursorTo: () => true, moveCursor: () => true, clearLine: () => true });
  return { stream, text: () => text };
}

describe('createProgress', () => {
  it('writes one line per stage to a log, when the stage ends', () => {
    const { stream, text } = recorder(false);
    let time = 0;
    const progress = createProgress(stream, () => time);
    progress.start(15, 'train fp32');
    for (let epoch = 1; epoch <= 15; epoch++) {
      time += 1000;
      progress.update(epoch, `loss ${(1 / epoch).toFixed(2)}`);
    }
    expect(text()).to.equal('');
    progress.stop();
    progress.start(3, 'evaluate');
    progress.update(2);
    progress.start(1, 'export');
    progress.stop();
    expect(text()).to.equal('train fp32: 15/15, loss 0.07 (15.0 s)\nevaluate: 2/3 (0.0 s)\nexport: 0/1 (0.0 s)\n');
  });

  it('ignores updates and stops outside a stage', () => {
    for (const isTTY of [false, true]) {
      const { stream, text } = recorder(isTTY);
      const progress = createProgress(stream);
      progress.update(1, 'early');
      progress.stop();
      expect(text()).to.equal('');
    }
  });

  it('draws a bar with label, count and remark on a terminal', () => {
    const { stream, text } = recorder(true);
    const progress = createProgress(stream);
    progress.start(4, 'prune');
    progress.update(2, 'sparsity 40 %');
    progress.stop();
    expect(text()).to.include('prune').and.include('━').and.include('2/4').and.include('sparsity 40 %');
    expect(text().match(/\n/g)).to.have.length(1);
  });
});
