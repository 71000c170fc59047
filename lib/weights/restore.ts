import { TersorError } from '../errors';
import type { TensorEntry } from '../formats/safetensors';
import { tidy } from '../tensor';
import type { BlobReader } from './blob';
import { BlockSparse } from './block-sparse';
import { Dense } from './dense';
import type { Descriptor } from './descriptor';
import { LowRank } from './low-rank';
import { ProductQuantized } from './product-quantized';
import { Quantized } from './quantized';
import { SemiStructured } from './semi-structured';
import { Sparse } from './sparse';
import { Sum } from './sum';
import type { Weight } from './weight';

/**
 * Reads a weight back from its blobs; when that fails, nothing is left in memory.
 *
 * @param name the weight's name in the file
 * @param tensors every tensor of the file
 * @param descriptor null for a plain tensor
 * @throws ERR_TERSOR_CORRUPT_FILE when a blob is missing or does not fit; ERR_TERSOR_NOT_FINITE for NaN or infinity
 */
export function restoreWeight(
  name: string,
  tensors: Pick<ReadonlyMap<string, TensorEntry>, 'get'>,
  descriptor: Descriptor | null,
): Weight {
  const nameOf = (blob: string) => (blob === '' ? name : `${name}.${blob}`);
  const read = (blob: string) => {
    const entry = tensors.get(nameOf(blob));
    if (entry !== undefined) return entry;
    throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected a tensor '${nameOf(blob)}', got none`);
  };
  return tidy(() => restoreFrom({ nameOf, read }, descriptor));
}

function restoreFrom(reader: BlobReader, descriptor: Descriptor | null): Weight {
  switch (descriptor?.kind) {
    case undefined:
      return Dense.restore(reader);
    case 'quantized':
      return Quantized.restore(reader, descriptor);
    case 'sparse':
      return Sparse.restore(reader, descriptor);
    case 'semi-structured':
      return SemiStructured.restore(reader, descriptor);
    case 'block-sparse':
      return BlockSparse.restore(reader, descriptor);
    case 'product-quantized':
      return ProductQuantized.restore(reader, descriptor);
    case 'low-rank':
      return LowRank.restore(reader, descriptor, restoreFrom);
    case 'sum':
      return Sum.restore(reader, descriptor, restoreFrom);
  }
}
