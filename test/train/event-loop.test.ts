import { spawnSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { memory } from '../../lib/tensor';
import { classificationTask, fit as train } from '../../lib/train';
import { nodeArguments, root } from '../formats/files';
import { rejectionOf } from '../support/rejection';
import { expectNoLeaks } from '../tensor/leaks';
import { bitsOf, network, separable } from './toy';

const task = classificationTask(separable(200, 1));
/** Longer than any test waits. */
const LONG = { epochs: 1e6 };

describe('a long fit', () => {
  expectNoLeaks();

  it('lets timers run', async () => {
    const model = network();
    const stop = new AbortController();
    let ticks = 0;
    const interval = setInterval(() => {
      ticks++;
      if (performance.now() - start > 500) stop.abort();
    }, 10);
    const start = performance.now();
    await rejectionOf(train(model, task, { ...LONG, signal: stop.signal }));
    const elapsed = performance.now() - start;
    clearInterval(interval);
    // At best every 15 ms; a busy machine is given a factor of four.
    expect(ticks).to.be.at.least(Math.floor(elapsed / 60));
    expect(elapsed).to.be.below(2000);
    model.dispose();
  });

  it('rejects with the reason of its signal and leaves the model usable, nothing allocated, nobody listening', async () => {
    const model = network();
    const before = memory();
    const stop = new AbortController();
    const reason = { why: 'enough' };
    setTimeout(() => stop.abort(reason), 30);
    expect(await rejectionOf(train(model, task, { ...LONG, signal: stop.signal }))).to.equal(reason);
    expect(memory()).to.deep.equal(before);
    expect(getEventListeners(stop.signal, 'abort')).to.deep.equal([]);
    const { loss } = await train(model, task, { epochs: 1 });
    expect(loss).to.be.below(1);
    model.dispose();
  });

  it('changes nothing when its signal was aborted before', async () => {
    const model = network();
    const before = bitsOf(model);
    const reason = new Error('never');
    expect(await rejectionOf(train(model, task, { epochs: 1, signal: AbortSignal.abort(reason) }))).to.equal(reason);
    expect(bitsOf(model)).to.equal(before);
    model.dispose();
  });

  it('lets the process end when it was aborted', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      nodeArguments(`
        const { classificationTask, fit } = require('./lib/train');
        const { network, separable } = require('./test/train/toy');
        const signal = AbortSignal.timeout(50);
        fit(network(), classificationTask(separable(200, 1)), { epochs: 1e6, signal }).catch((reason) => {
          process.exitCode = reason === signal.reason ? 7 : 8;
        });`),
      { cwd: root, timeout: 15_000, encoding: 'utf8' },
    );
    expect(stderr).to.equal('');
    expect(status).to.equal(7);
  });
});
