import { TersorError } from '../errors';

/** The nonzeros of a matrix in row-major order, in compressed sparse rows. */
export interface Csr<V extends Float32Array | Int8Array = Float32Array | Int8Array> {
  readonly shape: readonly [rows: number, columns: number];
  /** [rows + 1]: the nonzeros of row r are those from rowOffsets[r] up to rowOffsets[r + 1]. */
  readonly rowOffsets: Uint32Array;
  /** [nonzeros], ascending inside a row. */
  readonly columns: Uint32Array;
  readonly values: V;
}

/** Rows or columns that need no nonzeros to account for them. */
const FREE_LENGTH = 2 ** 24;
const LENGTH_PER_NONZERO = 1024;

/**
 * @param positions row · columns + column of every nonzero, ascending
 * @throws ERR_TERSOR_UNSUPPORTED for a matrix that is out of proportion to its nonzeros: a row costs memory even when it is empty, and a
 *   file of a few bytes must not be able to claim billions
 */
export function compressRows<V extends Float32Array | Int8Array>(
  shape: readonly [number, number],
  positions: Float64Array,
  values: V,
): Csr<V> {
  const [rows, columns] = shape;
  const longest = FREE_LENGTH + LENGTH_PER_NONZERO * positions.length;
  if (Math.max(rows, columns) > longest) {
    throw new TersorError(
      'ERR_TERSOR_UNSUPPORTED',
      `expected at most ${longest} rows and columns in a sparse weight of ${positions.length} nonzeros, got [${rows}, ${columns}]`,
    );
  }
  const rowOffsets = new Uint32Array(rows + 1);
  const columnIds = new Uint32Array(positions.length);
  positions.forEach((position, i) => {
    const row = Math.floor(position / columns);
    columnIds[i] = position - row * columns;
    rowOffsets[row + 1] = i + 1;
  });
  for (let row = 0; row < rows; row++) {
    rowOffsets[row + 1] = Math.max(rowOffsets[row] as number, rowOffsets[row + 1] as number);
  }
  return { shape, rowOffsets, columns: columnIds, values };
}

/** The elements of a dense matrix that differ from zero. */
export function nonzerosOf<V extends Float32Array | Int8Array>(shape: readonly [number, number], dense: V): Csr<V> {
  const values = dense.filter((value: number) => value !== 0) as V;
  const positions = new Float64Array(values.length);
  let next = 0;
  for (let i = 0; i < dense.length; i++) if (dense[i] !== 0) positions[next++] = i;
  return compressRows(shape, positions, values);
}

/** Undoes {@link compressRows}: row · columns + column of every nonzero. */
export function positionsOf({ shape, rowOffsets, columns }: Omit<Csr, 'values'>): Float64Array {
  const positions = Float64Array.from(columns);
  forEachNonzero(rowOffsets, (row, i) => {
    positions[i] = (positions[i] as number) + row * shape[1];
  });
  return positions;
}

/**
 * The given rows of the matrix, dense, one after the other; by default all.
 *
 * @throws ERR_TERSOR_OUT_OF_MEMORY
 */
export function denseRows({ shape, rowOffsets, columns, values }: Csr, ids?: Int32Array): Float32Array {
  const [rows, width] = shape;
  const count = ids?.length ?? rows;
  const dense = allocate(count * width);
  for (let i = 0; i < count; i++) {
    const row = ids === undefined ? i : (ids[i] as number);
    for (let k = rowOffsets[row] as number; k < (rowOffsets[row + 1] as number); k++) {
      dense[i * width + (columns[k] as number)] = values[k] as number;
    }
  }
  return dense;
}

/** Integers times the scale of their row, in f32. */
export function scaleValues(integers: Int8Array, rowOffsets: Uint32Array, scales: Float32Array): Float32Array {
  const values = new Float32Array(integers.length);
  forEachNonzero(rowOffsets, (row, i) => {
    values[i] = (integers[i] as number) * (scales[scales.length === 1 ? 0 : row] as number);
  });
  return values;
}

/** Sum of each row's integers. */
export function sumRows(integers: Int8Array, rowOffsets: Uint32Array): Int32Array {
  const sums = new Int32Array(rowOffsets.length - 1);
  forEachNonzero(rowOffsets, (row, i) => {
    sums[row] = (sums[row] as number) + (integers[i] as number);
  });
  return sums;
}

function forEachNonzero(rowOffsets: Uint32Array, visit: (row: number, index: number) => void): void {
  for (let row = 0; row + 1 < rowOffsets.length; row++) {
    for (let i = rowOffsets[row] as number; i < (rowOffsets[row + 1] as number); i++) visit(row, i);
  }
}

function allocate(size: number): Float32Array {
  try {
    return new Float32Array(size);
  } catch (cause) {
    throw new TersorError(
      'ERR_TERSOR_OUT_OF_MEMORY',
      `expected room for ${size} numbers, got none, at a sparse weight`,
      {
        cause,
      },
    );
  }
}
