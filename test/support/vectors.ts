import { readSafetensors } from '../../lib/formats/safetensors';
import { type Tensor, tensor } from '../../lib/tensor';

/** Named golden values of a safetensors file. */
export interface Vectors {
  /** F32 as it is, I64 as i32. */
  tensor(name: string): Tensor;
  numbers(name: string): number[];
}

/** Opens a file of golden values. */
export function readVectors(file: string): Vectors {
  const { tensors } = readSafetensors(file);
  const entryOf = (name: string) => {
    const entry = tensors.get(name);
    if (entry === undefined) throw new Error(`expected a tensor '${name}', got none, at ${file}`);
    const { dtype, shape, data } = entry;
    if (dtype === 'F32') return { shape, values: new Float32Array(data.buffer) };
    if (dtype === 'I64') return { shape, values: Int32Array.from(new BigInt64Array(data.buffer), Number) };
    throw new Error(`expected F32 or I64, got ${dtype}, at ${name} of ${file}`);
  };
  return {
    tensor: (name) => tensor(entryOf(name).values, entryOf(name).shape),
    numbers: (name) => [...entryOf(name).values],
  };
}
