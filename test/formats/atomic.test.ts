import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { writeFileAtomic } from '../../lib/formats/atomic';
import { childUntil, errorOf, killHard, nodeArguments, root, temporaryFolder, tinyDisk } from './files';

/** Prints what a write of 1 MiB over the file 'old' threw, and what is in its folder afterwards. */
const WRITE_TOO_MUCH = (folder: string) => `
  const fs = require('node:fs');
  const { writeFileAtomic } = require('./lib/formats/atomic');
  const folder = ${JSON.stringify(folder)};
  fs.writeFileSync(folder + '/file', 'old');
  try { writeFileAtomic(folder + '/file', new Uint8Array(2 ** 20)); console.log(JSON.stringify({})); }
  catch (error) {
    console.log(JSON.stringify({ code: error.code, cause: error.cause?.code, message: error.message,
      names: fs.readdirSync(folder), content: fs.readFileSync(folder + '/file', 'utf8') }));
  }`;

describe('writeFileAtomic', () => {
  const parent = temporaryFolder();
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(parent, 'case-'));
  });

  it('creates and replaces a file from bytes, text and pieces, and leaves nothing else', () => {
    const file = path.join(folder, 'file');
    expect(writeFileAtomic(file, new Uint8Array([1, 2, 3]))).to.equal(3);
    expect([...readFileSync(file)]).to.deep.equal([1, 2, 3]);
    expect(writeFileAtomic(file, 'naïve')).to.equal(6);
    expect(readFileSync(file, 'utf8')).to.equal('naïve');
    expect(writeFileAtomic(file, ['a', new Uint8Array(0), new Uint8Array([98])])).to.equal(2);
    expect(readFileSync(file, 'utf8')).to.equal('ab');
    expect(writeFileAtomic(file, [])).to.equal(0);
    expect(readdirSync(folder)).to.deep.equal(['file']);
  });

  it('keeps the permissions of the file it replaces', () => {
    const file = path.join(folder, 'secret');
    writeFileSync(file, 'old');
    chmodSync(file, 0o600);
    writeFileAtomic(file, 'new');
    expect(statSync(file).mode & 0o777).to.equal(0o600);
  });

  it('replaces what a symbolic link points to, not the link', () => {
    writeFileSync(path.join(folder, 'target'), 'old');
    symlinkSync('target', path.join(folder, 'link'));
    writeFileAtomic(path.join(folder, 'link'), 'new');
    expect(lstatSync(path.join(folder, 'link')).isSymbolicLink()).to.equal(true);
    expect(readFileSync(path.join(folder, 'target'), 'utf8')).to.equal('new');
  });

  it('leaves the old file and no temporary one when the content fails half way', () => {
    const file = path.join(folder, 'file');
    writeFileSync(file, 'old');
    const failure = new RangeError('no more');
    function* pieces() {
      yield 'half';
      throw failure;
    }
    expect(() => writeFileAtomic(file, pieces())).to.throw(failure);
    expect(readFileSync(file, 'utf8')).to.equal('old');
    expect(readdirSync(folder)).to.deep.equal(['file']);
  });

  it('refuses a folder, a pipe and a folder that does not exist, and names the path', () => {
    mkdirSync(path.join(folder, 'sub'));
    spawnSync('mkfifo', [path.join(folder, 'pipe')]);
    for (const [name, got] of [
      ['sub', 'got a folder'],
      ['pipe', 'got a device, pipe or socket'],
      ['missing/file', 'ENOENT'],
      ['pipe/file', 'ENOTDIR'],
    ] as const) {
      const error = errorOf(() => writeFileAtomic(path.join(folder, name), 'new'));
      expect(error.code).to.equal('ERR_TERSOR_IO');
      expect(error.message).to.include(got).and.include(path.join(folder, name));
    }
    expect(readdirSync(folder).sort()).to.deep.equal(['pipe', 'sub']);
    expect(lstatSync(path.join(folder, 'pipe')).isFIFO()).to.equal(true);
  });

  it('reports a folder without write permission, and the old file survives', () => {
    const file = path.join(folder, 'file');
    writeFileSync(file, 'old');
    chmodSync(folder, 0o555);
    chmodSync(parent, 0o755);
    const superuser = process.geteuid?.() === 0;
    if (superuser) process.seteuid?.(65534);
    try {
      const error = errorOf(() => writeFileAtomic(file, 'new'));
      expect(error.code).to.equal('ERR_TERSOR_IO');
      expect(error.cause).to.have.property('code', 'EACCES');
    } finally {
      if (superuser) process.seteuid?.(0);
      chmodSync(folder, 0o755);
    }
    expect(readFileSync(file, 'utf8')).to.equal('old');
    expect(readdirSync(folder)).to.deep.equal(['file']);
  });

  const limits: [name: string, cause: string, prefix: (folder: string) => string[] | undefined][] = [
    ['a limit on the size of files', 'EFBIG', () => ['bash', '-c', 'ulimit -f 64 && exec "$@"', 'bash']],
    ['a full disk', 'ENOSPC', tinyDisk],
  ];
  for (const [name, cause, prefix] of limits) {
    const command = prefix(parent);
    if (command === undefined) continue;
    it(`leaves the old file and no temporary one after ${name}`, () => {
      // tsx keeps a cache in the temporary folder, which is not what is to be limited here.
      const env = { ...process.env, TSX_DISABLE_CACHE: '1' };
      const [program, ...args] = prefix(folder) as [string, ...string[]];
      const child = spawnSync(program, [...args, process.execPath, ...nodeArguments(WRITE_TOO_MUCH(folder))], {
        cwd: root,
        encoding: 'utf8',
        env,
      });
      expect(child.stdout, child.stderr).to.not.equal('');
      const result = JSON.parse(child.stdout);
      expect(result).to.include({ code: 'ERR_TERSOR_IO', cause, content: 'old' });
      expect(result.message).to.include(path.join(folder, 'file'));
      expect(result.names).to.deep.equal(['file']);
    });
  }

  it('leaves the old file after SIGKILL in mid-write; the next write removes the remains', async () => {
    const file = path.join(folder, 'file');
    writeFileSync(file, 'old');
    const child = await childUntil(
      `const { writeFileAtomic } = require('./lib/formats/atomic');
       function* pieces() {
         yield 'half of the new';
         require('node:fs').writeSync(1, 'half\\n');
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);
       }
       writeFileAtomic(${JSON.stringify(file)}, pieces());`,
      'half',
    );
    const remains = readdirSync(folder).filter((name) => name !== 'file');
    expect(remains).to.have.length(1);
    expect(readFileSync(path.join(folder, remains[0] as string), 'utf8')).to.equal('half of the new');
    writeFileAtomic(path.join(folder, 'other'), 'a write beside a living one leaves its temporary file alone');
    expect(readdirSync(folder)).to.include(remains[0] as string);
    await killHard(child);
    expect(readFileSync(file, 'utf8')).to.equal('old');
    writeFileAtomic(file, 'new');
    expect(readFileSync(file, 'utf8')).to.equal('new');
    expect(readdirSync(folder).sort()).to.deep.equal(['file', 'other']);
  });

  it('shows one whole version or the other whenever SIGKILL comes', async () => {
    const file = path.join(folder, 'file');
    for (const delay of [0, 3, 7, 11, 17]) {
      const child = await childUntil(
        `const { writeFileAtomic } = require('./lib/formats/atomic');
         const versions = ['a', 'b'].map((letter) => letter.repeat(100000));
         writeFileAtomic(${JSON.stringify(file)}, versions[0]);
         require('node:fs').writeSync(1, 'started\\n');
         for (let i = 0; ; i++) writeFileAtomic(${JSON.stringify(file)}, [versions[i % 2].slice(0, 50000), versions[i % 2].slice(50000)]);`,
        'started',
      );
      await new Promise((resolve) => setTimeout(resolve, delay));
      await killHard(child);
      const content = readFileSync(file, 'utf8');
      expect(content).to.equal((content[0] === 'a' ? 'a' : 'b').repeat(100000));
    }
    writeFileAtomic(file, 'end');
    expect(readdirSync(folder)).to.deep.equal(['file']);
  });
});
