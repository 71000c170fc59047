import { type NativeTensor, native } from '../native';
import { empty, keep, type Tensor, tidy } from '../tensor';

/** A matrix in compressed sparse rows, in tensors. */
export interface CsrTensors {
  /** u32 [rows + 1] */
  readonly rowOffsets: Tensor;
  /** u32 [nonzeros], ascending inside a row */
  readonly columns: Tensor;
  /** f32, i8, u4 of i8 + 8 or, for the places of values, u32 [nonzeros] */
  readonly values: Tensor;
}

/** A sparse matrix in the order in which the device's kernels read it: laid out at its first use, freed by `dispose`. */
export class PackedCsr {
  private readonly shape: readonly [number, number];
  private readonly source: () => CsrTensors;
  private packed: Tensor | null = null;

  /** @param source called once, inside a `tidy`; what it makes there is freed */
  constructor(shape: readonly [rows: number, columns: number], source: () => CsrTensors) {
    this.shape = shape;
    this.source = source;
  }

  /**
   * What an operation is told of the matrix.
   *
   * @throws ERR_TERSOR_OUT_OF_RANGE for offsets and columns that are no compressed sparse rows
   */
  arguments(): readonly [packed: NativeTensor, rows: number, columns: number] {
    return [this.layout().handle, ...this.shape];
  }

  /** Bytes of the layout. */
  bytes(): number {
    return this.layout().size;
  }

  dispose(): void {
    this.packed?.dispose();
  }

  private layout(): Tensor {
    this.packed ??= tidy(() => {
      const { rowOffsets, columns, values } = this.source();
      const csr = [rowOffsets.handle, columns.handle, values.handle, this.shape[1]] as const;
      const bytes = empty([1], 'i64', values.device);
      native.csrPackedBytes(...csr, bytes.handle);
      const packed = empty([bytes.item()], 'u8', values.device);
      native.packCsr(...csr, packed.handle);
      return keep(packed);
    });
    return this.packed;
  }
}
