import { cpSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { type Consumer, consumer, root } from './consumer';

describe('the built package', () => {
  let project: Consumer;
  before(() => {
    project = consumer();
  });
  after(() => project.remove());

  it('is one copy for require and import', () => {
    const program = project.write(
      'both.mjs',
      `import { createRequire } from 'node:module';
       import * as imported from 'tersor';
       const required = createRequire(import.meta.url)('tersor');
       const names = Object.keys(required).sort();
       const different = names.filter((name) => required[name] !== imported[name]);
       const extra = Object.keys(imported).filter((name) => !names.includes(name));
       console.log(JSON.stringify({ names, different, extra }));`,
    );
    const { names, different, extra } = JSON.parse(project.run(program));
    expect(names).to.include.members(['tensor', 'memory', 'TersorError', 'loadModel']);
    expect({ different, extra }).to.deep.equal({ different: [], extra: [] });
  });

  it('has types for require and import', () => {
    const options = {
      module: 'nodenext',
      strict: true,
      noEmit: true,
      lib: ['ES2022', 'ESNext.Disposable'],
      types: ['node'],
    };
    project.write(
      'tsconfig.json',
      JSON.stringify({ compilerOptions: options, files: ['esm.mts', 'cjs.cts', 'wrong.mts'] }),
    );
    cpSync(path.join(root, 'node_modules/@types/node'), path.join(project.folder, 'node_modules/@types/node'), {
      recursive: true,
    });
    cpSync(path.join(root, 'node_modules/undici-types'), path.join(project.folder, 'node_modules/undici-types'), {
      recursive: true,
    });
    const use = 'const shape: readonly number[] = tersor.tensor([1, 2]).shape;\nconsole.log(shape);\n';
    project.write('esm.mts', `import * as tersor from 'tersor';\n${use}`);
    project.write('cjs.cts', `import tersor = require('tersor');\n${use}`);
    project.write(
      'wrong.mts',
      "import { tensor } from 'tersor';\n// @ts-expect-error: a shape is made of numbers\ntensor([1, 2], ['2']);\n",
    );
    expect(project.run(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json')).to.equal('');
  });

  it('is loaded by two worker threads at once, each of which computes and ends', () => {
    const program = project.write(
      'workers.mjs',
      `import { isMainThread, parentPort, Worker } from 'node:worker_threads';
       import { fileURLToPath } from 'node:url';
       const { tensor, tidy } = await import('tersor');
       const answer = () => tidy(() => [...tensor([1.5, -2, 0.25]).toArray()].join());
       if (isMainThread) {
         const workers = [0, 1].map(() => new Worker(fileURLToPath(import.meta.url)));
         const answers = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
           let said;
           worker.on('message', (text) => { said = text; }).on('error', reject).on('exit', (code) => resolve([said, code]));
         })));
         console.log(JSON.stringify([...answers, [answer(), 0]]));
       } else parentPort.postMessage(answer());`,
    );
    expect(JSON.parse(project.run(program))).to.deep.equal([
      ['1.5,-2,0.25', 0],
      ['1.5,-2,0.25', 0],
      ['1.5,-2,0.25', 0],
    ]);
  });

  it('without a binary fails with the command that makes one', () => {
    const bare = consumer({ addon: false });
    try {
      const program = bare.write(
        'load.mjs',
        `try { await import('tersor'); } catch ({ name, code, message }) { console.log(JSON.stringify({ name, code, message })); }`,
      );
      const { name, code, message } = JSON.parse(bare.run(program));
      expect({ name, code }).to.deep.equal({ name: 'TersorError', code: 'ERR_TERSOR_ADDON' });
      expect(message).to.include('npm rebuild tersor');
    } finally {
      bare.remove();
    }
  });
});
