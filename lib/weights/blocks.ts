import { type BlobReader, corrupt } from './blob';
import type { BlockSize } from './pattern';
import type { Values } from './values';

/** The blocks of a matrix that are not zero, in panels of as many rows as a block has. */
export interface Blocks<V extends Values = Values> {
  readonly shape: readonly [number, number];
  /** [panels + 1]: the blocks of panel p are those from panelOffsets[p] up to panelOffsets[p + 1]. */
  readonly panelOffsets: Uint32Array;
  /** [blocks]: first column / columns of a block, ascending inside a panel. */
  readonly columns: Uint32Array;
  /** [blocks · rows of a block · columns of a block], 0 past the edges of the matrix; f32 by columns, int8 by rows, as the kernels read them. */
  readonly values: V;
}

/** Visits the elements of the blocks that lie inside the matrix: row, position in the matrix, position in the values. */
export function forEachElement(
  { shape: [height, width], panelOffsets, columns, values }: Blocks,
  size: BlockSize,
  visit: (position: number, index: number, row: number) => void,
): void {
  const perBlock = size.rows * size.columns;
  const byRows = values instanceof Int8Array;
  for (let panel = 0; panel + 1 < panelOffsets.length; panel++) {
    for (let block = panelOffsets[panel] as number; block < (panelOffsets[panel + 1] as number); block++) {
      const first = (columns[block] as number) * size.columns;
      for (let i = 0; i < perBlock; i++) {
        const row = panel * size.rows + (byRows ? Math.floor(i / size.columns) : i % size.rows);
        const column = first + (byRows ? i % size.columns : Math.floor(i / size.rows));
        if (row < height && column < width) visit(row * width + column, block * perBlock + i, row);
      }
    }
  }
}

/** The blocks of a dense matrix that hold a nonzero. */
export function takeBlocks<V extends Values>(dense: V, shape: readonly [number, number], size: BlockSize): Blocks<V> {
  const [height, width] = shape;
  const columns: number[] = [];
  const panelOffsets = new Uint32Array(Math.ceil(height / size.rows) + 1);
  for (let panel = 0; panel + 1 < panelOffsets.length; panel++) {
    const held = new Uint8Array(Math.ceil(width / size.columns));
    for (let row = panel * size.rows; row < Math.min(height, (panel + 1) * size.rows); row++) {
      for (let k = 0; k < width; k++) if (dense[row * width + k] !== 0) held[Math.floor(k / size.columns)] = 1;
    }
    held.forEach((isHeld, column) => {
      if (isHeld === 1) columns.push(column);
    });
    panelOffsets[panel + 1] = columns.length;
  }
  const ValuesOfType = dense.constructor as new (length: number) => V;
  const values = new ValuesOfType(columns.length * size.rows * size.columns);
  const taken = { shape, panelOffsets, columns: Uint32Array.from(columns), values };
  forEachElement(taken, size, (position, index) => {
    values[index] = dense[position] as number;
  });
  return taken;
}

/** Undoes {@link takeBlocks}; integers stay integers. */
export function putBlocks(taken: Blocks, size: BlockSize): Float32Array {
  const dense = new Float32Array(taken.shape[0] * taken.shape[1]);
  forEachElement(taken, size, (position, index) => {
    dense[position] = taken.values[index] as number;
  });
  return dense;
}

/** Integers of -8..7 as the kernels read them: byte i of a block is its number i and, in the high bits, the one half a block after it, + 8. */
export function pairUp(integers: Int8Array, { rows, columns }: BlockSize): Uint8Array {
  const half = (rows * columns) / 2;
  return Uint8Array.from({ length: integers.length / 2 }, (_, i) => {
    const first = i + Math.floor(i / half) * half;
    return (integers[first] as number) + 8 + 16 * ((integers[first + half] as number) + 8);
  });
}

/** Undoes {@link pairUp}. */
export function takeApart(pairs: Uint8Array, { rows, columns }: BlockSize): Int8Array {
  const half = (rows * columns) / 2;
  const integers = new Int8Array(2 * pairs.length);
  pairs.forEach((pair, i) => {
    const first = i + Math.floor(i / half) * half;
    integers[first] = (pair & 15) - 8;
    integers[first + half] = (pair >> 4) - 8;
  });
  return integers;
}

/** Sum of each row's integers. */
export function sumBlocks(taken: Blocks<Int8Array>, size: BlockSize): Int32Array {
  const sums = new Int32Array(taken.shape[0]);
  forEachElement(taken, size, (_, index, row) => {
    sums[row] = (sums[row] as number) + (taken.values[index] as number);
  });
  return sums;
}

/** @throws ERR_TERSOR_CORRUPT_FILE */
export function assertPositions(
  reader: BlobReader,
  { panelOffsets, columns }: Pick<Blocks, 'panelOffsets' | 'columns'>,
  width: number,
): void {
  const wrong = panelOffsets.findIndex((offset, i) => offset < (i === 0 ? 0 : (panelOffsets[i - 1] as number)));
  if (panelOffsets[0] !== 0 || wrong >= 0 || panelOffsets.at(-1) !== columns.length) {
    const got = wrong >= 0 ? `a smaller one as element ${wrong}` : `${panelOffsets[0]} to ${panelOffsets.at(-1)}`;
    throw corrupt(reader, 'panel_offsets', `ascending offsets from 0 to ${columns.length}`, got);
  }
  for (let panel = 0; panel + 1 < panelOffsets.length; panel++) {
    const begin = panelOffsets[panel] as number;
    for (let block = begin; block < (panelOffsets[panel + 1] as number); block++) {
      const lowest = block === begin ? 0 : (columns[block - 1] as number) + 1;
      const column = columns[block] as number;
      if (column >= lowest && column < width) continue;
      throw corrupt(reader, 'columns', `a column from ${lowest} to below ${width}`, `${column} as element ${block}`);
    }
  }
}
