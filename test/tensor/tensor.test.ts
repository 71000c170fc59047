import { expect } from 'chai';
import fc from 'fast-check';
import { type ErrorCode, TersorError } from '../../lib/errors';
import { DTYPES, type DType } from '../../lib/native';
import { empty, full, memory, type Tensor, tensor, tidy, zeros } from '../../lib/tensor';
import { expectNoLeaks } from './leaks';

function throwsCode(body: () => unknown, code: ErrorCode): void {
  expect(body).to.throw(TersorError).with.property('code', code);
}

const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 });
const sizeOf = (shape: readonly number[]) => shape.reduce((product, dimension) => product * dimension, 1);

/** The nested arrays that hold `values` in this shape. */
function nest(values: readonly number[], [rows, ...rest]: readonly number[]): unknown {
  if (rows === undefined) return values[0];
  const stride = sizeOf(rest);
  return Array.from({ length: rows }, (_, i) => nest(values.slice(i * stride, (i + 1) * stride), rest));
}

describe('Tensor', () => {
  const usedBefore = expectNoLeaks();

  it('gives back the numbers it was made of, for any shape up to rank 4', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i / 3);
        using x = tensor(values, shape);
        expect({ shape: x.shape, size: x.size, bytes: x.bytes }).to.deep.equal({
          shape,
          size: values.length,
          bytes: values.byteLength,
        });
        expect(x.toArray()).to.deep.equal(values);
      }),
    );
  });

  it('infers the shape of nested rows', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), (shape) => {
        const values = Array.from({ length: sizeOf(shape) }, (_, i) => i);
        using x = tensor(nest(values, shape) as number[]);
        expect(x.shape).to.deep.equal(shape);
        expect([...x.toArray()]).to.deep.equal(values);
      }),
    );
    tidy(() => {
      expect(tensor([]).shape).to.deep.equal([0]);
      expect(tensor([[], []]).shape).to.deep.equal([2, 0]);
      expect(tensor([5], []).item()).to.equal(5);
    });
  });

  it('takes its dtype from the typed array', () => {
    const cases: [Parameters<typeof tensor>[0], DType][] = [
      [Float32Array.of(1.5), 'f32'],
      [Float64Array.of(1.5), 'f32'],
      [Int8Array.of(-1), 'i8'],
      [Uint8Array.of(255), 'u8'],
      [Uint8ClampedArray.of(255), 'u8'],
      [Int16Array.of(-300), 'i32'],
      [Int32Array.of(-7), 'i32'],
      [Uint32Array.of(2 ** 32 - 1), 'u32'],
      [BigInt64Array.of(-5n), 'i64'],
    ];
    for (const [data, dtype] of cases) {
      using x = tensor(data);
      expect(x.dtype).to.equal(dtype);
      expect(x.item()).to.equal(Number((data as Float32Array)[0]));
    }
  });

  it('keeps raw bits of f16, bf16 and packed rows', () => {
    tidy(() => {
      const half = tensor(Uint16Array.of(0x3e00, 0xc000), [2], { dtype: 'f16' }); // 1.5, -2
      expect([...half.cast('f32').toArray()]).to.deep.equal([1.5, -2]);
      expect(half.toArray()).to.deep.equal(Uint16Array.of(0x3e00, 0xc000));
      const brain = tensor(Uint16Array.of(0x3fc0), [1], { dtype: 'bf16' });
      expect(brain.item()).to.equal(1.5);
      const packed = tensor(Uint8Array.of(0b10_01_00_11, 0b01, 0b00_11_10_01, 0b10), [2, 5], { dtype: 'u2' });
      expect(packed.bytes).to.equal(4);
      expect(packed.toArray()).to.deep.equal(Uint8Array.of(0b10_01_00_11, 0b01, 0b00_11_10_01, 0b10));
      expect(tensor(Uint8Array.of(0b1111_0101), [1], { dtype: 'u3' }).item()).to.equal(0b101);
    });
  });

  it('refuses rows of unequal length, mixed nesting, and counts that do not fit the shape', () => {
    throwsCode(() => tensor([[1, 2], [3]]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => tensor([[1], 2] as unknown as number[][]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => tensor([1, [2]] as unknown as number[]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => tensor([1, 2], [3]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => tensor(new Float32Array(4), [2, 3]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => tensor(new Uint8Array(3), [2, 5], { dtype: 'u2' }), 'ERR_TERSOR_SHAPE');
    throwsCode(() => tensor([[[[[1]]]]] as unknown as number[]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => empty([2, -1]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => empty([1, 1, 1, 1, 1]), 'ERR_TERSOR_SHAPE');
    throwsCode(() => empty(Array(1e6)), 'ERR_TERSOR_SHAPE');
    for (const shape of [null, undefined, 3, '3', {}, { length: 1, 0: 1 }, new Int32Array(2)]) {
      throwsCode(() => empty(shape as unknown as number[]), 'ERR_TERSOR_INVALID_ARGUMENT');
    }
    expect(() => tensor([1, 2], [3])).to.throw('expected 3 elements for shape [3], got 2');
  });

  it('refuses data that its dtype cannot hold', () => {
    throwsCode(() => tensor([128], [1], { dtype: 'i8' }), 'ERR_TERSOR_OUT_OF_RANGE');
    throwsCode(() => tensor([-1], [1], { dtype: 'u32' }), 'ERR_TERSOR_OUT_OF_RANGE');
    throwsCode(() => tensor([0.5], [1], { dtype: 'i32' }), 'ERR_TERSOR_OUT_OF_RANGE');
    throwsCode(() => tensor([Number.NaN], [1], { dtype: 'i64' }), 'ERR_TERSOR_OUT_OF_RANGE');
    throwsCode(() => tensor(['1'] as unknown as number[]), 'ERR_TERSOR_INVALID_ARGUMENT');
    throwsCode(() => tensor([null] as unknown as number[]), 'ERR_TERSOR_INVALID_ARGUMENT');
    throwsCode(() => tensor({ length: 1 } as unknown as number[]), 'ERR_TERSOR_INVALID_ARGUMENT');
    throwsCode(() => tensor(Uint16Array.of(1)), 'ERR_TERSOR_DTYPE');
    throwsCode(() => tensor([1], [1], { dtype: 'u4' }), 'ERR_TERSOR_DTYPE');
    throwsCode(() => tensor(BigInt64Array.of(1n), [1], { dtype: 'f32' }), 'ERR_TERSOR_DTYPE');
    expect(() => empty([1], 'f64' as DType)).to.throw(TersorError);
  });

  it('converts numbers to the dtype that is asked for', () => {
    tidy(() => {
      expect([...tensor([1, -2], [2], { dtype: 'i64' }).toArray()]).to.deep.equal([1n, -2n]);
      expect([...tensor(Int32Array.of(1, 2), [2], { dtype: 'f32' }).toArray()]).to.deep.equal([1, 2]);
      expect(tensor([0.1], [1], { dtype: 'bf16' }).item()).to.be.closeTo(0.1, 0.1 / 256);
    });
  });

  it('is zero or one value everywhere, for every dtype that has values', () => {
    for (const dtype of DTYPES) {
      using x = zeros([2, 3], dtype);
      expect([...x.toArray()].every((value) => Number(value) === 0)).to.equal(true);
      if (/u[1-4]$/.test(dtype)) throwsCode(() => full([2, 3], 1, dtype), 'ERR_TERSOR_DTYPE');
      else {
        using one = full([1], 3, dtype);
        expect(one.item()).to.equal(3);
      }
    }
    throwsCode(() => full([1], Number.NaN, 'i8'), 'ERR_TERSOR_NOT_FINITE');
    using saturated = full([1], 300, 'u8');
    expect(saturated.item()).to.equal(255);
  });

  it('casts with round half to even, and saturates integers', () => {
    tidy(() => {
      const x = tensor([0.5, 1.5, 2.5, -0.5, 1000, -1000]);
      expect([...x.cast('i8').toArray()]).to.deep.equal([0, 2, 2, 0, 127, -128]);
      expect([...x.cast('u8').toArray()]).to.deep.equal([0, 2, 2, 0, 255, 0]);
      expect([...x.cast('i32').cast('i8').toArray()]).to.deep.equal([0, 2, 2, 0, 127, -128]);
      expect([...x.cast('f32').toArray()]).to.deep.equal([...x.toArray()]);
      throwsCode(() => x.cast('i64'), 'ERR_TERSOR_DTYPE');
      throwsCode(() => zeros([1], 'u2').cast('f32'), 'ERR_TERSOR_DTYPE');
    });
  });

  it('shares memory when reshaped, copies when cloned', () => {
    tidy(() => {
      const x = tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]);
      const y = x.reshape([3, 2]);
      const z = x.clone();
      y.write(Float32Array.of(6, 5, 4, 3, 2, 1));
      expect([...x.toArray()]).to.deep.equal([6, 5, 4, 3, 2, 1]);
      expect([...z.toArray()]).to.deep.equal([1, 2, 3, 4, 5, 6]);
      x.dispose();
      expect(y.toArray()[0]).to.equal(6);
      throwsCode(() => y.reshape([4]), 'ERR_TERSOR_SHAPE');
      throwsCode(() => y.copyFrom(zeros([6])), 'ERR_TERSOR_SHAPE');
      throwsCode(() => y.copyFrom(zeros([3, 2], 'i32')), 'ERR_TERSOR_DTYPE');
      throwsCode(() => zeros([2, 3], 'u3').reshape([3, 2]), 'ERR_TERSOR_SHAPE');
    });
  });

  it('is written from arrays of its own kind or from raw bytes', () => {
    tidy(() => {
      const x = zeros([2]);
      x.write(new Uint8Array(Float32Array.of(1, 2).buffer));
      expect([...x.toArray()]).to.deep.equal([1, 2]);
      throwsCode(() => x.write(Int32Array.of(1, 2)), 'ERR_TERSOR_DTYPE');
      throwsCode(() => x.write([1, 2] as unknown as Float32Array), 'ERR_TERSOR_DTYPE');
      throwsCode(() => x.write(new Float32Array(3)), 'ERR_TERSOR_SHAPE');
    });
  });

  it('has an item only when it has one element, and only an exact one', () => {
    tidy(() => {
      throwsCode(() => zeros([2]).item(), 'ERR_TERSOR_SHAPE');
      throwsCode(() => zeros([0]).item(), 'ERR_TERSOR_SHAPE');
      expect(zeros([1, 1, 1, 1]).item()).to.equal(0);
      throwsCode(() => tensor(BigInt64Array.of(2n ** 60n)).item(), 'ERR_TERSOR_OUT_OF_RANGE');
    });
  });

  it('cannot be used after dispose, but can be disposed of again', () => {
    const x = tensor([1, 2]);
    using other = zeros([2]);
    x.dispose();
    x.dispose();
    expect(x.disposed).to.equal(true);
    const uses: ((t: Tensor) => unknown)[] = [
      (t) => t.toArray(),
      (t) => t.reshape([2, 1]),
      (t) => t.clone(),
      (t) => t.cast('i8'),
      (t) => t.write(new Float32Array(2)),
      (t) => t.copyFrom(other),
      (t) => other.copyFrom(t),
    ];
    for (const use of uses) throwsCode(() => use(x), 'ERR_TERSOR_DISPOSED');
  });

  it('does not share its shape with the caller', () => {
    const shape = [2, 3];
    using x = zeros(shape);
    shape[0] = 9;
    expect(x.shape).to.deep.equal([2, 3]);
    expect(() => (x.shape as number[]).push(1)).to.throw(TypeError);
  });

  it('leaves memory as it was after 10,000 lives', () => {
    for (let i = 0; i < 10_000; i++) {
      const x = zeros([i % 7, 5], i % 2 ? 'f32' : 'u4');
      x.reshape([i % 7, 5]).dispose();
      x[Symbol.dispose]();
    }
    expect(memory()).to.deep.equal(usedBefore());
  });
});
