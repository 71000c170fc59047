import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { readLeaveOneOut } from '../../lib/data/interactions';
import { temporaryFolder } from './temporary-folder';

const shared = path.join(__dirname, '../../../shared');

describe('readLeaveOneOut', () => {
  const folder = temporaryFolder();
  const read = (ratings: string, negatives: string) =>
    readLeaveOneOut(folder.write('test.rating', ratings), folder.write('test.negative', negatives));
  const refuses = (ratings: string, negatives: string, text: string) =>
    expect(() => read(ratings, negatives))
      .to.throw(text)
      .with.property('code', 'ERR_TERSOR_DATA');

  const expected = {
    users: Int32Array.from([0, 2147483647]),
    positives: Int32Array.from([25, 133]),
    negatives: Int32Array.from([1, 2, 3, 133]),
    k: 2,
  };

  it('reads cases, their held-out items and their negatives', () => {
    expect(
      read('0\t25\t5\t978824351\n2147483647\t133\t3\t978300174\n', '(0,25)\t1\t2\n(2147483647,133)\t3\t133\n'),
    ).to.deep.equal(expected);
  });

  it('takes CRLF, a missing last line end, trailing empty lines and pairs without rating and time', () => {
    expect(read('0\t25\r\n2147483647\t133\r\n\r\n\r\n', '(0,25)\t1\t2\r\n(2147483647,133)\t3\t133')).to.deep.equal(
      expected,
    );
  });

  it('refuses empty files', () => {
    refuses('', '(0,1)\t2\n', 'expected at least 1 line, got an empty file');
    refuses('\n\n', '(0,1)\t2\n', 'test.rating');
    refuses('0\t1\n', '', 'test.negative');
  });

  it('names the line of what is no id: signs, fractions, text, ids beyond 32 bits', () => {
    for (const item of ['-1', '1.5', '1e3', 'x', '', ' 1', '2147483648', '99999999999999999999', 'NaN']) {
      refuses(`0\t1\n0\t${item}\n`, '(0,1)\t2\n(0,1)\t2\n', 'test.rating:2');
      refuses('0\t1\n0\t1\n', `(0,1)\t2\n(0,1)\t${item}\n`, 'test.negative:2');
    }
  });

  it('counts bad lines, gives the reason of the first and the numbers of a few others', () => {
    const ratings = ['0\t1', 'x', '0\t1', ...Array.from({ length: 8 }, () => '')].join('\n').concat('\n0\t1\n');
    refuses(ratings, '(0,1)\t2\n', 'got 1 field(s), at ');
    refuses(ratings, '(0,1)\t2\n', 'test.rating:2 (9 bad lines; also 4, 5, 6, 7, …)');
    refuses('0 1 5\n', '(0,1)\t2\n', 'expected user, item, rating and timestamp, got 1 field(s)');
  });

  it('shows a piece of a line, not all of it', () => {
    refuses(`0\t${'9'.repeat(100_000)}\n`, '(0,1)\t2\n', `9999…", at `);
  });

  it('refuses negatives of other cases, of another number of cases, or of another number per case', () => {
    refuses('0\t1\n1\t2\n', '(0,1)\t5\n(1,3)\t5\n', 'expected (1,2) as in ');
    refuses('0\t1\n1\t2\n', '(0,1)\t5\n', 'expected 2 lines as in ');
    refuses('0\t1\n1\t2\n', '(0,1)\t5\n(1,2)\t5\t6\n', 'expected 1 negatives as on line 1, got 2');
    refuses('0\t1\n', '(0,1)\n', 'expected at least 1 negative, got 0');
  });

  it('refuses a file that is not there or no text', () => {
    const good = folder.write('good', '0\t1\n');
    expect(() => readLeaveOneOut(folder.path('none'), good))
      .to.throw('none')
      .with.property('code', 'ERR_TERSOR_IO');
    expect(() => readLeaveOneOut(good, folder.path('.')))
      .to.throw('a folder')
      .with.property('code', 'ERR_TERSOR_IO');
  });

  it('reads the test cases of MovieLens-1M as the authors of NCF published them', function () {
    const data = path.join(shared, 'data/ncf-ml-1m');
    if (!existsSync(shared)) {
      console.log('      skipped: no ../shared/data beside the project');
      this.skip();
    }
    const { users, positives, negatives, k } = readLeaveOneOut(
      path.join(data, 'ml-1m.test.rating'),
      path.join(data, 'ml-1m.test.negative'),
    );
    expect(k).to.equal(99);
    expect(users).to.deep.equal(Int32Array.from({ length: 6040 }, (_, user) => user));
    expect([...positives.slice(0, 2)]).to.deep.equal([25, 133]);
    expect([...negatives.slice(0, 4)]).to.deep.equal([1064, 174, 2791, 3373]);
    // 3,706 items, numbered from 0, and all of them come up.
    const items = new Set([...positives, ...negatives]);
    expect(items.size).to.equal(3706);
    expect(Math.max(...items)).to.equal(3705);
  });
});
