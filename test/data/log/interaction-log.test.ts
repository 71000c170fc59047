import { expect } from 'chai';
import { filterInteractions, type InteractionOptions, readInteractions, Vocabulary } from '../../../lib/data/log';
import { rejectionOf } from '../../support/rejection';
import { withSharedAsync } from '../../support/shared';
import { temporaryFolder } from '../temporary-folder';

const HEADER = 'user_id:token\titem_id:token\trating:float\ttimestamp:float\n';

describe('readInteractions', () => {
  const folder = temporaryFolder();
  const read = (text: string, options?: InteractionOptions, name = 'log.inter') =>
    readInteractions(folder.write(name, text), options);

  it('numbers users and items as they first come, and keeps ratings and times', async () => {
    const log = await read(`${HEADER}99999999999999999999\tx\t4.5\t30\n8\ty\t2\t10\n99999999999999999999\ty\t1\t20\n`);
    expect([...log.users]).to.deep.equal([0, 1, 0]);
    expect([...log.items]).to.deep.equal([0, 1, 1]);
    expect([...log.ratings!]).to.deep.equal([4.5, 2, 1]);
    expect([...log.timestamps!]).to.deep.equal([30, 10, 20]);
    expect(log.userIds.tokens()).to.deep.equal(['99999999999999999999', '8']);
    expect(log.itemIds.token(1)).to.equal('y');
  });

  it('reads plain headers and other names; ids stay text, whatever type the header gives', async () => {
    const log = await read(
      'who:float,what,stars\n007,1.0,5\n7,1,3\n',
      { user: 'who', item: 'what', rating: 'stars' },
      'a.csv',
    );
    expect(log.userIds.tokens()).to.deep.equal(['007', '7']);
    expect(log.itemIds.tokens()).to.deep.equal(['1.0', '1']);
    expect([...log.ratings!]).to.deep.equal([5, 3]);
    expect(log.timestamps).to.equal(undefined);
  });

  it('leaves out what is rated below the threshold or not at all, and numbers the rest', async () => {
    const text = `${HEADER}a\tx\t3\t1\nb\ty\t4\t2\nc\tz\t?\t3\nb\tx\t5\t4\n`;
    const log = await read(text, { minRating: 4, missing: ['?'] });
    expect(log.userIds.tokens()).to.deep.equal(['b']);
    expect(log.itemIds.tokens()).to.deep.equal(['y', 'x']);
    expect([...log.timestamps!]).to.deep.equal([2, 4]);
  });

  it('counts bad rows, and stops at the first when strict', async () => {
    const text = `${HEADER}a\tx\t3\t1\nb\ty\tgood\t2\n`;
    const log = await read(text);
    expect(log.users).to.have.length(1);
    expect(log.badRows).to.deep.include({ count: 1 });
    expect(String(await rejectionOf(read(text, { strict: true })))).to.include('log.inter:3, column rating');
  });

  it('refuses missing columns, missing times and logs without interactions', async () => {
    const cases: [string, InteractionOptions, string][] = [
      ['user\titem_id\na\tb\n', {}, "expected a column 'user_id', got user, item_id"],
      [`${HEADER}a\tx\t3\t1\n`, { timestamp: 'when' }, "expected a column 'when'"],
      ['user_id\titem_id\na\tb\n', { minRating: 1 }, 'expected a column of ratings for minRating, got none'],
      [`${HEADER}a\tx\t3\t1\nb\tx\t3\t?\n`, { missing: ['?'] }, 'expected a time, got a missing value, at '],
      [`${HEADER}a\tx\t3\n`, {}, 'expected at least 1 interaction, got none (1 bad rows)'],
      [HEADER, {}, 'expected at least 1 interaction'],
    ];
    for (const [text, options, message] of cases) {
      const reason = await rejectionOf(read(text, options));
      expect(reason).to.have.property('code', 'ERR_TERSOR_DATA');
      expect(String(reason)).to.include(message);
    }
  });

  it('grows with the file', async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => `u${i % 70}\ti${i % 110}\t${i % 5}\t${i}`);
    const log = await read(`${HEADER}${rows.join('\n')}`, { chunkBytes: 500 });
    expect([...log.users]).to.deep.equal(rows.map((_, i) => i % 70));
    expect([...log.items]).to.deep.equal(rows.map((_, i) => i % 110));
    expect([...log.timestamps!]).to.deep.equal(rows.map((_, i) => i));
  });

  it('reads the 100,000 interactions of 943 users and 1,682 items of MovieLens-100k', () =>
    withSharedAsync(['data', 'ml-100k', 'ml-100k.inter'], async (file) => {
      const log = await readInteractions(file, { strict: true });
      expect([log.users.length, log.userIds.size, log.itemIds.size]).to.deep.equal([100_000, 943, 1682]);
      expect(log.userIds.token(log.users[1]!)).to.equal('186');
      // The README of MovieLens-100k: 55,375 ratings of 4 and 5.
      expect((await readInteractions(file, { minRating: 4 })).users).to.have.length(55_375);
    }));
});

describe('filterInteractions', () => {
  const folder = temporaryFolder();

  it('keeps rows with their ratings and times, and numbers users and items anew', async () => {
    const log = await readInteractions(folder.write('l.inter', `${HEADER}a\tx\t1\t10\nb\ty\t2\t20\nc\tx\t3\t30\n`));
    const kept = filterInteractions(log, (row) => row > 0);
    expect([...kept.users]).to.deep.equal([0, 1]);
    expect(kept.userIds.tokens()).to.deep.equal(['b', 'c']);
    expect(kept.itemIds.tokens()).to.deep.equal(['y', 'x']);
    expect([...kept.ratings!, ...kept.timestamps!]).to.deep.equal([2, 3, 20, 30]);
  });
});

describe('Vocabulary', () => {
  it('translates both ways and comes back from JSON', () => {
    const vocabulary = new Vocabulary(['a', '__proto__', '']);
    const again = new Vocabulary(JSON.parse(JSON.stringify(vocabulary)) as string[]);
    expect([again.size, again.id('__proto__'), again.id('b'), again.token(2)]).to.deep.equal([3, 1, undefined, '']);
    expect(() => again.token(3))
      .to.throw('expected an id in 0..2, got 3')
      .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    expect(() => new Vocabulary(['a', 'a']))
      .to.throw("'a' twice")
      .with.property('code', 'ERR_TERSOR_DATA');
  });
});
