import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { TersorError } from '../../lib/errors';
import { Activation, native } from '../../lib/native';
import { empty, full, runAsync, type Tensor, zeros } from '../../lib/tensor';
import { expectNoLeaks } from '../tensor/leaks';
import { notTensors, queue } from './operation-cases';

const root = path.join(__dirname, '..', '..');

/** Runs a program in a Node of its own; its tsx import gives it lib/. */
function runNode(program: string, ...options: string[]) {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [...options, '--require', 'tsx/cjs', '--eval', program],
    { cwd: root, encoding: 'utf8', timeout: 60_000 },
  );
  return { status, signal, stdout: stdout.trim(), stderr };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (reason) {
    return reason;
  }
  throw new Error('expected a rejection, got a result');
}

/** A product that keeps any machine busy for a while (2 · 3000³ operations). */
class LongProduct {
  readonly tensors = [full([3000, 3000], 1), full([3000, 3000], 2), zeros([3000, 3000])] as const;

  start(token = native.createCancelToken()): Promise<void> {
    const [a, b, c] = this.tensors;
    return native.run('gemm', [a.handle, false, b.handle, false, null, 0, null, false, c.handle], token);
  }

  dispose(): void {
    for (const x of this.tensors) x.dispose();
  }
}

describe('queued operations', () => {
  const usedBefore = expectNoLeaks();

  it('leave the event loop free', async () => {
    const product = new LongProduct();
    let settled = false;
    const done = product.start().then(() => {
      settled = true;
    });
    let turns = 0;
    while (!settled) {
      await setImmediate();
      turns++;
    }
    await done;
    expect(turns).to.be.greaterThan(10);
    expect(product.tensors[2].toArray()[0]).to.equal(6000);
    product.dispose();
  });

  it('stop in the middle of a gemm when cancelled', async () => {
    const product = new LongProduct();
    const token = native.createCancelToken();
    const done = product.start(token);
    await setTimeout(5);
    native.cancel(token);
    expect(await rejection(done))
      .to.be.instanceOf(TersorError)
      .and.have.property('code', 'ERR_TERSOR_CANCELLED');
    product.dispose();
  });

  it('never start when cancelled while they wait', async () => {
    const x = full([2], -1);
    const token = native.createCancelToken();
    native.cancel(token);
    const reason = await rejection(native.run('activate', [Activation.relu, x.handle, x.handle], token));
    expect(reason).to.have.property('code', 'ERR_TERSOR_CANCELLED');
    expect([...x.toArray()]).to.deep.equal([-1, -1]);
    x.dispose();
  });

  it('keep what they use alive after it is disposed of', async () => {
    const x = full([1000], -1);
    const y = empty([1000]);
    const view = y.reshape([1000]);
    const done = native.run('activate', [Activation.relu, x.handle, y.handle], native.createCancelToken());
    x.dispose();
    y.dispose();
    expect(native.memory().buffers).to.equal(usedBefore().buffers + 2);
    await done;
    expect(native.memory().buffers).to.equal(usedBefore().buffers + 1);
    expect([...view.toArray()].every((value) => value === 0)).to.equal(true);
    view.dispose();
  });

  it('close their tensors to conflicting uses until they settle, and open them afterwards', async () => {
    const product = new LongProduct();
    const [a, b, c] = product.tensors;
    const other = zeros([3000, 3000]);
    const token = native.createCancelToken();
    const done = product.start(token);
    const refused = (body: () => unknown) =>
      expect(body).to.throw(TersorError, /queued operation is (reading|writing)/);
    refused(() => native.fill(a.handle, 0));
    refused(() => a.write(new Float32Array(9e6)));
    refused(() => c.toArray());
    refused(() => native.activate(Activation.relu, c.handle, other.handle));
    refused(() => native.activate(Activation.relu, other.handle, b.handle));
    refused(() => void queue('activate', [Activation.relu, other.handle, c.handle]));
    native.activate(Activation.relu, a.handle, other.handle); // reading what is read does no harm
    native.cancel(token);
    await rejection(done);
    native.fill(a.handle, 0);
    native.activate(Activation.relu, c.handle, other.handle);
    other.dispose();
    product.dispose();
  });

  it('run many at a time, each settling once with its own result', async () => {
    const inputs = Array.from({ length: 200 }, (_, i) => full([4], i - 100));
    await Promise.all(
      inputs.map((x) => native.run('activate', [Activation.relu, x.handle, x.handle], native.createCancelToken())),
    );
    expect(inputs.map((x) => x.toArray()[3])).to.deep.equal(inputs.map((_, i) => Math.max(0, i - 100)));
    for (const x of inputs) x.dispose();
  });

  it('reject with the failure of the operation itself', async () => {
    const table = zeros([2, 2]);
    const ids = full([1], 5, 'i32');
    const y = zeros([1, 2]);
    const reason = await rejection(runAsync('gather', [table.handle, ids.handle, y.handle]));
    expect(reason).to.be.instanceOf(TersorError).and.have.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    expect(reason)
      .to.have.property('message')
      .that.matches(/^gather: expected .+, got 5/);
    for (const x of [table, ids, y]) x.dispose();
  });

  it('refuse unknown operations, arguments that are no array, and foreign tokens', () => {
    const x = zeros([2]);
    const args = [Activation.relu, x.handle, x.handle];
    const refused = (...call: Parameters<typeof queue>) =>
      expect(() => queue(...call))
        .to.throw(TersorError)
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
    refused('create', [0, [1], 'cpu']);
    refused('toString', args);
    refused('x'.repeat(1e6), args);
    for (const wrong of [null, undefined, {}, 'args', new Proxy(args, {}), new Float32Array(2)])
      refused('activate', wrong);
    refused('activate', []);
    refused('activate', Array(1e6).fill(x.handle));
    for (const [description, wrong] of notTensors()) {
      if (description !== 'undefined' && description !== 'an external of another kind')
        refused('activate', args, wrong);
      (wrong as Partial<Tensor> | undefined)?.dispose?.();
    }
    refused('activate', args, x.handle);
    x.dispose();
  });

  it('read their arguments before they check the first', async () => {
    const x = full([2], -1);
    const y = zeros([2]);
    const args = Object.defineProperty([Activation.relu, x.handle, null], 2, {
      get() {
        x.dispose();
        return y.handle;
      },
    });
    expect(() => queue('activate', args))
      .to.throw(TersorError)
      .with.property('code', 'ERR_TERSOR_DISPOSED');
    y.dispose();
  });
});

describe('runAsync', () => {
  it('rejects with the reason of its signal, in the middle of a gemm', async () => {
    const product = new LongProduct();
    const [a, b, c] = product.tensors;
    const controller = new AbortController();
    const reason = { why: 'changed my mind' };
    const done = runAsync('gemm', [a.handle, false, b.handle, false, null, 0, null, false, c.handle], controller);
    await setTimeout(5);
    controller.abort(reason);
    expect(await rejection(done)).to.equal(reason);
    product.dispose();
  });

  it('rejects with the reason of its signal after an svd, which cannot be stopped half way', async () => {
    const n = 300;
    const a = zeros([n, n]);
    native.randomNormal(1n, 0n, 0, 1, a.handle);
    const outputs = [zeros([n, n]), zeros([n]), zeros([n, n])] as const;
    const [u, s, vt] = outputs;
    const controller = new AbortController();
    const done = runAsync('svd', [a.handle, u.handle, s.handle, vt.handle], { signal: controller.signal });
    controller.abort();
    expect(await rejection(done)).to.equal(controller.signal.reason);
    for (const x of [a, ...outputs]) x.dispose();
  });

  it('rejects at once for a signal that was aborted before, without looking at the arguments', async () => {
    const reason = new Error('too late');
    const x = zeros([1]);
    x.dispose();
    const done = runAsync('activate', [Activation.relu, x.handle, x.handle], { signal: AbortSignal.abort(reason) });
    expect(await rejection(done)).to.equal(reason);
  });

  it('removes its listener when it settles, well or badly', async () => {
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    const x = full([1], -1);
    await runAsync('activate', [Activation.relu, x.handle, x.handle], { signal });
    expect(x.item()).to.equal(0);
    expect(listeners).to.equal(0);
    x.dispose();
    await rejection(runAsync('activate', [Activation.relu, x.handle, x.handle], { signal }));
    expect(listeners).to.equal(0);
  });
});

describe('the end of a thread or process with jobs in flight', () => {
  const start = `
    const { native } = require('./lib/native');
    const { full, zeros } = require('./lib/tensor');
    const run = (n) => {
      const [a, b, c] = [full([n, n], 1), full([n, n], 2), zeros([n, n])];
      return native.run('gemm', [a.handle, false, b.handle, false, null, 0, null, false, c.handle], native.createCancelToken());
    };`;

  it('keeps a process alive until its jobs are done', () => {
    const { status, stdout } = runNode(`${start} run(500).then(() => console.log('done'))`);
    expect({ status, stdout }).to.deep.equal({ status: 0, stdout: 'done' });
  });

  it('does not crash process.exit', () => {
    for (let i = 0; i < 3; i++) {
      const { status, signal, stderr } = runNode(
        `${start} run(2000); run(2000); setTimeout(() => process.exit(7), ${i * 3})`,
      );
      expect({ status, signal, stderr }).to.deep.equal({ status: 7, signal: null, stderr: '' });
    }
  });

  it('does not crash a terminated worker, nor the worker after it', () => {
    const { status, signal, stdout, stderr } = runNode(`
      const { Worker } = require('node:worker_threads');
      const program = \`require('tsx/cjs'); ${start} run(2000); run(2000); require('node:worker_threads').parentPort.postMessage('started')\`;
      (async () => {
        for (let i = 0; i < 4; i++) {
          const worker = new Worker(program, { eval: true });
          await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
          await worker.terminate();
        }
        ${start}
        await run(100);
        console.log(native.memory().buffers);
      })();`);
    expect({ status, signal, stdout, stderr }).to.deep.equal({ status: 0, signal: null, stdout: '3', stderr: '' });
  });

  it('does not crash when only workers ever loaded the addon', () => {
    const { status, signal, stdout, stderr } = runNode(`
      const { Worker } = require('node:worker_threads');
      const program = \`require('tsx/cjs'); ${start} run(1500); setTimeout(() => process.exit(), 10)\`;
      const exits = [0, 1].map(() => new Promise((resolve) => new Worker(program, { eval: true }).on('exit', resolve)));
      Promise.all(exits).then(async (codes) => {
        await new Promise((resolve) => setTimeout(resolve, 200)); // abandoned jobs end meanwhile
        console.log(codes.join());
      });`);
    expect({ status, signal, stdout, stderr }).to.deep.equal({ status: 0, signal: null, stdout: '0,0', stderr: '' });
  });
});

describe('tensors that nobody disposes of', () => {
  it('are freed by the garbage collector, their cancel tokens too', () => {
    const { status, stdout, stderr } = runNode(
      `const { native } = require('./lib/native');
       const { zeros } = require('./lib/tensor');
       for (let i = 0; i < 2000; i++) { zeros([64]); native.createCancelToken(); }
       let rounds = 0;
       const collect = () => {
         global.gc();
         if (native.memory().tensors > 0 && ++rounds < 100) setTimeout(collect, 5);
         else console.log(JSON.stringify(native.memory()));
       };
       collect();`,
      '--expose-gc',
    );
    expect({ status, stdout, stderr }).to.deep.equal({
      status: 0,
      stdout: '{"buffers":0,"bytes":0,"tensors":0}',
      stderr: '',
    });
  });

  it('count for V8: memory that only tensors hold is collected without being asked for', () => {
    const { status, stdout } = runNode(
      `const { native } = require('./lib/native');
       const { zeros } = require('./lib/tensor');
       let most = 0, made = 0;
       const make = () => {
         for (let i = 0; i < 10; i++) zeros([1 << 20]);
         most = Math.max(most, native.memory().bytes);
         if (++made < 100) setImmediate(make);
         else console.log(most < 3e9 ? 'bounded' : 'unbounded: ' + most);
       };
       make();`,
    );
    expect({ status, stdout }).to.deep.equal({ status: 0, stdout: 'bounded' });
  });
});
