import { expect } from 'chai';
import fc from 'fast-check';
import { TersorError } from '../../lib/errors';
import { DTYPES, type NativeTensor, native } from '../../lib/native';
import { expectNoLeaks } from '../tensor/leaks';

const create = native.create as (dtype: unknown, device: unknown, ...shape: unknown[]) => NativeTensor;
const write = native.write as (x: NativeTensor, source: unknown) => void;
const read = native.read as (x: NativeTensor, target: unknown) => void;

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    expect(error).to.be.instanceOf(TersorError);
    return (error as TersorError).code;
  }
  return 'no error';
}

describe('native memory', () => {
  const usedBefore = expectNoLeaks();

  it('holds exactly the bytes of the shape, for every dtype', () => {
    const bits = [32, 16, 16, 8, 8, 32, 32, 64, 1, 2, 3, 4];
    const dimension = fc.integer({ min: 0, max: 9 });
    const property = fc.property(
      fc.nat({ max: DTYPES.length - 1 }),
      fc.array(dimension, { maxLength: 4 }),
      (dtype, shape) => {
        const columns = shape.at(-1) ?? 1;
        const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
        const bytes = rows * Math.ceil((columns * (bits[dtype] as number)) / 8);
        const x = native.create(dtype, 'cpu', ...shape);
        const source = Uint8Array.from({ length: bytes }, (_, i) => i * 37);
        const target = new Uint8Array(bytes);
        native.write(x, source);
        native.read(x, target);
        expect(target).to.deep.equal(source);
        expect(native.memory().bytes - usedBefore().bytes).to.equal(bytes);
        expect(codeOf(() => write(x, new Uint8Array(bytes + 1)))).to.equal('ERR_TERSOR_SHAPE');
        native.release(x);
      },
    );
    fc.assert(property);
  });

  it('refuses every other dtype, shape and device', () => {
    for (const dtype of [-1, 12, 1e9, 0.5, Number.NaN, '0', null, undefined, {}]) {
      expect(
        codeOf(() => create(dtype, 'cpu', 1)),
        `dtype ${String(dtype)}`,
      ).to.match(/INVALID_ARGUMENT|OUT_OF_RANGE/);
    }
    for (const dimension of [-1, 1.5, Number.NaN, 2 ** 53, Infinity]) {
      expect(
        codeOf(() => create(0, 'cpu', 1, dimension)),
        String(dimension),
      ).to.equal('ERR_TERSOR_SHAPE');
    }
    for (const dimension of [null, undefined, '3', {}, [3], new Int32Array(2), 1n]) {
      expect(
        codeOf(() => create(0, 'cpu', 1, dimension)),
        typeof dimension,
      ).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    }
    expect(codeOf(() => create(0, 'cpu', 1, 1, 1, 1, 1))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    for (const device of ['cuda', 'gpu', '', 'cpu\0']) {
      expect(
        codeOf(() => create(0, device, 1)),
        device,
      ).to.equal('ERR_TERSOR_DEVICE');
    }
    for (const device of [null, 1, 'x'.repeat(1e6)]) {
      expect(codeOf(() => create(0, device, 1))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    }
  });

  it('refuses sizes whose product overflows, also beside a dimension of 0', () => {
    const huge = 2 ** 52;
    expect(codeOf(() => create(0, 'cpu', huge, huge))).to.equal('ERR_TERSOR_SHAPE');
    expect(codeOf(() => create(0, 'cpu', huge, huge, huge, huge))).to.equal('ERR_TERSOR_SHAPE');
    expect(codeOf(() => create(0, 'cpu', 0, huge, huge))).to.equal('ERR_TERSOR_SHAPE');
    expect(codeOf(() => create(0, 'cpu', huge))).to.equal('ERR_TERSOR_OUT_OF_MEMORY');
    expect(codeOf(() => create(7, 'cpu', 2 ** 53 - 1))).to.equal('ERR_TERSOR_OUT_OF_MEMORY');
  });

  it('refuses detached, shared, misfit and foreign views', () => {
    const x = native.create(0, 'cpu', 4);
    const detached = new Float32Array(4);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    const shared = new Float32Array(new SharedArrayBuffer(16));
    for (const access of [write, read]) {
      for (const view of [detached, shared, null, undefined, 4, 'four', {}, [1, 2, 3, 4], new ArrayBuffer(16)]) {
        expect(codeOf(() => access(x, view))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
      }
      for (const view of [
        new Float32Array(3),
        new Float64Array(4),
        new Uint8Array(0),
        new DataView(new ArrayBuffer(8)),
      ]) {
        expect(codeOf(() => access(x, view))).to.equal('ERR_TERSOR_SHAPE');
      }
    }
    const empty = native.create(0, 'cpu', 0);
    expect(codeOf(() => write(empty, detached))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    native.release(empty);
    native.release(x);
    expect(codeOf(() => write(x, new Float32Array(4)))).to.equal('ERR_TERSOR_DISPOSED');
  });

  it('reads and writes through any view of the right length, at any offset', () => {
    const x = native.create(0, 'cpu', 2);
    const odd = new Uint8Array(Uint8Array.of(9, ...new Uint8Array(Float32Array.of(1.5, -2).buffer)).buffer, 1);
    native.write(x, odd);
    const target = new DataView(new ArrayBuffer(8));
    native.read(x, target);
    expect([target.getFloat32(0, true), target.getFloat32(4, true)]).to.deep.equal([1.5, -2]);
    native.release(x);
  });

  it('is shared by reshaped handles and freed with the last of them', () => {
    const x = native.create(0, 'cpu', 2, 3);
    const y = native.reshape(x, 6);
    expect(native.memory()).to.deep.equal({
      buffers: usedBefore().buffers + 1,
      bytes: usedBefore().bytes + 24,
      tensors: usedBefore().tensors + 2,
    });
    native.release(x);
    native.release(x);
    native.write(y, new Float32Array(6));
    expect(codeOf(() => native.reshape(y, 5))).to.equal('ERR_TERSOR_SHAPE');
    native.release(y);
  });
});
