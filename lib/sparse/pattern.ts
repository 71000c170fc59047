import { TersorError } from '../errors';
import { type NativeTensor, native } from '../native';
import { empty, type Tensor, tensor } from '../tensor';
import { PackedCsr } from './packed-csr';

/** Where a matrix [rows, columns] differs from zero; its values are a vector beside it, in row-major order. */
export class SparsePattern {
  readonly shape: readonly [number, number];
  readonly nonzeros: number;
  private readonly positions: Float64Array;
  private readonly places: PackedCsr;
  private readonly transposedPlaces: PackedCsr;

  private constructor(shape: readonly [number, number], positions: Float64Array) {
    this.shape = shape;
    this.positions = positions;
    this.nonzeros = positions.length;
    const [rows, columns] = shape;
    this.places = packedPlaces(shape, positions, (position) => [Math.floor(position / columns), position % columns]);
    this.transposedPlaces = packedPlaces([columns, rows], positions, (position) => [
      position % columns,
      Math.floor(position / columns),
    ]);
  }

  /**
   * The elements of a matrix that differ from zero, NaN among them.
   *
   * @param mask f32 [rows, columns]: a pruning mask, or the pruned matrix itself; stays the caller's
   * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
   * @example
   * const pattern = tersor.SparsePattern.of(tersor.tensor([[0, 2], [3, 0]]))
   * console.log(pattern.nonzeros) // 2
   */
  static of(mask: Tensor): SparsePattern {
    const [rows, columns] = mask.shape;
    if (mask.shape.length !== 2 || rows === undefined || columns === undefined) {
      throw new TersorError('ERR_TERSOR_SHAPE', `expected a mask [rows, columns], got [${mask.shape.join(', ')}]`);
    }
    const elements = floatsOf(mask, 'a mask');
    const positions = new Float64Array(elements.reduce((count, element) => count + (element === 0 ? 0 : 1), 0));
    let next = 0;
    for (let i = 0; i < elements.length; i++) if (elements[i] !== 0) positions[next++] = i;
    return new SparsePattern([rows, columns], positions);
  }

  /**
   * A matrix's elements at the nonzeros of the pattern. Not recorded for gradients.
   *
   * @param matrix f32 of the pattern's shape
   * @returns f32 [nonzeros]
   * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
   */
  values(matrix: Tensor): Tensor {
    this.expectShape(matrix, this.shape, 'a matrix');
    const elements = floatsOf(matrix, 'a matrix');
    return tensor(Float32Array.from(this.positions, (position) => elements[position] as number));
  }

  /**
   * The matrix with these values, 0 elsewhere. Not recorded for gradients.
   *
   * @param values f32 [nonzeros]
   * @returns f32 [rows, columns]
   * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
   */
  dense(values: Tensor): Tensor {
    this.expectShape(values, [this.nonzeros], 'values');
    const elements = floatsOf(values, 'values');
    const matrix = new Float32Array(this.shape[0] * this.shape[1]);
    this.positions.forEach((position, i) => {
      matrix[position] = elements[i] as number;
    });
    return tensor(matrix, this.shape);
  }

  /** Where the kernels find the nonzeros; for `csrSddmm`. */
  layout(): readonly [packed: NativeTensor, rows: number, columns: number] {
    return this.places.arguments();
  }

  /** The matrix with these values, for `csrGemm`; the caller's. */
  pack(values: Tensor): Tensor {
    return packed(this.places, values);
  }

  /** Its transpose. */
  packTransposed(values: Tensor): Tensor {
    return packed(this.transposedPlaces, values);
  }

  /** Frees what the kernels were given. */
  dispose(): void {
    this.places.dispose();
    this.transposedPlaces.dispose();
  }

  private expectShape(x: Tensor, shape: readonly number[], what: string): void {
    if (x.shape.join() === shape.join()) return;
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected ${what} of shape [${shape.join(', ')}], got [${x.shape.join(', ')}], at a sparse pattern`,
    );
  }
}

function packed(places: PackedCsr, values: Tensor): Tensor {
  const weight = empty([places.bytes()], 'u8', values.device);
  native.csrSetValues(...places.arguments(), values.handle, weight.handle);
  return weight;
}

/** Rows and columns of the nonzeros, each with the place of its value, counted from 1. */
function packedPlaces(
  shape: readonly [number, number],
  positions: Float64Array,
  coordinates: (position: number) => readonly [row: number, column: number],
): PackedCsr {
  return new PackedCsr(shape, () => {
    const rowOffsets = new Uint32Array(shape[0] + 1);
    for (const position of positions) (rowOffsets[coordinates(position)[0] + 1] as number)++;
    for (let row = 0; row < shape[0]; row++) {
      rowOffsets[row + 1] = (rowOffsets[row + 1] as number) + (rowOffsets[row] as number);
    }
    const columns = new Uint32Array(positions.length);
    const values = new Uint32Array(positions.length);
    const next = rowOffsets.slice();
    // Positions ascend, so that columns do inside a row of the matrix and of its transpose.
    positions.forEach((position, i) => {
      const [row, column] = coordinates(position);
      const at = next[row] as number;
      next[row] = at + 1;
      columns[at] = column;
      values[at] = i + 1;
    });
    return { rowOffsets: tensor(rowOffsets), columns: tensor(columns), values: tensor(values) };
  });
}

function floatsOf(x: Tensor, what: string): Float32Array {
  if (x.dtype === 'f32') return x.toArray() as Float32Array;
  throw new TersorError('ERR_TERSOR_DTYPE', `expected ${what} of dtype f32, got ${x.dtype}, at a sparse pattern`);
}
