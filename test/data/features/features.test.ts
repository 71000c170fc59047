import { expect } from 'chai';
import fc from 'fast-check';
import { type FeatureSpec, fitFeatures, loadFeatures, saveFeatures } from '../../../lib/data/features';
import { murmur3 } from '../../../lib/data/features/murmur3';
import { binOf, quantileEdges } from '../../../lib/data/features/quantile-bins';
import { type ColumnValues, openTable, type TableChunk, tableChunk } from '../../../lib/data/table';
import { rejectionOf } from '../../support/rejection';
import { withSharedAsync } from '../../support/shared';
import { temporaryFolder } from '../temporary-folder';

/** Encodes a chunk by one feature that was learned from others. */
async function encoded(feature: FeatureSpec, train: readonly TableChunk[], chunk: TableChunk) {
  return (await fitFeatures({ f: feature }, train)).encode(chunk).f!;
}

const numbers = (...x: number[]) => tableChunk({ x: Float64Array.from(x) });
const column = (x: ColumnValues) => tableChunk({ x });

describe('numeric features', () => {
  it('have mean 0 and standard deviation 1 in the training part, over all of its chunks; missing values are the mean', async () => {
    const train = [numbers(1, 2), numbers(6, Number.NaN), numbers(7)];
    // Mean 4, population variance (9 + 4 + 4 + 9) / 4.
    const sd = Math.sqrt(6.5);
    const feature = await encoded({ kind: 'numeric', column: 'x' }, train, numbers(4, Number.NaN, 17, -1));
    expect(feature.kind === 'dense' && [...feature.values]).to.deep.equal([0, 0, 13 / sd, -5 / sd].map(Math.fround));
  });

  it('take the logarithm of 1 + x when asked, and name the row where it cannot be', async () => {
    const spec = { kind: 'numeric', column: 'x', log1p: true } as const;
    const feature = await encoded(spec, [numbers(0, Math.E ** 2 - 1)], numbers(Math.E - 1));
    // (1 − 1) / 1 but for rounding in the exponentials.
    expect(feature.kind === 'dense' && feature.values[0]).to.be.closeTo(0, 1e-15);
    const reason = await rejectionOf(fitFeatures({ f: spec }, [numbers(0, -1)]));
    expect(String(reason)).to.include('expected a number above -1 for its logarithm, got -1, at row 1, column x');
  });

  it('are exact for numbers far from 0, and 0 for a constant', async () => {
    const train = numbers(1e9 + 1, 1e9 + 2, 1e9 + 3);
    const feature = await encoded({ kind: 'numeric', column: 'x' }, [train], train);
    const unit = 1 / Math.sqrt(2 / 3);
    expect(feature.kind === 'dense' && [...feature.values]).to.deep.equal([-unit, 0, unit].map(Math.fround));
    const constant = await encoded({ kind: 'numeric', column: 'x' }, [numbers(5, 5)], numbers(5));
    expect(constant).to.deep.equal({ kind: 'dense', values: Float32Array.of(0) });
  });
});

describe('bins', () => {
  it('have the edges of numpy.unique(numpy.quantile(…))', () => {
    const values = () => Float64Array.of(3.7, -1.25, 0.1, 0.1, 8.0, 2.5, 100.3, 0.7, 5.5, 1e-3, 4.4);
    // numpy 2.4: quantiles 1/8 … 7/8, and those of the values that are not 0 with 0.5.
    expect(quantileEdges(values(), 8, false)).to.deep.equal([
      0.025750000000000002, 0.1, 0.5499999999999999, 2.5, 3.875, 4.95, 7.375,
    ]);
    expect(quantileEdges(Float64Array.of(0, 0, 0, 5.5, 0, 7.1, 2.2, 0, 9.3), 4, true)).to.deep.equal([
      0.5, 4.675, 6.3, 7.65,
    ]);
    expect(quantileEdges(Float64Array.of(0, 0), 4, true)).to.deep.equal([0.5]);
    expect(quantileEdges(Float64Array.of(7, 7, 7), 4, false)).to.deep.equal([7]);
  });

  it('are found as numpy.searchsorted finds them: the number of edges below', () => {
    const value = fc.double({ noNaN: true, min: -10, max: 10 });
    fc.assert(
      fc.property(fc.uniqueArray(value, { maxLength: 9 }), value, (edges, x) => {
        const sorted = edges.sort((a, b) => a - b);
        for (const probe of [x, ...sorted]) {
          expect(binOf(sorted, probe)).to.equal(sorted.filter((edge) => edge < probe).length);
        }
      }),
    );
    expect(binOf([1, 2], Number.NaN)).to.equal(2);
  });

  it('hold about equally many of distinct training values', async () => {
    const train = numbers(...Array.from({ length: 640 }, (_, i) => (i * 7919) % 640));
    const feature = await encoded({ kind: 'bins', column: 'x', bins: 64 }, [train], train);
    const counts = new Array<number>(64).fill(0);
    if (feature.kind === 'ids') for (const id of feature.ids) counts[id]! += 1;
    expect(feature.kind === 'ids' && feature.size).to.equal(64);
    expect(counts).to.deep.equal(new Array(64).fill(10));
  });
});

describe('categorical features', () => {
  it('number tokens as they first come in the training part; what did not come there, or too rarely, is 0', async () => {
    const train = [column(['b', 'a', 'b']), column(['c', 'a'])];
    const later = column(['a', 'c', 'd', 'b']);
    const all = await encoded({ kind: 'categorical', column: 'x' }, train, later);
    expect(all).to.deep.equal({ kind: 'ids', ids: Int32Array.of(2, 3, 0, 1), size: 4 });
    const common = await encoded({ kind: 'categorical', column: 'x', minCount: 2 }, train, later);
    expect(common).to.deep.equal({ kind: 'ids', ids: Int32Array.of(2, 0, 0, 1), size: 3 });
  });

  it('are multi-hot where a column holds several tokens, by its type or by a separator', async () => {
    const expected = { kind: 'bags', offsets: Int32Array.of(0, 2, 2, 3), ids: Int32Array.of(2, 0, 1), size: 3 };
    const lists = column([['rock', 'folk'], [], ['jazz']]);
    const trainLists = [column([['jazz'], ['rock', 'jazz']])];
    expect(await encoded({ kind: 'categorical', column: 'x' }, trainLists, lists)).to.deep.equal(expected);
    const spec = { kind: 'categorical', column: 'x', separator: '|' } as const;
    expect(await encoded(spec, [column(['jazz', 'rock|jazz'])], column(['rock|folk', '', 'jazz']))).to.deep.equal(
      expected,
    );
  });
});

describe('hashed features', () => {
  it('are murmur3 of the token modulo the buckets', async () => {
    const tokens = ['', 'hello', 'hello, world', 'The quick brown fox jumps over the lazy dog'];
    // Published values of MurmurHash3_x86_32 with seed 0.
    const hashes = [0, 0x248bfa47, 0x149bbb7f, 0x2e4ff723];
    expect(tokens.map((token) => murmur3(token))).to.deep.equal(hashes);
    expect(murmur3('', 1)).to.equal(0x514e28b7);
    const feature = await encoded({ kind: 'hashed', column: 'x', buckets: 1000 }, [column(['a'])], column(tokens));
    expect(feature).to.deep.equal({ kind: 'ids', ids: Int32Array.from(hashes, (hash) => hash % 1000), size: 1000 });
  });

  it('are multi-hot too', async () => {
    const spec = { kind: 'hashed', column: 'x', buckets: 7, separator: ' ' } as const;
    const bags = await encoded(spec, [column(['a'])], column(['hello hello', '']));
    const id = 0x248bfa47 % 7;
    expect(bags).to.deep.equal({ kind: 'bags', offsets: Int32Array.of(0, 2, 2), ids: Int32Array.of(id, id), size: 7 });
  });
});

describe('fitFeatures', () => {
  const folder = temporaryFolder();
  const spec: Record<string, FeatureSpec> = {
    age: { kind: 'numeric', column: 'n', log1p: true },
    bin: { kind: 'bins', column: 'n', bins: 5, zeroInflated: true },
    work: { kind: 'categorical', column: 't' },
    hash: { kind: 'hashed', column: 't', buckets: 9, separator: '-' },
  };
  const train = tableChunk({
    n: Float64Array.from({ length: 50 }, (_, i) => Math.sqrt(i)),
    t: Array.from({ length: 50 }, (_, i) => `t-${i % 7}`),
  });
  const later = tableChunk({ n: Float64Array.of(0.3, 1e6, Number.NaN), t: ['t-3', 'é', ''] });

  it('learns what a file gives back to the bit', async () => {
    const encoder = await fitFeatures(spec, [train]);
    saveFeatures(folder.path('features.json'), encoder);
    const again = loadFeatures(folder.path('features.json'));
    expect(again.encode(later)).to.deep.equal(encoder.encode(later));
    expect(Object.keys(again.encode(later))).to.deep.equal(Object.keys(spec));
  });

  it('refuses specs that cannot be, no rows, no numbers and columns that are not there', async () => {
    const bad = async (code: string, text: string, wrong: unknown, chunks = [train]) => {
      const reason = await rejectionOf(fitFeatures(wrong as typeof spec, chunks));
      expect(reason).to.have.property('code', code);
      expect(String(reason)).to.include(text);
    };
    await bad('ERR_TERSOR_INVALID_ARGUMENT', 'at spec.f.bins', { f: { kind: 'bins', column: 'n', bins: 1 } });
    await bad('ERR_TERSOR_INVALID_ARGUMENT', 'at spec.f.kind', { f: { kind: 'embedding', column: 'n' } });
    await bad('ERR_TERSOR_INVALID_ARGUMENT', 'at spec.f', { f: { kind: 'numeric', column: 'n', logarithm: true } });
    await bad('ERR_TERSOR_DATA', 'expected at least 1 row', spec, []);
    await bad('ERR_TERSOR_DATA', "expected a column 'x', got n, t", { f: { kind: 'numeric', column: 'x' } });
    await bad('ERR_TERSOR_DATA', 'expected type token, got float, at column n', {
      f: { kind: 'hashed', column: 'n', buckets: 2 },
    });
    for (const kind of [{ kind: 'numeric' }, { kind: 'bins', bins: 2 }]) {
      await bad(
        'ERR_TERSOR_DATA',
        'expected at least 1 number, got none, at column x',
        { f: { ...kind, column: 'x' } },
        [numbers(Number.NaN)],
      );
    }
  });

  it('refuses files that hold no features', () => {
    for (const text of [
      '',
      '[]',
      '{"f":{"kind":"numeric","column":"x","log1p":false,"mean":0,"sd":0}}',
      '{"f":{"kind":"bins","column":"x","edges":[2,1]}}',
      '{"f":{"kind":"categorical","column":"x","tokens":["a","a"]}}',
      '{"f":{"kind":"hashed","column":"x","buckets":0}}',
    ]) {
      expect(() => loadFeatures(folder.write('bad.json', text)))
        .to.throw('bad.json')
        .with.property('code', 'ERR_TERSOR_CORRUPT_FILE');
    }
  });
});

describe('features of Adult', () => {
  const NUMERIC = ['age', 'fnlwgt', 'education-num', 'capital-gain', 'capital-loss', 'hours-per-week'];
  const COLUMNS =
    'age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain capital-loss hours-per-week native-country income';

  /** Rows without unknown values. */
  async function read(file: string): Promise<TableChunk> {
    const names = COLUMNS.split(' ');
    const columns = names.map((name) => (NUMERIC.includes(name) ? `${name}:float` : name));
    const values = new Map<string, (string | number)[]>(names.map((name) => [name, []]));
    for await (const chunk of (await openTable(file, { columns, trim: true, strict: true })).chunks()) {
      const cells = names.map((name) => (NUMERIC.includes(name) ? chunk.floats(name) : chunk.tokens(name)));
      for (let row = 0; row < chunk.rows; row++) {
        if (cells.some((column) => column[row] === '?')) continue;
        for (const [c, name] of names.entries()) values.get(name)!.push(cells[c]![row]!);
      }
    }
    return tableChunk(
      Object.fromEntries(
        [...values].map(([name, column]) => [
          name,
          NUMERIC.includes(name) ? Float64Array.from(column as number[]) : (column as string[]),
        ]),
      ),
    );
  }

  it('have the rows, shares and numbers of bins of the published protocol', () =>
    withSharedAsync(['data', 'adult'], async (folder) => {
      const [train, test] = await Promise.all([read(`${folder}/adult-train.csv`), read(`${folder}/adult-test.csv`)]);
      expect([train.rows, test.rows]).to.deep.equal([30_162, 15_060]);
      const positive = (chunk: TableChunk) => chunk.tokens('income').filter((label) => label.startsWith('>50K')).length;
      expect([positive(train) / 30_162, positive(test) / 15_060].map((share) => share.toFixed(4))).to.deep.equal([
        '0.2489',
        '0.2457',
      ]);

      const spec = Object.fromEntries(
        NUMERIC.map((name) => {
          const zeroInflated = name.startsWith('capital');
          return [name, { kind: 'bins', column: name, bins: 64, zeroInflated } as const];
        }),
      );
      const encoder = await fitFeatures(spec, [train]);
      const sizes = Object.values(encoder.encode(test)).map((feature) => feature.kind === 'ids' && feature.size);
      expect(sizes).to.deep.equal([45, 64, 13, 40, 38, 20]);
    }));
});
