/** The stored form of weights that are made of two others. */
import type { BlobReader } from './blob';
import type { Descriptor } from './descriptor';
import type { StoredWeight, Weight } from './weight';

/** The blobs of a part under names that begin with its own. */
export function* prefixed(part: string, { tensors }: StoredWeight) {
  for (const [blob, entry] of tensors) yield [join(part, blob), entry] as const;
}

/**
 * Reads two parts back and joins them; when that fails, nothing is left in memory.
 *
 * @param restorePart reads one of them, given the reader of its blobs
 */
export function restoreParts<Part extends string, W extends Weight>(
  reader: BlobReader,
  descriptor: Readonly<Record<Part, Descriptor | null>>,
  [first, second]: readonly [Part, Part],
  restorePart: (reader: BlobReader, descriptor: Descriptor | null) => Weight,
  make: (first: Weight, second: Weight) => W,
): W {
  const parts: Weight[] = [];
  const restore = (part: Part) => {
    const restored = restorePart(under(part, reader), descriptor[part]);
    parts.push(restored);
    return restored;
  };
  try {
    return make(restore(first), restore(second));
  } catch (error) {
    for (const part of parts) part.dispose();
    throw error;
  }
}

function under(part: string, reader: BlobReader): BlobReader {
  return {
    nameOf: (blob) => reader.nameOf(join(part, blob)),
    read: (blob) => reader.read(join(part, blob)),
  };
}

function join(part: string, blob: string): string {
  return blob === '' ? part : `${part}.${blob}`;
}
