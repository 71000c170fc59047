import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { initialize, type Model, mlp } from '../../lib/models';
import { JOURNAL_FOLDER, openJournal } from '../../lib/recipe/journal';
import { tidy } from '../../lib/tensor';
import { errorOf, temporaryFolder } from '../formats/files';
import { expectNoLeaks } from '../tensor/leaks';

const RUN = { version: '1', recipe: 'r', model: 'm', data: '' };

describe('openJournal', () => {
  const parent = temporaryFolder();
  let directory: string;
  let model: Model;
  before(() => {
    model = initialize(mlp([3, 2]));
  });
  after(() => model.dispose());
  beforeEach(() => {
    directory = path.join(mkdtempSync(path.join(parent, 'case-')), 'out');
  });
  expectNoLeaks();

  const open = (run = RUN, resume = true) => openJournal(directory, run, { resume });
  const journalFile = (name: string) => path.join(directory, JOURNAL_FOLDER, name);
  const references = (names: readonly string[] = []) =>
    new Map(names.map((name, i) => [name, Float32Array.of(i, -0, 1e-45)]));

  it('makes a folder of its own, and removes nothing else with it', () => {
    mkdirSync(path.join(directory, 'journal'), { recursive: true });
    writeFileSync(path.join(directory, 'journal', 'diary.txt'), 'mine');
    const journal = open(RUN, false);
    expect(readdirSync(directory).sort()).to.deep.equal([JOURNAL_FOLDER, 'journal']);
    journal.save('a.1', { model, references: references() });
    journal.remove();
    expect(readdirSync(directory)).to.deep.equal(['journal']);
    expect(readFileSync(path.join(directory, 'journal', 'diary.txt'), 'utf8')).to.equal('mine');
  });

  it('gives back what was saved, to the bit, in the same run and in the next', () => {
    const floats = new Map([['layers.0.weight', Float32Array.of(1, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45)]]);
    const journal = open();
    expect(journal.load('a.1')).to.equal(null);
    journal.save('a.1', { model, references: floats });
    for (const reader of [journal, open()]) {
      const result = reader.load('a.1');
      expect(result?.references).to.deep.equal(floats);
      for (const [name, weight] of model.weights) {
        const values = tidy(() => result?.model.weights.get(name)?.dense().toArray());
        expect(values).to.deep.equal(weight.dense().toArray());
      }
      result?.model.dispose();
      expect(reader.load('a.2')).to.equal(null);
    }
  });

  it('keeps references without elements and under any name that a weight may have', () => {
    const names = [
      'a/b',
      '../up',
      'with "quotes"',
      'naïve ✓',
      'line\nbreak',
      '',
      'constructor',
      '__proto__',
      'x'.repeat(300),
    ];
    const given = new Map([...references(names), ['none', new Float32Array()]]);
    const journal = open();
    journal.save('a.1', { model, references: given });
    const loaded = journal.load('a.1');
    expect(new Map([...(loaded?.references ?? [])].sort())).to.deep.equal(new Map([...given].sort()));
    loaded?.model.dispose();
  });

  it('counts a step as finished only when its model is there', () => {
    const journal = open();
    journal.save('a.1', { model, references: references(['w']) });
    rmSync(journalFile('a.1.safetensors'));
    expect(open().load('a.1')).to.equal(null);
  });

  it('drops the checkpoint of a step that is finished, and no other', () => {
    const journal = open();
    for (const step of ['a.1', 'a.2']) writeFileSync(journal.checkpointPath(step), 'state');
    journal.save('a.1', { model, references: references() });
    expect(['a.1', 'a.2'].map((step) => existsSync(journal.checkpointPath(step)))).to.deep.equal([false, true]);
  });

  it('throws away an old journal unless it is to be resumed', () => {
    open().save('a.1', { model, references: references() });
    writeFileSync(open().checkpointPath('a.2'), 'state');
    const journal = open(RUN, false);
    expect(journal.load('a.1')).to.equal(null);
    expect(existsSync(journal.checkpointPath('a.2'))).to.equal(false);
    expect(open({ ...RUN, recipe: 'other' }, false).load('a.1')).to.equal(null);
  });

  it('resumes the same run only, says what differs, and touches nothing then', () => {
    const journal = open();
    journal.save('a.1', { model, references: references() });
    for (const [other, named] of [
      [{ ...RUN, recipe: 's' }, 'another recipe, '],
      [{ ...RUN, model: 'n' }, 'another model, '],
      [{ ...RUN, data: 'x', version: '2' }, 'another version and data, '],
    ] as const) {
      const { code, message } = errorOf(() => open(other));
      expect(code).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
      expect(message).to.include(named).and.include(path.join(directory, JOURNAL_FOLDER));
    }
    const more = { ...RUN, device: 'cpu' };
    expect(errorOf(() => open(more)).message).to.include('another device');
    journal.load('a.1')?.model.dispose();
  });

  it('trusts nothing in a journal that does not say of which run it is, such as one killed while it was removed', () => {
    open().save('a.1', { model, references: references() });
    rmSync(journalFile('run.json'));
    const other = { ...RUN, model: 'n' };
    expect(open(other).load('a.1')).to.equal(null);
    expect(errorOf(() => open()).message).to.include('another model');
  });

  it('refuses broken files, by name', () => {
    const journal = open();
    for (const text of ['', '{', 'null', '[]', '"run"', '{"recipe":1}']) {
      writeFileSync(journalFile('run.json'), text);
      const { code, message } = errorOf(() => open());
      expect([code, message.includes(journalFile('run.json'))], text).to.deep.equal(['ERR_TERSOR_CORRUPT_FILE', true]);
    }
    for (const name of ['a.1.safetensors', 'a.1.references.safetensors']) {
      journal.save('a.1', { model, references: references(['w']) });
      writeFileSync(journalFile(name), 'half');
      const { code, message } = errorOf(() => journal.load('a.1'));
      expect(code).to.equal('ERR_TERSOR_CORRUPT_FILE');
      expect(message).to.include(journalFile(name));
    }
  });

  it('reports a folder that cannot be made', () => {
    mkdirSync(path.dirname(directory), { recursive: true });
    writeFileSync(directory, 'a file');
    for (const resume of [true, false]) {
      const { code, message } = errorOf(() => open(RUN, resume));
      expect(code).to.equal('ERR_TERSOR_IO');
      expect(message).to.include(directory).and.include('folder');
    }
    expect(readFileSync(directory, 'utf8')).to.equal('a file');
  });
});
