import { type Bags, epilogueArguments, gather, type LinearOptions } from '../autograd';
import { native } from '../native';
import { empty, keep, type Tensor, tensor, tidy } from '../tensor';
import { bagOfGathered } from './bag';
import { assertFinite, type BlobReader, corrupt, readArray, toBlob } from './blob';
import type { BlockSparseDescriptor } from './descriptor';
import { type BlockPattern, type BlockSize, parseBlock } from './pattern';
import { served } from './served';
import { TrainableMatrix } from './trainable';
import { assertMatrix, type StoredWeight, storedBytes, type Weight } from './weight';

/** The blocks of a matrix that are not zero, in panels of as many rows as a block has. */
interface Blocks {
  readonly shape: readonly [number, number];
  /** [panels + 1]: the blocks of panel p are those from panelOffsets[p] up to panelOffsets[p + 1]. */
  readonly panelOffsets: Uint32Array;
  /** [blocks]: first column / columns of a block, ascending inside a panel. */
  readonly columns: Uint32Array;
  /** [blocks · columns of a block · rows of a block], 0 past the edges of the matrix. */
  readonly values: Float32Array;
}

/** Sparsity in blocks with f32 values: the blocks that are not zero and where they are. */
export class BlockSparse implements Weight {
  readonly kind = 'block-sparse';
  readonly shape: readonly [number, number];
  readonly blocks: BlockPattern;
  private readonly panelOffsets: Tensor;
  private readonly columns: Tensor;
  private readonly values: Tensor;

  private constructor({ shape, panelOffsets, columns, values }: Blocks, blocks: BlockPattern) {
    this.shape = shape;
    this.blocks = blocks;
    this.panelOffsets = keep(tensor(panelOffsets));
    this.columns = keep(tensor(columns));
    this.values = keep(tensor(values));
  }

  /**
   * Keeps the blocks of a matrix that hold a nonzero.
   *
   * @param w f32 [rows, columns], at least one column; stays the caller's
   * @throws ERR_TERSOR_INVALID_ARGUMENT for a text that is no block; ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE
   * @example
   * const w = tersor.tensor([[0, 3, 0], [0, -1, 0]])
   * const weight = tersor.BlockSparse.from(w, '32x1')
   * console.log(weight.matmul(tersor.tensor([[1, 2, 3]])).toArray()) // 6, -2
   */
  static from(w: Tensor, blocks: BlockPattern): BlockSparse {
    const { shape } = w;
    assertMatrix(shape, 'a block-sparse weight');
    const values = w.toArray() as Float32Array;
    assertFinite(values, 'of a block-sparse weight');
    return new BlockSparse(takeBlocks(values, shape, parseBlock(blocks)), blocks);
  }

  get representation(): string {
    const zeros = 100 * (1 - this.nonzeros() / Math.max(this.parameters(), 1));
    return `f32, ${zeros.toFixed(1)} % sparse in blocks of ${this.blocks}`;
  }

  matmul(x: Tensor, options: LinearOptions = {}): Tensor {
    return served([x], () => {
      const y = empty([x.shape[0] ?? 0, this.shape[0]]);
      const { rows, columns } = parseBlock(this.blocks);
      const parts = [this.panelOffsets.handle, this.columns.handle, this.values.handle] as const;
      native.blockGemm(x.handle, ...parts, ...this.shape, rows, columns, ...epilogueArguments(options), y.handle);
      return y;
    });
  }

  gather(ids: Tensor): Tensor {
    return tidy(() => gather(this.dense(), ids));
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfGathered(this, bags));
  }

  dense(): Tensor {
    return tensor(putBlocks(this.taken(), parseBlock(this.blocks)), this.shape);
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.shape[0] * this.shape[1];
  }

  nonzeros(): number {
    let count = 0;
    forEachElement(this.taken(), parseBlock(this.blocks), () => count++);
    return count;
  }

  macs(): number {
    return this.nonzeros();
  }

  trainable(): TrainableMatrix {
    const taken = this.taken();
    const ones = { ...taken, values: new Float32Array(taken.values.length).fill(1) };
    const mask = tensor(putBlocks(ones, parseBlock(this.blocks)), this.shape);
    return new TrainableMatrix({ latent: this.dense(), mask, pattern: this.blocks });
  }

  store(): StoredWeight {
    const tensors = new Map([
      ['panel_offsets', toBlob(this.panelOffsets)],
      ['columns', toBlob(this.columns)],
      ['values', toBlob(this.values)],
    ]);
    return { tensors, descriptor: { kind: 'block-sparse', shape: [...this.shape], blocks: this.blocks } };
  }

  dispose(): void {
    for (const part of [this.panelOffsets, this.columns, this.values]) part.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor */
  static restore(reader: BlobReader, { shape, blocks }: BlockSparseDescriptor): BlockSparse {
    const size = parseBlock(blocks);
    const panelOffsets = readArray(reader, 'panel_offsets', 'U32', [Math.ceil(shape[0] / size.rows) + 1]);
    const columns = readArray(reader, 'columns', 'U32', null);
    const values = readArray(reader, 'values', 'F32', [columns.length * size.rows * size.columns]);
    assertPositions(reader, panelOffsets, columns, Math.ceil(shape[1] / size.columns));
    return new BlockSparse({ shape, panelOffsets, columns, values }, blocks);
  }

  private taken(): Blocks {
    return {
      shape: this.shape,
      panelOffsets: this.panelOffsets.toArray() as Uint32Array,
      columns: this.columns.toArray() as Uint32Array,
      values: this.values.toArray() as Float32Array,
    };
  }
}

/** Visits the elements of the blocks that lie inside the matrix: position in the matrix, position in the values. */
function forEachElement(
  { shape: [height, width], panelOffsets, columns }: Blocks,
  size: BlockSize,
  visit: (position: number, index: number) => void,
): void {
  const perBlock = size.rows * size.columns;
  for (let panel = 0; panel + 1 < panelOffsets.length; panel++) {
    for (let block = panelOffsets[panel] as number; block < (panelOffsets[panel + 1] as number); block++) {
      const first = (columns[block] as number) * size.columns;
      for (let i = 0; i < perBlock; i++) {
        const row = panel * size.rows + (i % size.rows);
        const column = first + Math.floor(i / size.rows);
        if (row < height && column < width) visit(row * width + column, block * perBlock + i);
      }
    }
  }
}

function takeBlocks(dense: Float32Array, shape: readonly [number, number], size: BlockSize): Blocks {
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
  const values = new Float32Array(columns.length * size.rows * size.columns);
  const taken = { shape, panelOffsets, columns: Uint32Array.from(columns), values };
  forEachElement(taken, size, (position, index) => {
    values[index] = dense[position] as number;
  });
  return taken;
}

/** Undoes {@link takeBlocks}. */
function putBlocks(taken: Blocks, size: BlockSize): Float32Array {
  const dense = new Float32Array(taken.shape[0] * taken.shape[1]);
  forEachElement(taken, size, (position, index) => {
    dense[position] = taken.values[index] as number;
  });
  return dense;
}

/** @throws ERR_TERSOR_CORRUPT_FILE */
function assertPositions(reader: BlobReader, panelOffsets: Uint32Array, columns: Uint32Array, width: number): void {
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
