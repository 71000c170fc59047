import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { TersorError } from '../../lib/errors';
import {
  readSafetensors,
  type SafetensorsDType,
  type TensorEntry,
  writeSafetensors,
} from '../../lib/formats/safetensors';
import { withShared } from '../support/shared';
import { errorOf, temporaryFolder } from './files';

/** Bytes of an element, from the format's specification. */
const SIZES: Record<SafetensorsDType, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};

/**
 * What the reference implementation (Python package safetensors 0.8.0) writes for these tensors:
 * a = int64 [[1, 2, 3]], b = float32 [1.5, -2], é" = float32 [0, 4], 10 = int32 scalar 3, h = float16 [1, -2], c = uint8 [7], t = bool [true, false].
 */
const REFERENCE_HEADER =
  '{"__metadata__":{"k":"v \\"q\\""},"a":{"dtype":"I64","shape":[1,3],"data_offsets":[0,24]},"b":{"dtype":"F32","shape":[2],"data_offsets":[24,32]},' +
  '"é\\"":{"dtype":"F32","shape":[0,4],"data_offsets":[32,32]},"10":{"dtype":"I32","shape":[],"data_offsets":[32,36]},' +
  '"h":{"dtype":"F16","shape":[2],"data_offsets":[36,40]},"c":{"dtype":"U8","shape":[1],"data_offsets":[40,41]},' +
  '"t":{"dtype":"BOOL","shape":[2],"data_offsets":[41,43]}} ';
const REFERENCE_DATA = '0100000000000000020000000000000003000000000000000000c03f000000c003000000003c00c0070100';
const REFERENCE_FILE = Buffer.concat([
  Buffer.from('a801000000000000', 'hex'),
  Buffer.from(REFERENCE_HEADER),
  Buffer.from(REFERENCE_DATA, 'hex'),
]);

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function fileOf(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0), headerLength?: bigint): Uint8Array {
  const text = Buffer.from(header as string);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

function smallTensors(): Map<string, TensorEntry> {
  return new Map<string, TensorEntry>([
    ['t', { dtype: 'BOOL', shape: [2], data: new Uint8Array([1, 0]) }],
    ['10', { dtype: 'I32', shape: [], data: bytesOf(new Int32Array([3])) }],
    ['h', { dtype: 'F16', shape: [2], data: bytesOf(new Uint16Array([0x3c00, 0xc000])) }],
    ['é"', { dtype: 'F32', shape: [0, 4], data: new Uint8Array(0) }],
    ['b', { dtype: 'F32', shape: [2], data: bytesOf(new Float32Array([1.5, -2])) }],
    ['a', { dtype: 'I64', shape: [1, 3], data: bytesOf(new BigInt64Array([1n, 2n, 3n])) }],
    ['c', { dtype: 'U8', shape: [1], data: new Uint8Array([7]) }],
  ]);
}

const anyTensor = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(SIZES) as SafetensorsDType[])),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
  })
  .chain(({ dtype, shape }) => {
    const length = shape.reduce((product, dimension) => product * dimension, SIZES[dtype]);
    return fc.uint8Array({ minLength: length, maxLength: length }).map((data): TensorEntry => ({ dtype, shape, data }));
  });
const anyName = fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__');
const anyTensors = fc.dictionary(anyName, anyTensor, { maxKeys: 6 }).map((tensors) => new Map(Object.entries(tensors)));
const anyMetadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { maxKeys: 3 });

describe('safetensors', () => {
  const parent = temporaryFolder();
  let file: string;
  beforeEach(() => {
    file = path.join(mkdtempSync(path.join(parent, 'case-')), 'x.safetensors');
  });
  const rejection = (bytes: Uint8Array) => {
    writeFileSync(file, bytes);
    const error = errorOf(() => readSafetensors(file));
    expect(error.code).to.equal('ERR_TERSOR_CORRUPT_FILE');
    expect(error.message)
      .to.match(/^expected .*, got .*, at /s)
      .and.include(file);
    return error.message;
  };
  const tensorRejection = (info: string, dataBytes = 8) =>
    rejection(fileOf(`{"w":${info}}`, new Uint8Array(dataBytes)));

  describe('writing', () => {
    it('gives byte for byte what the reference implementation writes', () => {
      expect(writeSafetensors(file, smallTensors(), { k: 'v "q"' })).to.equal(REFERENCE_FILE.length);
      expect(readFileSync(file).toString('latin1')).to.equal(REFERENCE_FILE.toString('latin1'));
    });

    it('does not depend on the order of tensors and metadata', () => {
      writeSafetensors(file, smallTensors(), { a: '1', b: '2' });
      const first = readFileSync(file);
      writeSafetensors(file, [...smallTensors()].reverse(), { b: '2', a: '1' });
      expect(readFileSync(file).equals(first)).to.equal(true);
    });

    it('refuses what a file cannot say and leaves no file', () => {
      const entry: TensorEntry = { dtype: 'F32', shape: [2], data: new Uint8Array(8) };
      const refused: [unknown, RegExp, Record<string, string>?][] = [
        [
          [
            ['w', entry],
            ['w', entry],
          ],
          /each tensor name once, got "w" twice/,
        ],
        [[['__metadata__', entry]], /a name other than __metadata__/],
        [[['\ud800', entry]], /well-formed text/],
        [[['w', { ...entry, dtype: 'F31' }]], /a dtype of .*F32.*, got "F31", at tensor "w"/],
        [[['w', { ...entry, dtype: 'toString' }]], /got "toString"/],
        [[['w', { ...entry, shape: [-2] }]], /got \[-2\]/],
        [[['w', { ...entry, shape: [1.5] }]], /got \[1.5\]/],
        [[['w', { ...entry, shape: [2 ** 40, 2 ** 40, 0] }]], /an exact integer/],
        [[['w', { ...entry, shape: [3] }]], /expected 12 bytes for F32 \[3\], got 8, at tensor "w"/],
        [[], /well-formed text as metadata, got 7/, { k: 7 as unknown as string }],
      ];
      for (const [tensors, message, metadata] of refused) {
        const error = errorOf(() => writeSafetensors(file, tensors as Map<string, TensorEntry>, metadata));
        expect(error.code).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
        expect(error.message).to.match(message).and.include(file);
      }
      expect(readdirSync(path.dirname(file))).to.deep.equal([]);
    });

    it('can replace the very file that it reads from', () => {
      writeSafetensors(file, smallTensors());
      const before = readFileSync(file);
      writeSafetensors(file, readSafetensors(file).tensors);
      expect(readFileSync(file).equals(before)).to.equal(true);
    });
  });

  describe('reading', () => {
    it('reads what the reference implementation wrote', () => {
      writeFileSync(file, REFERENCE_FILE);
      const { metadata, tensors, fileBytes } = readSafetensors(file);
      expect(fileBytes).to.equal(REFERENCE_FILE.length);
      expect(metadata).to.deep.equal({ k: 'v "q"' });
      expect([...tensors.keys()]).to.deep.equal(['a', 'b', 'é"', '10', 'h', 'c', 't']);
      for (const [name, expected] of smallTensors()) {
        const { dtype, shape, data } = tensors.get(name) as TensorEntry;
        expect({ dtype, shape, data: [...data] }).to.deep.equal({ ...expected, data: [...expected.data] });
      }
      expect(Array.from(new Float32Array((tensors.get('b') as TensorEntry).data.buffer))).to.deep.equal([1.5, -2]);
    });

    it('returns every tensor and all metadata that were written, bit for bit', () => {
      fc.assert(
        fc.property(anyTensors, anyMetadata, (written, metadata) => {
          const bytes = writeSafetensors(file, written, metadata);
          const read = readSafetensors(file);
          expect(read.fileBytes).to.equal(bytes);
          expect(Object.entries(read.metadata).sort()).to.deep.equal(Object.entries(metadata).sort());
          expect([...read.tensors.keys()].sort()).to.deep.equal([...written.keys()].sort());
          for (const [name, entry] of written) expect({ ...read.tensors.get(name) }).to.deep.equal(entry);
        }),
        { numRuns: 60 },
      );
    });

    it('refuses every truncation of a file, and bytes after its end', () => {
      for (let length = 0; length < REFERENCE_FILE.length; length++) rejection(REFERENCE_FILE.subarray(0, length));
      expect(rejection(Buffer.concat([REFERENCE_FILE, Buffer.alloc(1)]))).to.match(
        /expected 43 bytes after the header, got 44/,
      );
    });

    it('never crashes, hangs or leaves the file on damaged headers', () => {
      const flip = fc.record({ at: fc.nat(7 + REFERENCE_HEADER.length), bit: fc.nat(7) });
      fc.assert(
        fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), (flips) => {
          const bytes = Buffer.from(REFERENCE_FILE);
          for (const { at, bit } of flips) bytes[at] = (bytes[at] as number) ^ (1 << bit);
          writeFileSync(file, bytes);
          try {
            // A damaged name or metadata can go unnoticed: then the tensors still cover exactly the data.
            const { tensors } = readSafetensors(file);
            const all = [...tensors.values()].map(({ data, dtype, shape }) => {
              expect(data.byteLength).to.equal(shape.reduce((product, dimension) => product * dimension, SIZES[dtype]));
              return Buffer.from(data);
            });
            expect(Buffer.concat(all).toString('hex')).to.equal(REFERENCE_DATA);
          } catch (error) {
            expect(error).to.be.instanceOf(TersorError).with.property('code', 'ERR_TERSOR_CORRUPT_FILE');
          }
        }),
        { numRuns: 1500 },
      );
    });

    it('refuses a header length beyond the file or beyond 100 MB, however large', () => {
      expect(rejection(fileOf('{}', undefined, 3n))).to.match(/header of at most 2 bytes, got 3/);
      for (const length of [2n ** 31n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])
        expect(rejection(fileOf('{}', undefined, length))).to.include(`got ${length}`);
      writeFileSync(file, fileOf('{}', undefined, 100_000_001n));
      truncateSync(file, 200_000_000);
      expect(errorOf(() => readSafetensors(file)).message).to.match(/header of at most 100000000 bytes, got 100000001/);
    });

    it('refuses a header that is not one JSON object in UTF-8', () => {
      expect(rejection(fileOf(''))).to.include("starts with '{'");
      expect(rejection(fileOf('[]'))).to.include("starts with '{'");
      expect(rejection(fileOf(' {}'))).to.include("starts with '{'");
      expect(rejection(fileOf('\uFEFF{}'))).to.include("starts with '{'");
      expect(rejection(fileOf(Buffer.from('7b22ff223a317d', 'hex')))).to.include('UTF-8');
      expect(rejection(fileOf('{"w":'))).to.include('JSON');
      expect(rejection(fileOf('{} {}'))).to.include('JSON');
      expect(rejection(fileOf(`{"w":${'['.repeat(100000)}`))).to.include('JSON');
    });

    it('refuses repeated names, in the header and within an entry, also when they are escaped differently', () => {
      const info = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
      expect(rejection(fileOf(`{"w":${info},"w":${info}}`))).to.include('got "w" twice');
      expect(rejection(fileOf(`{"w":${info},"\\u0077":${info}}`))).to.include('got "w" twice');
      expect(rejection(fileOf('{"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'))).to.include(
        'got "dtype" twice',
      );
      writeFileSync(file, fileOf(`{"a\\"":${info},"dtype":${info},"\\\\":${info}}`));
      expect([...readSafetensors(file).tensors.keys()].sort()).to.deep.equal(['\\', 'a"', 'dtype'].sort());
    });

    it('refuses lying entries, and says which tensor, what was expected and what was found', () => {
      expect(tensorRejection('7')).to.match(/object with dtype, shape and data_offsets, got 7, at tensor "w" in /);
      expect(tensorRejection('{"dtype":"F4","shape":[2],"data_offsets":[0,8]}')).to.match(
        /a dtype of .*F32.*, got "F4", at tensor "w"/,
      );
      expect(tensorRejection('{"shape":[2],"data_offsets":[0,8]}')).to.include('got nothing');
      expect(tensorRejection('{"dtype":"F32","shape":2,"data_offsets":[0,8]}')).to.match(/a shape .*, got 2/);
      expect(tensorRejection('{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}')).to.include('got [-2]');
      expect(tensorRejection('{"dtype":"F32","shape":[1e300,0],"data_offsets":[0,0]}')).to.include('got [1e+300,0]');
      expect(tensorRejection('{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}')).to.include(
        'exact integer',
      );
      expect(tensorRejection('{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}')).to.include(
        'data_offsets [begin, end]',
      );
      expect(tensorRejection('{"dtype":"F32","shape":[2],"data_offsets":[8,0]}')).to.include('0 <= begin <= end');
      expect(tensorRejection('{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}')).to.include('0 <= begin <= end');
      expect(tensorRejection('{"dtype":"F32","shape":[2],"data_offsets":["0",8]}')).to.include('0 <= begin <= end');
      expect(tensorRejection('{"dtype":"F32","shape":[3],"data_offsets":[0,8]}')).to.match(
        /expected 12 bytes for F32 \[3\], got data_offsets \[0,8\] \(8 bytes\)/,
      );
      expect(tensorRejection('{"dtype":"F32","shape":[4],"data_offsets":[0,16]}')).to.include(
        'expected at least 16 bytes after the header, got 8 (truncated)',
      );
      expect(tensorRejection('{"dtype":"F32","shape":[1],"data_offsets":[4,8]}')).to.include(
        'begin at 0 (no hole, no overlap), got 4',
      );
      expect(tensorRejection('{"dtype":"F32","shape":[1],"data_offsets":[0,4]}')).to.include(
        'expected 4 bytes after the header, got 8',
      );
    });

    it('refuses holes and overlaps between tensors, and takes any order of names', () => {
      const two = (first: string, second: string) =>
        fileOf(
          `{"b":{"dtype":"U8","shape":[4],"data_offsets":${second}},"a":{"dtype":"U8","shape":[4],"data_offsets":${first}}}`,
          new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
        );
      expect(rejection(two('[0,4]', '[2,6]'))).to.match(/begin at 4 .*got 2, at tensor "b"/);
      expect(rejection(two('[0,4]', '[5,9]'))).to.match(/begin at 4 .*got 5, at tensor "b"/);
      expect(rejection(two('[0,4]', '[0,4]'))).to.match(/begin at 4 .*got 0, at tensor "[ab]"/);
      writeFileSync(file, two('[0,4]', '[4,8]'));
      expect([...readSafetensors(file).tensors].map(([name, { data }]) => [name, ...data])).to.deep.equal([
        ['a', 1, 2, 3, 4],
        ['b', 5, 6, 7, 8],
      ]);
    });

    it('refuses metadata that is not text, and keeps a key named __proto__', () => {
      expect(rejection(fileOf('{"__metadata__":7}'))).to.match(/an object of strings as __metadata__, got 7/);
      expect(rejection(fileOf('{"__metadata__":{"a":"b","k":null}}'))).to.match(
        /a string, got null, at __metadata__ "k"/,
      );
      writeFileSync(file, fileOf('{"__metadata__":{"__proto__":"x"}}'));
      expect(Object.entries(readSafetensors(file).metadata)).to.deep.equal([['__proto__', 'x']]);
    });

    it('shortens and escapes what a hostile file puts into an error message', () => {
      const message = rejection(fileOf(`{"\\u001b[31m${'x'.repeat(10000)}":7}`));
      expect(message.length).to.be.below(file.length + 300);
      expect(message).to.not.include('\u001b');
    });

    it('opens a 4 TB file without reading it, reads beyond it, and reports a tensor larger than the memory', () => {
      const size = 2 ** 42;
      const header = `{"big":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]},"end":{"dtype":"U8","shape":[4],"data_offsets":[${size},${size + 4}]}}`;
      writeFileSync(file, fileOf(header));
      truncateSync(file, 8 + header.length + size + 4);
      const before = process.memoryUsage().arrayBuffers;
      const { tensors } = readSafetensors(file);
      expect([...(tensors.get('end') as TensorEntry).data]).to.deep.equal([0, 0, 0, 0]);
      expect(process.memoryUsage().arrayBuffers - before).to.be.below(2 ** 20);
      expect(errorOf(() => tensors.get('big')?.data).code).to.equal('ERR_TERSOR_OUT_OF_MEMORY');
    });

    it('refuses to read tensors from a file that was replaced or cut after it was opened', () => {
      writeSafetensors(file, smallTensors());
      const { tensors } = readSafetensors(file);
      writeSafetensors(file, smallTensors());
      expect(errorOf(() => tensors.get('a')?.data)).to.have.property('code', 'ERR_TERSOR_IO');
      const again = readSafetensors(file).tensors;
      truncateSync(file, 20);
      expect(errorOf(() => again.get('a')?.data).message).to.match(
        /expected the file that was opened, got a newer one, at tensor "a"/,
      );
    });

    it('reports a missing file, a folder and a pipe as such', () => {
      const folder = path.dirname(file);
      spawnSync('mkfifo', [path.join(folder, 'pipe')]);
      for (const [name, got] of [
        ['none', 'ENOENT'],
        ['.', 'a folder'],
        ['pipe', 'a device, pipe or socket'],
      ] as const) {
        const error = errorOf(() => readSafetensors(path.join(folder, name)));
        expect(error.code).to.equal('ERR_TERSOR_IO');
        expect(error.message).to.include(got);
      }
    });
  });

  describe('files made by others', () => {
    const files: [folder: string, name: string, tensor: string, shape: number[]][] = [
      ['data/ncf-ml-1m', 'gmf.safetensors', 'item_embedding.weight', [3706, 8]],
      ['vectors', 'torch.safetensors', 'block.x', [2, 7, 24]],
      ['vectors', 'layer-256.safetensors', 'hessian_heldout', [256, 256]],
    ];
    for (const [folder, name, tensor, shape] of files) {
      withShared([...folder.split('/'), name], (shared) => {
        it(`reads ${name} and writes the same tensors back`, () => {
          const original = readSafetensors(shared);
          const { dtype, shape: found, data } = original.tensors.get(tensor) as TensorEntry;
          expect({ dtype, shape: found }).to.deep.equal({ dtype: 'F32', shape });
          const values = new Float32Array(data.buffer);
          expect(values.every(Number.isFinite)).to.equal(true);
          expect(values.some((value) => value !== 0)).to.equal(true);
          writeSafetensors(file, original.tensors, original.metadata);
          const copy = readSafetensors(file);
          expect(copy.metadata).to.deep.equal(original.metadata);
          expect(copy.tensors.size).to.equal(original.tensors.size);
          for (const [key, entry] of original.tensors) expect({ ...copy.tensors.get(key) }).to.deep.equal({ ...entry });
        });
      });
    }
  });
});
