import { expect } from 'chai';
import { type ClassificationData, checkClassification, selectExamples } from '../../lib/data/classification';
import { loadClassification, saveClassification } from '../../lib/data/classification-file';
import { type TensorEntry, writeSafetensors } from '../../lib/formats/safetensors';
import { temporaryFolder } from './temporary-folder';

const train: ClassificationData = {
  inputs: Float32Array.from([0, 0.5, -1, 2, 1e-30, 3]),
  labels: Int32Array.from([0, 2, 1]),
  features: 2,
  classes: 4,
};
const test: ClassificationData = { ...train, inputs: Float32Array.from([7, 8]), labels: Int32Array.from([2]) };

const bytes = (array: Float32Array | Int32Array | BigInt64Array | Uint8Array) => new Uint8Array(array.buffer);
const floats = (shape: number[], ...values: number[]): TensorEntry => ({
  dtype: 'F32',
  shape,
  data: bytes(Float32Array.from(values)),
});
const wide = (shape: number[], ...values: bigint[]): TensorEntry => ({
  dtype: 'I64',
  shape,
  data: bytes(BigInt64Array.from(values)),
});
const octets = (shape: number[], ...values: number[]): TensorEntry => ({
  dtype: 'U8',
  shape,
  data: Uint8Array.from(values),
});

/** Everything right; each test of a refusal breaks one entry. */
const sound = {
  'train.inputs': floats([2, 1, 2], 1, 2, 3, 4),
  'train.labels': wide([2], 0n, 1n),
  'test.inputs': octets([1, 2], 0, 51),
  'test.labels': octets([1], 1),
};

describe('classification data', () => {
  const folder = temporaryFolder();
  const file = (entries: Record<string, TensorEntry | undefined>, metadata = {}) => {
    const kept = Object.entries({ ...sound, ...entries }).filter(
      (entry): entry is [string, TensorEntry] => entry[1] !== undefined,
    );
    writeSafetensors(folder.path('data.safetensors'), kept, metadata);
    return folder.path('data.safetensors');
  };
  const refuses = (entries: Record<string, TensorEntry | undefined>, text: string, metadata = {}) =>
    expect(() => loadClassification(file(entries, metadata)))
      .to.throw(text)
      .with.property('code', 'ERR_TERSOR_DATA');

  it('comes back from its file bit for bit, classes that no example has included', () => {
    const path = folder.path('saved.safetensors');
    saveClassification(path, { train, test });
    expect(loadClassification(path)).to.deep.equal({ train, test });
  });

  it('stores pixels in a byte each without loss, and refuses what is no pixel', () => {
    const pixels: ClassificationData = {
      inputs: Float32Array.from({ length: 256 }, (_, i) => i / 255),
      labels: new Int32Array(1),
      features: 256,
      classes: 1,
    };
    const path = folder.path('pixels.safetensors');
    const small = saveClassification(path, { train: pixels, test: pixels }, { inputs: 'u8' });
    expect(loadClassification(path).train.inputs).to.deep.equal(pixels.inputs);
    expect(saveClassification(path, { train: pixels, test: pixels }) - small).to.be.greaterThan(2 * 3 * 256 - 64);
    for (const value of [0.5, -1 / 255, 256 / 255]) {
      const wrong = { ...pixels, inputs: pixels.inputs.map((pixel, i) => (i === 9 ? value : pixel)) };
      expect(() => saveClassification(path, { train: wrong, test: pixels }, { inputs: 'u8' }))
        .to.throw('train.inputs[0, 9]')
        .with.property('code', 'ERR_TERSOR_DATA');
    }
  });

  it('reads images of several dimensions, bytes as multiples of 1/255, labels of 8 and 64 bits', () => {
    const sets = loadClassification(file({}));
    expect(sets.train).to.deep.equal({
      inputs: Float32Array.from([1, 2, 3, 4]),
      labels: Int32Array.from([0, 1]),
      features: 2,
      classes: 2,
    });
    expect(sets.test.inputs).to.deep.equal(Float32Array.from([0, 0.2]));
  });

  it('refuses a missing tensor by name', () => {
    refuses({ 'test.labels': undefined }, "expected a tensor named 'test.labels'");
  });

  it('refuses an empty part', () => {
    refuses({ 'test.inputs': floats([0, 2]), 'test.labels': wide([0]) }, 'expected at least 1 example, got 0');
    refuses({ 'test.inputs': floats([1, 0]) }, 'expected 2 features');
  });

  it('refuses labels that are too many, negative, beyond the classes or beyond 32 bits', () => {
    refuses({ 'train.labels': wide([3], 0n, 1n, 1n) }, 'expected shape [2], got [3]');
    refuses({ 'train.labels': wide([2], 0n, -1n) }, 'train.labels[1]');
    refuses({ 'train.labels': wide([2], 0n, 2n ** 32n) }, 'expected a label in 32 bits, got 4294967296');
    refuses({ 'train.labels': wide([2], 0n, 7n) }, 'expected a label in 0..6, got 7', { classes: '7' });
  });

  it('refuses NaN and infinity with row and column', () => {
    refuses({ 'train.inputs': floats([2, 2], 1, 2, 3, Number.NaN) }, 'expected a finite input, got NaN, at ');
    refuses({ 'train.inputs': floats([2, 2], 1, 2, Number.NEGATIVE_INFINITY, 4) }, 'train.inputs[1, 0]');
  });

  it('refuses other dtypes, a vector as inputs and parts that differ in features', () => {
    refuses({ 'train.inputs': wide([2, 2], 1n, 2n, 3n, 4n) }, 'expected F32 or U8, got I64');
    refuses({ 'train.labels': floats([2], 0, 1) }, 'expected I64, I32 or U8, got F32');
    refuses({ 'train.inputs': floats([2], 0, 1) }, 'expected shape [n, …], got [2]');
    refuses({ 'test.inputs': octets([1, 3], 0, 1, 2) }, 'expected 2 features as in train.inputs, got 3');
  });

  it('refuses a number of classes that is none', () => {
    for (const classes of ['0', '-3', 'ten', '1e3', '']) refuses({}, 'metadata.classes', { classes });
  });

  it('does not write parts that do not belong together, or broken ones', () => {
    const path = folder.path('never.safetensors');
    for (const wrong of [
      { ...test, classes: 3 },
      { ...test, features: 1 },
      { ...test, inputs: Float32Array.from([1, Number.NaN]) },
    ]) {
      expect(() => saveClassification(path, { train, test: wrong }))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_DATA');
    }
    expect(() => loadClassification(path))
      .to.throw()
      .with.property('code', 'ERR_TERSOR_IO');
  });

  it('refuses inputs that are not labels x features', () => {
    expect(() => checkClassification({ ...train, inputs: new Float32Array(5) }, 'toy')).to.throw(
      'expected 6 inputs (3 labels x 2 features), got 5, at toy',
    );
  });

  it('selects examples in the given order, repeated ones too, and refuses an index outside', () => {
    const picked = selectExamples(train, [2, 0, 2]);
    expect(picked.inputs).to.deep.equal(Float32Array.from([1e-30, 3, 0, 0.5, 1e-30, 3]));
    expect(picked.labels).to.deep.equal(Int32Array.from([1, 0, 1]));
    for (const index of [3, -1, 0.5, Number.NaN]) {
      expect(() => selectExamples(train, [0, index]))
        .to.throw(`expected an index in 0..2, got ${index}, at indices[1]`)
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});
