import { expect } from 'chai';
import { describeBadRows } from '../../../lib/data/table';

describe('describeBadRows', () => {
  const rows = Array.from({ length: 6 }, (_, i) => ({ line: i + 2, reason: 'expected 4 fields, got 3' }));

  it('names the first five and says that there are more', () => {
    expect(describeBadRows({ count: 0, first: [] })).to.equal('');
    expect(describeBadRows({ count: 1, first: rows.slice(0, 1) })).to.equal(
      '1 bad row: line 2: expected 4 fields, got 3',
    );
    const text = describeBadRows({ count: 4711, first: rows });
    expect(text).to.match(/^4711 bad rows: line 2: .*; line 6: expected 4 fields, got 3; …$/);
    expect(text).not.to.include('line 7');
  });
});
