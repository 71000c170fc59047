import { statSync } from 'node:fs';
import { expect } from 'chai';
import { readSafetensors, type TensorEntry } from '../../lib/formats/safetensors';
import { loadModel, MODEL_KINDS, type Model, modelFileBytes, saveModel } from '../../lib/models';
import { temporaryFolder } from '../data/temporary-folder';
import { CASES, caseNamed } from '../weights/cases';
import { answers, MODELS, represented } from './samples';
import { bytes, type Change, expectRefused, poke, tampered } from './tampering';

const SPARSE_INT8 = caseNamed('sparse 8 bit symmetric per channel, int8 inputs');

describe('model files', () => {
  const folder = temporaryFolder();
  const file = () => folder.path('model.safetensors');
  const tamper = (model: Model, change: Change) => tampered(folder, model, change);

  for (const kind of MODEL_KINDS) {
    it(`load to identical predictions in every representation: ${kind}`, () => {
      const model = MODELS[kind]();
      for (const each of CASES) {
        const saved = represented(model, each);
        const bytes = saveModel(saved, file());
        expect(bytes, each.name).to.equal(statSync(file()).size).and.equal(modelFileBytes(saved));
        expect(bytes - saved.bytes(), 'header').to.be.within(8, 8000);
        const loaded = loadModel(file());
        expect(loaded.architecture.kind).to.equal(kind);
        expect(answers(loaded), each.name).to.deep.equal(answers(saved));
        for (const [name, weight] of saved.weights) {
          expect(loaded.weights.get(name)?.representation, name).to.equal(weight.representation);
        }
        saved.dispose();
        loaded.dispose();
      }
      model.dispose();
    });
  }

  it('are the same bytes for the same model, also after loading', () => {
    const model = MODELS['ncf-mlp']();
    const saved = represented(model, SPARSE_INT8);
    saveModel(saved, file());
    const loaded = loadModel(file());
    const again = folder.path('again.safetensors');
    saveModel(loaded, again);
    expect(contents(again)).to.deep.equal(contents(file()));
    for (const each of [model, saved, loaded]) each.dispose();
  });

  it('keep plain weights under their own names, for other tools', () => {
    const model = MODELS.gmf();
    saveModel(model, file());
    const { tensors, metadata } = readSafetensors(file());
    expect([...tensors].map(([name, { dtype, shape }]) => [name, dtype, [...shape]]).sort()).to.deep.equal([
      ['item_embedding.weight', 'F32', [17, 7]],
      ['prediction.bias', 'F32', [1]],
      ['prediction.weight', 'F32', [1, 7]],
      ['user_embedding.weight', 'F32', [12, 7]],
    ]);
    expect(metadata).to.deep.equal({ format: 'pt', model: 'gmf' });
    model.dispose();
  });

  it('of other tools load with the kind given', () => {
    const model = MODELS.gmf();
    const plain = tamper(model, (_, metadata) => {
      delete metadata.model;
    });
    expectRefused(plain, 'ERR_TERSOR_INVALID_ARGUMENT', /expected a model kind \(mlp, gmf, ncf-mlp\), got none/);
    const loaded = loadModel(plain, { kind: 'gmf' });
    expect(answers(loaded)).to.deep.equal(answers(model));
    loaded.dispose();
    model.dispose();
  });

  it('load from f16 and bf16, rounded no further', () => {
    const model = MODELS.mlp();
    for (const [dtype, bits] of [
      ['F16', halfBits],
      ['BF16', brainBits],
    ] as const) {
      const path = tamper(model, (tensors) => {
        for (const [name, { shape, data }] of tensors) {
          const halves = Uint16Array.from(new Float32Array(data.buffer as ArrayBuffer), bits);
          tensors.set(name, { dtype, shape, data: new Uint8Array(halves.buffer) });
        }
      });
      const loaded = loadModel(path);
      for (const [name, weight] of model.weights) {
        const values = loaded.weights.get(name)?.dense().toArray() as Float32Array;
        expect([...Uint16Array.from(values, bits)], name).to.deep.equal([
          ...Uint16Array.from(weight.dense().toArray() as Float32Array, bits),
        ]);
        // Decoding must not round: what was 0.5 in half precision is 0.5.
        for (const value of values) expect(bitsToFloat(dtype, bits(value))).to.equal(value);
      }
      loaded.dispose();
    }
    model.dispose();
  });

  it('of another kind are refused, with a suggestion when it is a slip', () => {
    const model = MODELS['ncf-mlp']();
    saveModel(model, file());
    expectRefused(file(), 'ERR_TERSOR_INVALID_ARGUMENT', "did you mean 'ncf-mlp'?", 'ncf_mlp');
    expectRefused(file(), 'ERR_TERSOR_INVALID_ARGUMENT', "did you mean 'mlp'?", 'MLP');
    expectRefused(file(), 'ERR_TERSOR_SHAPE', "a matrix 'layers.0.weight' in a model of kind 'mlp'", 'mlp');
    expectRefused(file(), 'ERR_TERSOR_SHAPE', /layer1\.weight/, 'gmf');
    for (const kind of ['', 'constructor', '__proto__', 'toString', 'x'.repeat(100_000)]) {
      expectRefused(file(), 'ERR_TERSOR_INVALID_ARGUMENT', /^.{0,400}$/, kind);
    }
    model.dispose();
  });

  it('are refused when weights are missing, superfluous or misshaped, by name', () => {
    const model = MODELS.mlp();
    const without = (name: string) => tamper(model, (tensors) => tensors.delete(name));
    expectRefused(without('layers.2.bias'), 'ERR_TERSOR_SHAPE', "'layers.2.bias'");
    expectRefused(without('layers.2.weight'), 'ERR_TERSOR_SHAPE', 'layers.2.bias');
    expectRefused(without('layers.0.weight'), 'ERR_TERSOR_SHAPE', 'layers.0.weight');
    const reshaped = tamper(model, (tensors) => {
      const entry = tensors.get('layers.1.weight') as TensorEntry;
      tensors.set('layers.1.weight', { ...entry, shape: [7, 6] });
    });
    expectRefused(reshaped, 'ERR_TERSOR_SHAPE', /expected shape \[7, 7\], got \[7, 6\].*'layers\.1\.weight'|layers\.1/);
    const flat = tamper(model, (tensors) => {
      const entry = tensors.get('layers.0.weight') as TensorEntry;
      tensors.set('layers.0.weight', { ...entry, shape: [63] });
    });
    expectRefused(flat, 'ERR_TERSOR_SHAPE', 'shape [63]');
    const many = tamper(model, (tensors) => {
      for (let i = 0; i < 1000; i++) tensors.set(`${'x'.repeat(200)}${i}`, bytes(1));
    });
    expectRefused(many, 'ERR_TERSOR_SHAPE', /and 980 more/);
    expect(() => loadModel(many)).to.throw(/^.{0,4000}$/);
    model.dispose();
  });

  it('are refused when a described weight lacks a tensor, has one too many, or one that does not fit', () => {
    const model = represented(MODELS.mlp(), SPARSE_INT8);
    for (const blob of ['indices', 'values', 'scales']) {
      const name = `layers.1.weight.${blob}`;
      const missing = tamper(model, (tensors) => tensors.delete(name));
      expectRefused(missing, 'ERR_TERSOR_CORRUPT_FILE', `expected a tensor '${name}', got none`);
      const longer = tamper(model, (tensors) => {
        const { dtype, shape, data } = tensors.get(name) as TensorEntry;
        const width = data.byteLength / shape.reduce((product, dimension) => product * dimension, 1);
        const more = Uint8Array.from([...data, ...new Uint8Array(width)]);
        tensors.set(name, { dtype, shape: [more.byteLength / width], data: more });
      });
      expectRefused(longer, 'ERR_TERSOR_CORRUPT_FILE', name);
      const retyped = tamper(model, (tensors) =>
        tensors.set(name, { dtype: 'I64', shape: [1], data: new Uint8Array(8) }),
      );
      expectRefused(retyped, 'ERR_TERSOR_CORRUPT_FILE', 'I64');
    }
    for (const blob of ['junk', 'left', 'codes', 'values.']) {
      const extra = tamper(model, (tensors) => tensors.set(`layers.1.weight.${blob}`, bytes(3)));
      expectRefused(extra, 'ERR_TERSOR_SHAPE', `layers.1.weight.${blob}`);
    }
    model.dispose();
  });

  it('are refused with NaN or infinity in a weight, naming tensor and element', () => {
    const model = MODELS.mlp();
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const path = tamper(model, (tensors) => poke(tensors, 'layers.1.weight', 8, bad));
      expectRefused(path, 'ERR_TERSOR_NOT_FINITE', "at element 8 of tensor 'layers.1.weight'");
    }
    const half = tamper(model, (tensors) => {
      tensors.set('layers.2.bias', { dtype: 'F16', shape: [4], data: Uint8Array.of(0, 0, 0, 0, 0, 0x7e, 0, 0) });
    });
    expectRefused(half, 'ERR_TERSOR_NOT_FINITE', "at element 2 of tensor 'layers.2.bias'");
    const packed = represented(MODELS.mlp(), SPARSE_INT8);
    for (const scale of [Number.NaN, 0, -1]) {
      const path = tamper(packed, (tensors) => poke(tensors, 'layers.1.weight.scales', 2, scale));
      const code = Number.isNaN(scale) ? 'ERR_TERSOR_NOT_FINITE' : 'ERR_TERSOR_CORRUPT_FILE';
      expectRefused(path, code, /element 2.*'layers\.1\.weight\.scales'/);
    }
    model.dispose();
    packed.dispose();
  });

  it('are refused with weights in integers', () => {
    const model = MODELS.mlp();
    const path = tamper(model, (tensors) => {
      const { shape, data } = tensors.get('layers.1.weight') as TensorEntry;
      tensors.set('layers.1.weight', { dtype: 'I32', shape, data });
    });
    expectRefused(path, 'ERR_TERSOR_DTYPE', "got I32, at tensor 'layers.1.weight'");
    model.dispose();
  });
});

function contents(path: string) {
  const { tensors, metadata } = readSafetensors(path);
  const blobs = [...tensors].map(([name, { dtype, shape, data }]) => [
    name,
    dtype,
    shape,
    Buffer.from(data).toString('hex'),
  ]);
  return { blobs, metadata };
}

/** The upper half of a float32: truncation, which rounds a bf16 number to itself. */
function brainBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
}

/** Half precision of a number, truncated; numbers below 2^-14 become 0. */
function halfBits(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const exponent = ((bits >>> 23) & 255) - 127 + 15;
  return ((bits >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((bits >>> 13) & 0x3ff));
}

function bitsToFloat(dtype: 'F16' | 'BF16', bits: number): number {
  if (dtype === 'BF16') return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  return exponent === 0 ? sign * 0 : sign * 2 ** (exponent - 15) * (1 + (bits & 0x3ff) / 1024);
}
