/** Model files that were changed by an enemy, for tests. */
import { expect } from 'chai';
import { readSafetensors, type TensorEntry, writeSafetensors } from '../../lib/formats/safetensors';
import { loadModel, type Model, saveModel } from '../../lib/models';
import { memory } from '../../lib/tensor';
import type { temporaryFolder } from '../data/temporary-folder';

/** What is done to a file's tensors and metadata. */
export type Change = (tensors: Map<string, TensorEntry>, metadata: Record<string, string>) => void;

/** Writes a model's file with a change, and returns its path. */
export function tampered(folder: ReturnType<typeof temporaryFolder>, model: Model, change: Change): string {
  const path = folder.path('tampered.safetensors');
  saveModel(model, path);
  const { tensors, metadata } = readSafetensors(path);
  const entries = new Map([...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data }]));
  change(entries, metadata);
  writeSafetensors(path, entries, metadata);
  return path;
}

/** Loading must fail with this code, name the file, and leave nothing in memory. */
export function expectRefused(path: string, code: string, text: string | RegExp, kind?: string): void {
  const before = memory();
  expect(() => loadModel(path, { kind }))
    .to.throw(text)
    .with.property('code', code);
  expect(() => loadModel(path, { kind })).to.throw(path);
  expect(memory().tensors).to.be.at.most(before.tensors);
  expect(memory().bytes).to.be.at.most(before.bytes);
}

/** A tensor of bytes. */
export function bytes(count: number): TensorEntry {
  return { dtype: 'U8', shape: [count], data: new Uint8Array(count) };
}

/** Overwrites one number of an F32 tensor. */
export function poke(tensors: Map<string, TensorEntry>, name: string, element: number, value: number): void {
  const { dtype, shape, data } = tensors.get(name) as TensorEntry;
  const values = new Float32Array(data.slice().buffer);
  values[element] = value;
  tensors.set(name, { dtype, shape, data: new Uint8Array(values.buffer) });
}
