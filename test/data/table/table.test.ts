import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { openTable, type Table, type TableChunk, type TableOptions, tableChunk } from '../../../lib/data/table';
import { rejectionOf } from '../../support/rejection';
import { withSharedAsync } from '../../support/shared';
import { temporaryFolder } from '../temporary-folder';

async function collect(table: Table): Promise<TableChunk[]> {
  const chunks: TableChunk[] = [];
  for await (const chunk of table.chunks()) chunks.push(chunk);
  return chunks;
}

describe('openTable', () => {
  const folder = temporaryFolder();

  /** Rows as text, and what was left out. */
  async function rowsOf(name: string, text: string | Uint8Array, options: TableOptions = {}) {
    writeFileSync(folder.path(name), text);
    const table = await openTable(folder.path(name), options);
    const chunks = await collect(table);
    const rows = chunks.flatMap((chunk) =>
      Array.from({ length: chunk.rows }, (_, row) =>
        table.columns.map(({ name, type }) => {
          if (type === 'token') return chunk.tokens(name)[row];
          if (type === 'float') return chunk.floats(name)[row];
          return type === 'token_seq' ? chunk.tokenSequences(name)[row] : [...chunk.floatSequences(name)[row]!];
        }),
      ),
    );
    return { table, rows, bad: table.badRows };
  }

  async function refuses(code: string, text: string, file: string | Uint8Array, options: TableOptions = {}) {
    const reason = await rejectionOf(rowsOf('refused.tsv', file, options));
    expect(reason).to.have.property('code', code);
    expect(String(reason)).to.include(text);
  }

  it('reads the four types of a typed header', async () => {
    const { table, rows, bad } = await rowsOf(
      'a.inter',
      'user_id:token\trating:float\tgenres:token_seq\tvector:float_seq\n7\t-2.5e1\tA B  C\t1 .5\n08\t3.\t\t\n',
    );
    expect(table.columns.map(({ type }) => type)).to.deep.equal(['token', 'float', 'token_seq', 'float_seq']);
    expect(rows).to.deep.equal([
      ['7', -25, ['A', 'B', 'C'], [1, 0.5]],
      ['08', 3, [], []],
    ]);
    expect(bad.count).to.equal(0);
  });

  it('gives back every table that was written with quotes, whatever the size of its chunks', async () => {
    const field = fc.string({ unit: fc.constantFrom('a', 'é', '😀', ',', '"', '\n', ' ', '\t'), maxLength: 5 });
    const tables = fc.array(fc.tuple(field, field, field), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        tables,
        fc.constantFrom(1, 2, 7, 64, 2 ** 20),
        fc.boolean(),
        async (expected, chunkBytes, crlf) => {
          const lines = [['x', 'y', 'z'], ...expected].map((row) =>
            row.map((text) => `"${text.replaceAll('"', '""')}"`).join(','),
          );
          const text = lines.join(crlf ? '\r\n' : '\n');
          const { rows, bad } = await rowsOf('quoted.csv', text, { chunkBytes, strict: true });
          expect(rows).to.deep.equal(expected);
          expect(bad.count).to.equal(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('takes CRLF, a byte-order mark, empty lines and a missing last line end', async () => {
    const { rows, table } = await rowsOf('bom.csv', '\uFEFFid,name\r\n\r\n1,é\r\n\r\n2,b');
    expect(table.columns[0]?.name).to.equal('id');
    expect(rows).to.deep.equal([
      ['1', 'é'],
      ['2', 'b'],
    ]);
  });

  it('keeps every digit of huge ids, and leading zeros', async () => {
    const ids = ['123456789012345678901234567890', '007', '18446744073709551616'];
    const { rows } = await rowsOf('ids.tsv', `id:token\n${ids.join('\n')}\n`);
    expect(rows.flat()).to.deep.equal(ids);
  });

  it('reads files without header by given columns, trims spaces, and passes over a header that is replaced', async () => {
    const columns = ['age:float', 'work'];
    const expected = [[39, 'State-gov']];
    expect((await rowsOf('adult.csv', '39, State-gov\n', { columns, trim: true })).rows).to.deep.equal(expected);
    expect((await rowsOf('adult.csv', 'AGE,WORK\n39,State-gov\n', { columns, header: true })).rows).to.deep.equal(
      expected,
    );
  });

  it('takes a quote in the middle of a field, and in a file without quotes, as it is', async () => {
    expect((await rowsOf('inch.csv', 'a,b\n5" disk,x\n')).rows).to.deep.equal([['5" disk', 'x']]);
    expect((await rowsOf('tab.tsv', 'a\tb\n"open\tx\n')).rows).to.deep.equal([['"open', 'x']]);
    expect((await rowsOf('trim.csv', 'a,b\n "x, y" , z \n', { trim: true })).rows).to.deep.equal([['x, y', 'z']]);
  });

  it('leaves out bad rows, counts them and says where and why', async () => {
    const { rows, bad } = await rowsOf(
      'bad.tsv',
      'id:token\tn:float\na\t1\nb\nc\tNaN\nd\t\t\ne\t0x10\nf\t1e999\ng\t2\n',
    );
    expect(rows).to.deep.equal([
      ['a', 1],
      ['g', 2],
    ]);
    expect(bad.count).to.equal(5);
    expect(bad.first).to.deep.equal([
      { line: 3, reason: 'expected 2 fields, got 1' },
      { line: 4, reason: 'expected a finite number, got "NaN", column n' },
      { line: 5, reason: 'expected 2 fields, got 3' },
      { line: 6, reason: 'expected a finite number, got "0x10", column n' },
      { line: 7, reason: 'expected a finite number, got "1e999", column n' },
    ]);
  });

  it('numbers lines over chunks and quoted line ends, counts all bad rows and keeps the first 20', async () => {
    const text = `a,n:float\n"two\nlines",1\n${'x,?\n'.repeat(1000)}`;
    for (const chunkBytes of [1, 10, 4096]) {
      const { bad, rows } = await rowsOf('many.csv', text, { chunkBytes });
      expect(rows).to.deep.equal([['two\nlines', 1]]);
      expect(bad.count).to.equal(1000);
      expect(bad.first.map(({ line }) => line)).to.deep.equal(Array.from({ length: 20 }, (_, i) => i + 4));
    }
  });

  it('loses only the line with a stray or unclosed quote', async () => {
    const { rows, bad } = await rowsOf('quotes.csv', 'a,b\n"x"y,1\nfine,2\n"never closed,3\nalso fine,4\n');
    expect(rows).to.deep.equal([
      ['fine', '2'],
      ['also fine', '4'],
    ]);
    expect(bad.first).to.deep.equal([
      { line: 2, reason: 'expected a separator after the closing quote, got "y"' },
      { line: 4, reason: 'expected a closing quote, got none' },
    ]);
  });

  it('loses only the lines that are not UTF-8, and reads them as Latin-1 when asked', async () => {
    const bytes = Buffer.from('id\tname\n1\tcaf\xe9\n2\ttea\n', 'latin1');
    const { rows, bad } = await rowsOf('latin.tsv', bytes);
    expect(rows).to.deep.equal([['2', 'tea']]);
    expect(bad.first).to.deep.equal([{ line: 2, reason: 'expected text in UTF-8, got other bytes' }]);
    expect((await rowsOf('latin.tsv', bytes, { encoding: 'latin1' })).rows[0]).to.deep.equal(['1', 'café']);
  });

  it('throws at the first bad row when strict, with line and column', async () => {
    const file = 'id:token\tn:float\na\t1\nb\tx\nc\n';
    await refuses('ERR_TERSOR_DATA', 'expected a finite number, got "x", at ', file, { strict: true });
    await refuses('ERR_TERSOR_DATA', 'refused.tsv:3, column n', file, { strict: true });
    await refuses('ERR_TERSOR_DATA', 'expected 1 fields, got 2, at ', 'id\na\nb\tc\n', { strict: true });
  });

  it('reads missing values where they are said to be so', async () => {
    const { rows } = await rowsOf('m.csv', 'n:float,w,s:token_seq\n?,?,?\n,x,a b\n', { missing: ['?', ''] });
    expect(rows).to.deep.equal([
      [Number.NaN, '', []],
      [Number.NaN, 'x', ['a', 'b']],
    ]);
  });

  it('refuses empty files, unusable headers and missing columns', async () => {
    await refuses('ERR_TERSOR_DATA', 'expected a header line, got an empty file', '');
    await refuses('ERR_TERSOR_DATA', 'expected a header line, got an empty file', '\uFEFF\n\n');
    await refuses('ERR_TERSOR_DATA', 'expected at least 1 row, got an empty file', '', { columns: ['a'] });
    await refuses('ERR_TERSOR_DATA', "expected distinct column names, got 'a' twice", 'a\ta\n');
    await refuses('ERR_TERSOR_DATA', "expected a column name, got ''", 'a\t\n');
    await refuses('ERR_TERSOR_DATA', "got 'flaot', at ", 'a:flaot\n');
    await refuses('ERR_TERSOR_DATA', "expected a column 'b', got a", 'a\n', { types: { b: 'float' } });
    await refuses('ERR_TERSOR_DATA', 'expected text in UTF-8', Uint8Array.of(0xff, 0xfe, 0x61, 0, 10));
    const table = await openTable(folder.write('a.tsv', 'a\nx\n'));
    const [chunk] = await collect(table);
    expect(() => chunk!.tokens('b'))
      .to.throw("expected a column 'b', got a")
      .with.property('code', 'ERR_TERSOR_DATA');
    expect(() => chunk!.floats('a')).to.throw('expected type float, got token, at column a');
    expect(chunk!.place(0)).to.equal(`${folder.path('a.tsv')}:2`);
  });

  it('takes a header without rows', async () => {
    expect((await rowsOf('h.tsv', 'a\tb\n')).rows).to.deep.equal([]);
  });

  it('refuses options that cannot be, files that are not there, and lines without end', async () => {
    await refuses('ERR_TERSOR_INVALID_ARGUMENT', 'at separator', 'a\n', { separator: '' });
    await refuses('ERR_TERSOR_INVALID_ARGUMENT', 'at columns', 'a\n', { header: false });
    await refuses('ERR_TERSOR_OUT_OF_RANGE', 'at chunkBytes', 'a\n', { chunkBytes: 0 });
    await refuses('ERR_TERSOR_DATA', 'expected a line of at most 16777216 bytes', new Uint8Array(2 ** 25).fill(65));
    for (const path of [folder.path('none'), folder.path('.')]) {
      expect(await rejectionOf(openTable(path))).to.have.property('code', 'ERR_TERSOR_IO');
    }
  });

  it('starts anew at every pass, tells its progress and stops when aborted', async () => {
    const path = folder.write('pass.csv', `a\n${'x\n'.repeat(5000)}`);
    const seen: number[] = [];
    const controller = new AbortController();
    const table = await openTable(path, {
      chunkBytes: 1000,
      signal: controller.signal,
      onProgress: ({ bytes, total }) => {
        expect(total).to.equal(10_002);
        seen.push(bytes);
      },
    });
    const first = await collect(table);
    expect(seen.at(-1)).to.equal(10_002);
    expect((await collect(table)).map(({ rows }) => rows)).to.deep.equal(first.map(({ rows }) => rows));
    const reason = new Error('enough');
    const rejection = await rejectionOf(
      (async () => {
        for await (const chunk of table.chunks()) if (chunk.rows > 0) controller.abort(reason);
      })(),
    );
    expect(rejection).to.equal(reason);
  });

  it('holds a few chunks of a file, not all of it', async function () {
    this.timeout(60_000);
    const row = `${'0123456789'.repeat(20)}\t1.5\n`;
    const path = folder.write('large.tsv', `id:token\tn:float\n${row.repeat(200_000)}`);
    const table = await openTable(path);
    let rows = 0;
    let peak = 0;
    const before = process.memoryUsage().arrayBuffers;
    for await (const chunk of table.chunks()) {
      rows += chunk.rows;
      peak = Math.max(peak, chunk.rows);
    }
    expect(rows).to.equal(200_000);
    // A chunk holds what 1 MiB of text gives, and buffers do not pile up with the 41 MB of the file.
    expect(peak).to.be.lessThan(2 ** 20 / row.length + 1);
    expect(process.memoryUsage().arrayBuffers - before).to.be.lessThan(16 * 2 ** 20);
  });

  it('reads the tables of MovieLens-100k', () =>
    withSharedAsync(['data', 'ml-100k', 'ml-100k.item'], async (file) => {
      const items = await openTable(file, { strict: true });
      const [movies] = await collect(items);
      expect(movies!.rows).to.equal(1682);
      expect(movies!.tokenSequences('movie_title')[0]).to.deep.equal(['Toy', 'Story']);
    }));

  it('reads the 32,561 and 16,281 rows of Adult, which has no header', () =>
    withSharedAsync(['data', 'adult'], async (adult) => {
      const columns =
        'age:float,workclass,fnlwgt:float,education,education-num:float,marital-status,occupation,relationship,'
          .concat('race,sex,capital-gain:float,capital-loss:float,hours-per-week:float,native-country,income')
          .split(',');
      for (const [name, count] of [
        ['adult-train.csv', 32_561],
        ['adult-test.csv', 16_281],
      ] as const) {
        const chunks = await collect(await openTable(`${adult}/${name}`, { columns, trim: true, strict: true }));
        expect(chunks.reduce((rows, chunk) => rows + chunk.rows, 0)).to.equal(count);
      }
    }));
});

describe('tableChunk', () => {
  it('finds the types of what it is given, and refuses columns that differ in length', () => {
    const chunk = tableChunk({ a: Float64Array.of(1), b: ['x'], c: [['y', 'z']], d: [Float64Array.of(2, 3)] });
    expect(chunk.columns.map(({ type }) => type)).to.deep.equal(['float', 'token', 'token_seq', 'float_seq']);
    expect(chunk.place(0)).to.equal('row 0');
    expect(() => tableChunk({ a: ['x'], b: [] }))
      .to.throw('expected 1 values as in a, got 0, at b')
      .with.property('code', 'ERR_TERSOR_SHAPE');
  });
});
