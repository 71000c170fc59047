import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { memory, tensor } from '../../lib/tensor';

const lib = path.join(__dirname, '..', '..', 'lib');

/** What a worker says about its own tensors while it holds `count` of them, and how it ended. */
function work(count: number): Promise<{ said: unknown; code: number }> {
  const program = `
    require('tsx/cjs');
    const { parentPort } = require('node:worker_threads');
    const { native } = require(${JSON.stringify(path.join(lib, 'native'))});
    const { TersorError } = require(${JSON.stringify(path.join(lib, 'errors'))});
    const { memory, runAsync, tensor, zeros } = require(${JSON.stringify(path.join(lib, 'tensor'))});
    const held = Array.from({ length: ${count} }, (_, i) => tensor([-i, i]));
    let error;
    try { native.activate(1, held[0].handle, zeros([3]).handle); } catch (thrown) { error = thrown; }
    const sum = async () => {
      await Promise.all(held.map((x) => runAsync('activate', [1, x.handle, x.handle])));
      const total = held.reduce((before, x) => before + x.toArray()[0] + x.toArray()[1], 0);
      for (const x of held) x.dispose();
      parentPort.postMessage({ total, ours: error instanceof TersorError, code: error.code, tensors: memory().tensors });
    };
    sum();`;
  return new Promise((resolve, reject) => {
    let said: unknown;
    const worker = new Worker(program, { eval: true });
    worker.on('message', (message) => {
      said = message;
    });
    worker.on('error', reject).on('exit', (code) => resolve({ said, code }));
  });
}

describe('the addon in worker threads', () => {
  it('is loaded by two at once beside the main thread; each has its own tensors, errors and jobs', async () => {
    using ours = tensor([1, 2]);
    const before = memory();
    const results = await Promise.all([work(100), work(50)]);
    const result = (total: number) => ({ said: { total, ours: true, code: 'ERR_TERSOR_SHAPE', tensors: 1 }, code: 0 });
    expect(results).to.deep.equal([result((100 * 99) / 2), result((50 * 49) / 2)]);
    expect(memory()).to.deep.equal(before);
    expect([...ours.toArray()]).to.deep.equal([1, 2]);
  });
});
