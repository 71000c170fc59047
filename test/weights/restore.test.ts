import { expect } from 'chai';
import type { TensorEntry } from '../../lib/formats/safetensors';
import { empty, full, memory, tensor, tidy } from '../../lib/tensor';
import {
  type Descriptor,
  type QuantizationScheme,
  quantizeMatrix,
  restoreWeight,
  type StoredWeight,
  type Weight,
} from '../../lib/weights';
import { CASES, caseNamed } from './cases';

const W = [
  [0.5, 0, -1.5, 2],
  [0, 0.25, 0, -0.75],
];

/** A weight's tensors under its name in a file, each changed. */
function entries(
  { tensors }: StoredWeight,
  change = (_: string, entry: TensorEntry) => entry,
): Map<string, TensorEntry> {
  return new Map([...tensors].map(([blob, entry]) => [blob === '' ? 'w' : `w.${blob}`, change(blob, entry)]));
}

function withStored(name: string, check: (stored: StoredWeight, weight: Weight) => void): void {
  tidy(() => {
    const weight = caseNamed(name).make(tensor(W));
    check(weight.store(), weight);
    weight.dispose();
  });
}

/** Restoring must fail with this code and leave nothing in memory. */
function expectRefused(
  tensors: Map<string, TensorEntry>,
  descriptor: Descriptor | null,
  code: string,
  text: RegExp,
): void {
  const before = memory();
  expect(() => restoreWeight('w', tensors, descriptor))
    .to.throw(text)
    .with.property('code', code);
  expect(memory().tensors).to.be.at.most(before.tensors);
}

describe('restoring a weight', () => {
  it('takes bytes that lie anywhere in a larger buffer', () => {
    for (const { name } of CASES) {
      withStored(name, (stored, weight) => {
        for (const offset of [1, 4, 6]) {
          const moved = entries(stored, (_, { dtype, shape, data }) => {
            const larger = new Uint8Array(data.byteLength + offset + 3).fill(0xff);
            larger.set(data, offset);
            return { dtype, shape, data: larger.subarray(offset, offset + data.byteLength) };
          });
          const restored = restoreWeight('w', moved, stored.descriptor);
          expect([...restored.dense().toArray()], name).to.deep.equal([...weight.dense().toArray()]);
          restored.dispose();
        }
      });
    }
  });

  it('names the tensor that is missing, retyped or reshaped, and keeps nothing', () => {
    for (const { name } of CASES) {
      withStored(name, (stored) => {
        for (const blob of stored.tensors.keys()) {
          const file = blob === '' ? 'w' : `w.${blob}`;
          const without = entries(stored);
          without.delete(file);
          expectRefused(without, stored.descriptor, 'ERR_TERSOR_CORRUPT_FILE', new RegExp(`'${file}'`));
          // A plain tensor is read as it is.
          if (stored.descriptor === null || /(^|\.)(left|right|correction)$/.test(blob)) continue;
          for (const spoil of [
            (entry: TensorEntry): TensorEntry => ({ ...entry, dtype: 'F64' }),
            (entry: TensorEntry): TensorEntry => ({ ...entry, shape: [1, ...entry.shape] }),
          ]) {
            const spoilt = entries(stored, (each, entry) => (each === blob ? spoil(entry) : entry));
            expectRefused(spoilt, stored.descriptor, 'ERR_TERSOR_CORRUPT_FILE', new RegExp(`'${file}'`));
          }
        }
      });
    }
  });

  it('refuses steps that are not above 0 and zero points that are no codes', () => {
    withStored('quantized 4 bit asymmetric per channel', (stored) => {
      for (const scale of [0, -0, -1]) {
        const spoilt = entries(stored, (blob, entry) =>
          blob === 'scales' ? { ...entry, data: new Uint8Array(Float32Array.of(1, scale).buffer) } : entry,
        );
        expectRefused(spoilt, stored.descriptor, 'ERR_TERSOR_CORRUPT_FILE', /scales above 0, got 0|got -1/);
      }
      const spoilt = entries(stored, (blob, entry) =>
        blob === 'zero_points' ? { ...entry, data: Uint8Array.of(15, 16) } : entry,
      );
      expectRefused(spoilt, stored.descriptor, 'ERR_TERSOR_CORRUPT_FILE', /codes from 0 to 15, got 16 as element 1/);
    });
  });

  it('refuses places of a group that do not ascend or lie past its end', () => {
    withStored('semi-structured 3:5', (stored) => {
      // Three bits a place; each row is one group of 4 columns with 3 places.
      for (const [places, text] of [
        [0b010_010_000, /a group of 4, got 2 as element 2/],
        [0b100_001_000, /a group of 4, got 4 as element 2/],
      ] as const) {
        const spoilt = entries(stored, (blob, entry) =>
          blob === 'places' ? { ...entry, data: Uint8Array.of(places & 255, places >> 8, 0) } : entry,
        );
        expectRefused(spoilt, stored.descriptor, 'ERR_TERSOR_CORRUPT_FILE', text);
      }
    });
  });

  it('refuses blocks that are not where blocks can be', () => {
    withStored('blocks of 32x1', (stored) => {
      const spoilt = (name: string, change: (values: Uint32Array) => void) =>
        entries(stored, (blob, entry) => {
          if (blob !== name) return entry;
          const data = Uint8Array.from(entry.data);
          change(new Uint32Array(data.buffer));
          return { ...entry, data };
        });
      const refused = (name: string, change: (values: Uint32Array) => void, text: RegExp) =>
        expectRefused(spoilt(name, change), stored.descriptor, 'ERR_TERSOR_CORRUPT_FILE', text);
      refused('panel_offsets', (offsets) => offsets.set([1]), /offsets from 0 to 3, got 1 to 3/);
      refused('panel_offsets', (offsets) => offsets.set([2], 1), /offsets from 0 to 3, got 0 to 2/);
      refused('columns', (columns) => columns.set([4], 2), /a column from \d to below 4, got 4 as element 2/);
      refused('columns', (columns) => columns.set([columns[0] as number], 1), /got \d as element 1/);
    });
  });

  it('refuses codes in blocks that have no kernels for them', () => {
    withStored('blocks of 16x4 8 bit symmetric per channel', (stored) => {
      const descriptor = { ...stored.descriptor, blocks: '32x1' } as typeof stored.descriptor;
      const text = /blocks of four columns for integer codes, got 32x1/;
      expectRefused(entries(stored), descriptor, 'ERR_TERSOR_UNSUPPORTED', text);
    });
  });

  it('frees the first factor when the second cannot be read', () => {
    withStored('low rank, sparse int8 factors, int8 inputs', (stored) => {
      const spoilt = entries(stored);
      spoilt.delete('w.right.scales');
      const before = memory();
      expect(() => restoreWeight('w', spoilt, stored.descriptor)).to.throw("'w.right.scales'");
      expect(memory().tensors).to.be.at.most(before.tensors);
      expect(memory().bytes).to.be.at.most(before.bytes);
    });
  });
});

describe('an empty table', () => {
  it('stores the same bytes whatever memory held before', () => {
    for (const granularity of ['tensor', 'channel', 'row'] as const) {
      for (const scheme of ['symmetric', 'asymmetric'] as const) {
        const quantization: QuantizationScheme = { bits: 8, scheme, granularity };
        const stored = [Number.MAX_VALUE, 3].map((dirt) =>
          tidy(() => {
            // Fills and frees blocks of the sizes that parameters take, so that they are handed out again.
            for (let i = 0; i < 50; i++) full([1, 1], Math.min(dirt, 1e38)).dispose();
            const packed = quantizeMatrix(empty([0, 4]), quantization);
            const bytes = [...packed.store().tensors].map(([blob, { data }]) => [blob, [...data]]);
            packed.dispose();
            return bytes;
          }),
        );
        expect(stored[0]).to.deep.equal(stored[1]);
      }
    }
  });
});
