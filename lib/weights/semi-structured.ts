import { type Bags, epilogueArguments, type LinearOptions } from '../autograd';
import { native } from '../native';
import { empty, keep, type Tensor, tensor, tidy } from '../tensor';
import { bagOfGathered } from './bag';
import { packBits, unpackBits } from './bit-stream';
import { assertFinite, type BlobReader, bytesBlob, corrupt, readArray } from './blob';
import type { SemiStructuredDescriptor } from './descriptor';
import { type KeptPerGroup, parsePattern, type SparsityPattern } from './pattern';
import { served } from './served';
import { TrainableMatrix } from './trainable';
import { assertMatrix, type StoredWeight, storedBytes, type Weight } from './weight';

/**
 * N:M sparsity with f32 values: every group of M columns of a row keeps N of them, some perhaps zero. In memory as the device's kernels read
 * it, in the file the values and, bit-packed, the column of each within its group.
 */
export class SemiStructured implements Weight {
  readonly kind = 'semi-structured';
  readonly shape: readonly [number, number];
  readonly pattern: SparsityPattern;
  private readonly packed: Tensor;

  private constructor(w: Tensor, pattern: SparsityPattern) {
    const kept = parsePattern(pattern);
    this.shape = w.shape as readonly [number, number];
    this.pattern = pattern;
    this.packed = empty([native.nmBytes(...this.shape, kept.keep, kept.group, w.device)], 'u8', w.device);
    native.packNm(w.handle, kept.keep, kept.group, this.packed.handle);
    keep(this.packed);
  }

  /**
   * Keeps the nonzero elements of a matrix.
   *
   * @param w f32 [rows, columns], at least one column; stays the caller's
   * @throws ERR_TERSOR_INVALID_ARGUMENT for a matrix with more nonzeros in a group than the pattern has places, or for a text that is no
   *   pattern; ERR_TERSOR_NOT_FINITE; ERR_TERSOR_SHAPE
   * @example
   * const w = tersor.tensor([[0, 3, 0, -1, 2, 0, 0, 0]])
   * const weight = tersor.SemiStructured.from(w, '2:4')
   * console.log(weight.matmul(tersor.tensor([[1, 1, 1, 1, 1, 1, 1, 1]])).item()) // 4
   */
  static from(w: Tensor, pattern: SparsityPattern): SemiStructured {
    assertMatrix(w.shape, 'a semi-structured weight');
    assertFinite(w.toArray() as Float32Array, 'of a semi-structured weight');
    return new SemiStructured(w, pattern);
  }

  get representation(): string {
    return `f32, ${this.pattern} sparse`;
  }

  matmul(x: Tensor, options: LinearOptions = {}): Tensor {
    return served([x], () => {
      const y = empty([x.shape[0] ?? 0, this.shape[0]]);
      native.nmGemm(x.handle, ...this.operand(), ...epilogueArguments(options), y.handle);
      return y;
    });
  }

  gather(ids: Tensor): Tensor {
    const y = empty([ids.size, this.shape[1]]);
    native.unpackNm(...this.operand(), ids.handle, y.handle);
    return y;
  }

  bag(bags: Bags): Tensor {
    return tidy(() => bagOfGathered(this, bags));
  }

  dense(): Tensor {
    const y = empty(this.shape);
    native.unpackNm(...this.operand(), null, y.handle);
    return y;
  }

  bytes(): number {
    return storedBytes(this.store());
  }

  parameters(): number {
    return this.shape[0] * this.shape[1];
  }

  nonzeros(): number {
    return this.shape[0] * placesPerRow(this.shape[1], parsePattern(this.pattern));
  }

  macs(): number {
    return this.nonzeros();
  }

  trainable(): TrainableMatrix {
    const latent = this.dense();
    const mask = tensor(
      (latent.toArray() as Float32Array).map((value) => (value === 0 ? 0 : 1)),
      this.shape,
    );
    return new TrainableMatrix({ latent, mask, pattern: this.pattern });
  }

  store(): StoredWeight {
    const dense = this.dense();
    const { values, places } = takeOut(dense.toArray() as Float32Array, this.shape, parsePattern(this.pattern));
    dense.dispose();
    const data = new Uint8Array(values.buffer);
    const tensors = new Map([
      ['values', { dtype: 'F32' as const, shape: [values.length], data }],
      ['places', bytesBlob(packBits(places, placeBits(parsePattern(this.pattern))))],
    ]);
    return { tensors, descriptor: { kind: 'semi-structured', shape: [...this.shape], pattern: this.pattern } };
  }

  dispose(): void {
    this.packed.dispose();
  }

  /** @throws ERR_TERSOR_CORRUPT_FILE when the blobs do not fit the descriptor */
  static restore(reader: BlobReader, { shape, pattern }: SemiStructuredDescriptor): SemiStructured {
    const kept = parsePattern(pattern);
    const count = shape[0] * placesPerRow(shape[1], kept);
    const values = readArray(reader, 'values', 'F32', [count]);
    const bytes = readArray(reader, 'places', 'U8', [Math.ceil((count * placeBits(kept)) / 8)]);
    const w = tensor(putBack(reader, values, unpackBits(bytes, placeBits(kept), count), shape, kept), shape);
    return new SemiStructured(w, pattern);
  }

  private operand() {
    const kept = parsePattern(this.pattern);
    return [this.packed.handle, ...this.shape, kept.keep, kept.group] as const;
  }
}

/** Bits that tell the columns of a group apart. */
function placeBits({ group }: KeptPerGroup): number {
  return Math.ceil(Math.log2(group));
}

/** The last group of a row has no more places than columns. */
function placesPerRow(columns: number, { keep, group }: KeptPerGroup): number {
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
function takeOut(dense: Float32Array, shape: readonly [number, number], kept: KeptPerGroup) {
  const values = new Float32Array(shape[0] * placesPerRow(shape[1], kept));
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
function putBack(
  reader: BlobReader,
  values: Float32Array,
  places: Uint16Array,
  shape: readonly [number, number],
  kept: KeptPerGroup,
): Float32Array {
  const dense = new Float32Array(shape[0] * shape[1]);
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
