import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { LinearOptions } from '../../lib/autograd';
import { writeSafetensors } from '../../lib/formats/safetensors';
import { philox } from '../../lib/random';
import { keep, memory, type Tensor, tensor, tidy } from '../../lib/tensor';
import { descriptorSchema, LowRank, restoreWeight, type StoredWeight, Sum, type Weight } from '../../lib/weights';
import { temporaryFolder } from '../data/temporary-folder';
import { expectClose, expectSameBits } from '../support/close';
import { CASES, type WeightCase } from './cases';
import { floatProduct, integerProduct, multipliesIntegers } from './reference';

const ROWS = 13;
const COLUMNS = 21;
/** Alone, in a short and a long group: the kernels take them differently. */
const BATCHES = [1, 3, 18];

/** Numbers of −1..1 of which a third are zero, the third row whole. */
function matrix(rows = ROWS, columns = COLUMNS, scale = 1): Tensor {
  const random = philox(7);
  const values = Float32Array.from({ length: rows * columns }, (_, i) => {
    const value = scale * (2 * random.uniform() - 1);
    return Math.floor(i / columns) === 2 || random.uniform() < 1 / 3 ? 0 : value;
  });
  return tensor(values, [rows, columns]);
}

function inputs(count: number, columns: number): Tensor {
  const random = philox(8);
  return tensor(
    Float32Array.from({ length: count * columns }, () => 2 * random.uniform() - 1),
    [count, columns],
  );
}

/** The weight, or those that it is made of, down to matrices. */
function partsOf(weight: Weight): Weight[] {
  if (weight instanceof LowRank) return [weight.left, weight.right];
  return weight instanceof Sum ? [weight.weight, weight.correction].flatMap(partsOf) : [weight];
}

/** Numbers that a representation of `values` holds. */
function heldBy({ kind, representation, shape: [rows = 0, columns = 0] }: Weight, values: Float32Array): number {
  if (kind === 'sparse') return values.filter((value) => value !== 0).length;
  // 21 columns are five groups of 4 and one of 1, or four groups of 5 and one of 1.
  if (kind === 'semi-structured') return rows * (representation.includes('2:4') ? 5 * 2 + 1 : 4 * 3 + 1);
  if (kind === 'block-sparse') return heldInBlocks(values, columns, /\dx4/.test(representation) ? 4 : 1);
  return rows * columns;
}

/** Elements of the blocks that are not all zero: of `width` columns each, as 13 rows are one panel. */
function heldInBlocks(values: Float32Array, columns: number, width: number): number {
  const held = new Set<number>();
  values.forEach((value, i) => {
    if (value !== 0) held.add(Math.floor((i % columns) / width));
  });
  return values.filter((_, i) => held.has(Math.floor((i % columns) / width))).length;
}

/** Matrices at the edges of what can be stored. */
const EDGES: Readonly<Record<string, () => Tensor>> = {
  'no rows': () => tensor([], [0, 7]),
  'one element': () => tensor([[-0.75]]),
  'all zero': () => tensor(new Float32Array(12), [3, 4]),
  'one column': () => matrix(9, 1),
  'one row': () => matrix(1, 9),
  'equal values': () => tensor(new Float32Array(15).fill(-2.5), [3, 5]),
  'only positive': () =>
    tensor(
      Float32Array.from({ length: 15 }, (_, i) => i + 1),
      [3, 5],
    ),
  'denormal values': () => matrix(5, 11, 1e-40),
  'huge values': () => matrix(5, 11, 8e37),
  'huge and tiny values in one row': () => tensor([[1e-38, 8e37, -1e-38, 0.5, -3e37]]),
};

describe('every representation of a weight', () => {
  const folder = temporaryFolder();
  for (const weightCase of CASES) {
    describe(weightCase.name, () => {
      let w: Tensor;
      let weight: Weight;

      before(() => {
        w = keep(matrix());
        weight = weightCase.make(w);
      });
      after(() => {
        weight.dispose();
        w.dispose();
      });

      it('has the shape and kind it was made with, and says what it is', () => {
        expect(weight.shape).to.deep.equal([ROWS, COLUMNS]);
        expect(weight.kind).to.equal(weightCase.kind);
        expect(weight.representation).to.be.a('string').that.is.not.empty;
      });

      it('multiplies as its dense form, with and without bias and ReLU', () => {
        for (const batch of BATCHES) tidy(() => checkProducts(weight, inputs(batch, COLUMNS)));
        tidy(() => expect(weight.matmul(tensor([], [0, COLUMNS])).shape).to.deep.equal([0, ROWS]));
      });

      it('gathers the rows of its dense form, bit for bit', () => tidy(() => checkGather(weight)));

      it('counts the bytes that it stores and that a file holds beside its header', () => {
        const stored = weight.store();
        const file = folder.path('weight.safetensors');
        const fileBytes = writeSafetensors(file, named(stored));
        const header = 8 + Number(readFileSync(file).readBigUInt64LE());
        expect(weight.bytes()).to.equal(fileBytes - header);
        expect(weight.bytes()).to.equal(
          [...stored.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0),
        );
      });

      it('counts parameters, nonzeros and multiply-accumulates', () => {
        for (const part of partsOf(weight)) {
          const [rows, columns] = part.shape as readonly [number, number];
          const values = tidy(() => part.dense().toArray() as Float32Array);
          const held = heldBy(part, values);
          expect(part.parameters(), 'parameters').to.equal(rows * columns);
          expect(part.nonzeros(), 'nonzeros').to.equal(held);
          expect(part.macs(), 'multiply-accumulates').to.equal(held);
        }
        const total = (count: (part: Weight) => number) => partsOf(weight).reduce((sum, part) => sum + count(part), 0);
        expect(weight.parameters()).to.equal(total((part) => part.parameters()));
        expect(weight.nonzeros()).to.equal(total((part) => part.nonzeros()));
        expect(weight.macs()).to.equal(total((part) => part.macs()));
      });

      it('is restored from what it stores: the same bytes and the same products', () =>
        tidy(() => checkRestored(weight)));

      it('trains and packs again to numbers at most a step away', () => {
        const trainable = weight.trainable();
        const packed = trainable.pack();
        expect(packed.kind).to.equal(weight.kind);
        expect(packed.representation).to.equal(weight.representation);
        const parts = partsOf(packed);
        for (const [i, part] of partsOf(weight).entries()) checkSteps(parts[i] as Weight, part);
        packed.dispose();
        trainable.dispose();
      });

      it('leaves nothing in memory but results, and after dispose nothing at all', () => {
        const before = memory();
        const live = weightCase.make(w);
        const x = inputs(5, COLUMNS);
        const ids = tensor(Int32Array.of(3, 0, 3));
        // A weight may lay itself out for the kernels at its first product.
        live.matmul(x).dispose();
        for (const compute of [() => live.matmul(x), () => live.gather(ids)]) {
          const held = memory().tensors;
          const y = compute();
          expect(memory().tensors - held, 'tensors beside the result').to.be.at.most(1);
          y.dispose();
        }
        const trainable = live.trainable();
        const held = memory().tensors;
        const packed = trainable.pack();
        packed.dispose();
        expect(memory().tensors - held, 'tensors beside the packed weight').to.be.at.most(0);
        trainable.dispose();
        live.dispose();
        x.dispose();
        ids.dispose();
        expectNoMore(before);
      });

      it('holds matrices at the edges of what can be stored', () => {
        for (const [name, make] of Object.entries(EDGES)) {
          try {
            tidy(() => checkEdge(weightCase, make()));
          } catch (cause) {
            throw new Error(`a matrix with ${name}: ${(cause as Error).message}`, { cause });
          }
        }
      });

      it('refuses NaN, infinity and ids outside it', () => {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          tidy(() => {
            const spoilt = tensor([
              [1, 2, 3],
              [4, bad, 6],
              [7, 8, 9],
            ]);
            expect(() => weightCase.make(spoilt))
              .to.throw()
              .with.property('code', 'ERR_TERSOR_NOT_FINITE');
          });
        }
        tidy(() => {
          for (const id of [-1, ROWS, 2 ** 31 - 1]) {
            expect(() => weight.gather(tensor(Int32Array.of(0, id))))
              .to.throw(`${id}`)
              .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
          }
          expect(() => weight.gather(tensor([1])))
            .to.throw()
            .with.property('code', 'ERR_TERSOR_DTYPE');
          expect(() => weight.matmul(inputs(2, COLUMNS + 1)))
            .to.throw()
            .with.property('code', 'ERR_TERSOR_SHAPE');
        });
      });
    });
  }
});

function checkEdge(weightCase: WeightCase, w: Tensor): void {
  const weight = weightCase.make(w);
  try {
    expect(weight.dense().shape).to.deep.equal(weight.shape);
    for (const value of weight.dense().toArray() as Float32Array) expect(value).to.satisfy(Number.isFinite);
    checkProducts(weight, inputs(5, w.shape[1] as number));
    checkGather(weight);
    checkRestored(weight);
  } finally {
    weight.dispose();
  }
}

function checkProducts(weight: Weight, x: Tensor): void {
  const rows = weight.shape[0] as number;
  const bias = tensor(Float32Array.from({ length: rows }, (_, i) => 0.3 * i - 1));
  const residual = inputs(x.shape[0] as number, rows);
  const all: LinearOptions[] = [
    {},
    { bias },
    { activation: 'relu' },
    { bias, activation: 'relu', residual },
    // The exact integer reference has no exponential of f32.
    ...(multipliesIntegers(weight) ? [] : [{ bias, activation: 'silu', residual } as const]),
  ];
  for (const options of all) {
    const y = weight.matmul(x, options);
    expect(y.shape).to.deep.equal([x.shape[0], rows]);
    const what = `matmul of ${weight.representation}, ${Object.keys(options).join(' and ') || 'plain'}`;
    if (multipliesIntegers(weight)) expectSameBits(y, tensor(integerProduct(weight, x, options), y.shape), what);
    else {
      const { values, tolerance } = floatProduct(weight, x, options);
      expectClose(y, values, tolerance, what);
    }
  }
}

function checkGather(weight: Weight): void {
  const [rows, columns] = weight.shape as readonly [number, number];
  const ids = Int32Array.from({ length: rows === 0 ? 0 : rows + 2 }, (_, i) => (i * 5 + rows - 1) % rows);
  const dense = weight.dense().toArray() as Float32Array;
  const expected = Float32Array.from({ length: ids.length * columns }, (_, i) => {
    const row = ids[Math.floor(i / columns)] as number;
    return dense[row * columns + (i % columns)] as number;
  });
  const what = `gather of ${weight.representation}`;
  expectSameBits(weight.gather(tensor(ids)), tensor(expected, [ids.length, columns]), what);
  expect(weight.gather(tensor(new Int32Array())).shape).to.deep.equal([0, columns]);
}

function checkRestored(weight: Weight): void {
  const stored = weight.store();
  const descriptor = stored.descriptor === null ? null : JSON.parse(JSON.stringify(stored.descriptor));
  const restored = restoreWeight('w', named(stored), descriptor === null ? null : descriptorSchema.parse(descriptor));
  try {
    expect(restored.kind).to.equal(weight.kind);
    expect(restored.representation).to.equal(weight.representation);
    expect(plain(restored.store())).to.deep.equal(plain(stored));
    const x = inputs(4, weight.shape[1] as number);
    expectSameBits(restored.matmul(x), weight.matmul(x), `restored ${weight.representation}`);
    expectSameBits(restored.dense(), weight.dense(), `restored ${weight.representation}, dense`);
  } finally {
    restored.dispose();
  }
}

/** A step is the distance between two codes; a weight without codes must not change at all. */
function checkSteps(packed: Weight, weight: Weight): void {
  const scales = weight.store().tensors.get('scales');
  const step = scales === undefined ? 0 : Math.max(...new Float32Array(scales.data.slice().buffer));
  const [after, before] = tidy(() => [packed, weight].map((each) => each.dense().toArray() as Float32Array));
  if (after === undefined || before === undefined) throw new Error('expected two weights');
  expectClose(after, before, step * (1 + 1e-6), `packed again: ${weight.representation}`);
  if (weight.kind === 'sparse') {
    expect(Array.from(after, (value) => value !== 0)).to.deep.equal(Array.from(before, (value) => value !== 0));
  }
}

function named({ tensors }: StoredWeight) {
  return new Map([...tensors].map(([blob, entry]) => [blob === '' ? 'w' : `w.${blob}`, entry]));
}

function plain({ tensors, descriptor }: StoredWeight) {
  const blobs = [...tensors].map(([name, { dtype, shape, data }]) => [
    name,
    dtype,
    [...shape],
    Buffer.from(data).toString('hex'),
  ]);
  return { blobs, descriptor };
}

/** Memory that others left to the collector may be gone meanwhile, but there must not be more. */
function expectNoMore(before: ReturnType<typeof memory>): void {
  const now = memory();
  expect(now.tensors, 'tensors').to.be.at.most(before.tensors);
  expect(now.buffers, 'buffers').to.be.at.most(before.buffers);
  expect(now.bytes, 'bytes').to.be.at.most(before.bytes);
}
