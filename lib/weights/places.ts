/** The stored form of N:M sparsity: what every group keeps, and where. */
import { type BlobReader, corrupt } from './blob';
import type { KeptPerGroup } from './pattern';
import type { Values } from './values';

/** Bits that tell the columns of a group apart. */
export function placeBits({ group }: KeptPerGroup): number {
  return Math.ceil(Math.log2(group));
}

/** The last group of a row has no more places than columns. */
export function placesPerRow(columns: number, { keep, group }: KeptPerGroup): number {
  return Math.floor(columns / group) * keep + Math.min(keep, columns % group);
}

/** Visits every group of the matrix: the position of its first column, how many it has, and how many of them are kept. */
function forEachGroup(
  [rows, columns]: readonly [number, number],
  { keep, group }: KeptPerGroup,
  visit: (first: number, length: number, places: number) => void,
): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column += group) {
      const length = Math.min(group, columns - column);
      visit(row * columns + column, length, Math.min(keep, length));
    }
  }
}

/** The nonzeros of each group, by ascending column; leftmost zeros where there are fewer than places. */
export function takeOut<V extends Values>(dense: V, shape: readonly [number, number], kept: KeptPerGroup) {
  const ValuesOfType = dense.constructor as new (length: number) => V;
  const values = new ValuesOfType(shape[0] * placesPerRow(shape[1], kept));
  const places = new Uint8Array(values.length);
  let next = 0;
  forEachGroup(shape, kept, (first, length, count) => {
    let zeros = count;
    for (let j = 0; j < length; j++) if (dense[first + j] !== 0) zeros--;
    for (let j = 0; j < length; j++) {
      const value = dense[first + j] as number;
      if (value === 0 && zeros-- <= 0) continue;
      values[next] = value;
      places[next++] = j;
    }
  });
  return { values, places };
}

/** Undoes {@link takeOut}. */
export function putBack<V extends Values>(
  reader: BlobReader,
  { values, places }: { readonly values: V; readonly places: Uint16Array },
  shape: readonly [number, number],
  kept: KeptPerGroup,
): V {
  const ValuesOfType = values.constructor as new (length: number) => V;
  const dense = new ValuesOfType(shape[0] * shape[1]);
  let next = 0;
  forEachGroup(shape, kept, (first, length, count) => {
    for (let s = 0, lowest = 0; s < count; s++, next++) {
      const place = places[next] as number;
      if (place < lowest || place >= length) {
        throw corrupt(reader, 'places', `ascending columns of a group of ${length}`, `${place} as element ${next}`);
      }
      dense[first + place] = values[next] as number;
      lowest = place + 1;
    }
  });
  return dense;
}
