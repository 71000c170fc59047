import { type NativeTensor, native } from '../native';
import { empty, keep, type Tensor, tidy } from '../tensor';

/** Where the nonzeros of a matrix are, in compressed sparse rows. */
export interface CsrPattern {
  readonly shape: readonly [rows: number, columns: number];
  /** u32 [rows + 1] */
  readonly rowOffsets: Tensor;
  /** u32 [nonzeros], ascending inside a row */
  readonly columns: Tensor;
}

/** A sparse matrix in the order in which the device's kernels read it: laid out at its first use, freed by `dispose`. */
export class PackedCsr {
  private readonly pattern: CsrPattern;
  private readonly values: () => Tensor;
  private packed: Tensor | null = null;

  /**
   * @param pattern stays the caller's, until the first use at least
   * @param values f32 or i8 [nonzeros]; called once, inside a `tidy`
   */
  constructor(pattern: CsrPattern, values: () => Tensor) {
    this.pattern = pattern;
    this.values = values;
  }

  /**
   * What a product is told of the weight.
   *
   * @throws ERR_TERSOR_OUT_OF_RANGE for offsets and columns that are no compressed sparse rows
   */
  arguments(): readonly [packed: NativeTensor, rows: number, columns: number] {
    this.packed ??= tidy(() => packCsr(this.pattern, this.values()));
    return [this.packed.handle, ...this.pattern.shape];
  }

  dispose(): void {
    this.packed?.dispose();
  }
}

function packCsr({ shape, rowOffsets, columns }: CsrPattern, values: Tensor): Tensor {
  const csr = [rowOffsets.handle, columns.handle, values.handle, shape[1]] as const;
  const bytes = empty([1], 'i64', values.device);
  native.csrPackedBytes(...csr, bytes.handle);
  const packed = empty([bytes.item()], 'u8', values.device);
  native.packCsr(...csr, packed.handle);
  return keep(packed);
}
