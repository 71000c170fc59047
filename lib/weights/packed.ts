import { epilogueArguments } from '../autograd';
import { InputPrecision, native } from '../native';
import { type Affine, affineArguments, empty, keep, type Tensor } from '../tensor';
import { bitsOf } from '../tensor/dtype';
import type { InputPrecision as Rounding } from './input';
import type { Product } from './integer';

const PRECISIONS = { int8: InputPrecision.int8, int16: InputPrecision.int16 } as const;

/** Fewer columns than this are dequantized as fast as they are laid out. */
const FEWEST_COLUMNS = 32;

/** Groups of another size would start in the middle of a vector. */
const GROUP_STEP = 32;

/**
 * Whether a product with a quantized weight should read its codes: rows long enough, in groups that the kernels read whole.
 *
 * @param groupSize columns per group; at least `columns` for one group
 */
export function readsCodes(columns: number, groupSize: number): boolean {
  return columns >= FEWEST_COLUMNS && (groupSize >= columns || groupSize % GROUP_STEP === 0);
}

/**
 * Multiplies by codes, which are copied once into the order in which the device's kernels read them.
 *
 * @param rounding of inputs; null for products as accurate as those in f32
 * @param codes i8, u8 or u1..u4 [rows, columns]; stay the caller's, as the affine does
 * @param codebook the values that codes are numbers of; null: codes are affine
 * @throws ERR_TERSOR_OUT_OF_RANGE for a zero point that is no code; ERR_TERSOR_INVALID_ARGUMENT for a scale that is not finite and > 0
 */
export function packedProduct(
  codes: Tensor,
  affine: Affine,
  codebook: Tensor | null,
  rounding: Rounding | null,
): Product {
  const precision = rounding === null ? InputPrecision.f32 : PRECISIONS[rounding];
  const [rows, columns] = codes.shape as readonly [number, number];
  const layout = [rows, columns, bitsOf(codes.dtype), affine.groupSize, affine.biases !== null] as const;
  const packed = empty([native.quantizedBytes(...layout, codes.device)], 'u8', codes.device);
  if (codebook === null) native.packQuantized(codes.handle, ...affineArguments(affine), packed.handle);
  else native.packCodebook(codes.handle, codebook.handle, affine.scales.handle, affine.groupSize, packed.handle);
  keep(packed);
  return {
    multiply(x, options) {
      const y = empty([x.shape[0] ?? 0, rows]);
      native.gemmQuantized(x.handle, precision, packed.handle, ...layout, ...epilogueArguments(options), y.handle);
      return y;
    },
    multiplyPlus(x, factors, options) {
      const y = empty([x.shape[0] ?? 0, rows]);
      const end = [...factors.arguments(), ...epilogueArguments(options)] as const;
      native.lowRankGemmQuantized(x.handle, precision, packed.handle, ...layout, ...end, y.handle);
      return y;
    },
    dispose() {
      packed.dispose();
    },
  };
}
