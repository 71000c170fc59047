import { epilogueArguments } from '../autograd';
import { native } from '../native';
import type { PackedCsr } from '../sparse/packed-csr';
import { empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import type { Factors } from './factors';
import { type InputQuantization, InputQuantizer, type StaticInput } from './input';
import { codeRange, type QuantizationScheme } from './scheme';
import type { MatmulOptions } from './weight';

/** A prepared x · Wᵀ. */
export interface Product {
  /** f32 [n, in] → f32 [n, out], then bias, activation and residual. */
  multiply(x: Tensor, options: MatmulOptions): Tensor;
  /** The product with this weight plus one of low rank, in one kernel; left out where there is none. */
  multiplyPlus?(x: Tensor, factors: Factors, options: MatmulOptions): Tensor;
  /** Frees the operands. */
  dispose(): void;
}

/**
 * Quantizes the inputs to uint8, multiplies exactly, rescales. Inputs with fixed parameters may be codes already: u8, or i8 that are 128
 * less. The weight is copied once into the order in which the device's kernels
 * read it.
 *
 * @param weight i8 [rows, columns]; stays the caller's
 * @param weightScales f32 [rows or 1, 1]; shared, not taken over
 */
export function denseIntegerProduct(weight: Tensor, input: InputQuantization, weightScales: Tensor): Product {
  const shape = weight.shape as readonly [number, number];
  const packed = keep(empty([native.int8Bytes(...shape, weight.device)], 'u8', weight.device));
  native.packInt8(weight.handle, packed.handle);
  const scales = vectorOf(weightScales);
  const weightArguments = [packed.handle, ...shape, scales.handle] as const;
  return {
    multiply(x, options) {
      const size = [x.shape[0] ?? 0, shape[0]];
      const operands = [...weightArguments, ...epilogueArguments(options)] as const;
      if (input === 'dynamic') {
        const y = empty(size);
        native.gemmInt8Dynamic(x.handle, ...operands, y.handle);
        return y;
      }
      const y = empty(size, options.reader ? 'u8' : 'f32');
      const output = options.reader ?? { scale: 1, zeroPoint: 0 };
      native.gemmInt8(x.handle, ...inputCodes(input, x), ...operands, output.scale, output.zeroPoint, y.handle);
      return y;
    },
    ...(input === 'dynamic' && {
      multiplyPlus(x, factors, options) {
        const y = empty([x.shape[0] ?? 0, shape[0]]);
        const operands = [...weightArguments, ...factors.arguments(), ...epilogueArguments(options)] as const;
        native.lowRankGemmInt8Dynamic(x.handle, ...operands, y.handle);
        return y;
      },
    }),
    dispose() {
      packed.dispose();
      scales.dispose();
    },
  };
}

/**
 * The same numbers, to the bit, from the nonzeros alone.
 *
 * @param csr of int8 values; taken over
 * @param sums sum of each row's integers, which the input's zero point is multiplied by
 */
export function sparseIntegerProduct(
  csr: PackedCsr,
  input: StaticInput,
  weightScales: Tensor,
  sums: Int32Array,
): Product {
  const quantizer = new InputQuantizer(input);
  const scales = vectorOf(weightScales);
  const rowSums = keep(tensor(sums));
  return {
    multiply(x, options) {
      const y = empty([x.shape[0] ?? 0, sums.length]);
      const { scale, zeroPoint } = quantizer;
      const epilogue = [scale, zeroPoint, scales.handle, rowSums.handle, ...epilogueArguments(options)] as const;
      const codes = x.dtype === 'u8' ? x : quantizer.quantize(x);
      native.csrGemmInt8(codes.handle, ...csr.arguments(), ...epilogue, y.handle);
      return y;
    },
    dispose() {
      for (const part of [quantizer, csr, scales, rowSums]) part.dispose();
    },
  };
}

/** Scale and zero point of the codes that x has or gets: signed ones count from -128. */
export function inputCodes({ scale, zeroPoint }: StaticInput, x: Tensor): readonly [number, number] {
  return [scale, x.dtype === 'i8' ? zeroPoint - 128 : zeroPoint];
}

/** A vector of a weight's scales that shares their memory. */
export function vectorOf(scales: Tensor): Tensor {
  return keep(scales.reshape([scales.size]));
}

/** The integers that symmetric codes stand for: code minus zero point. */
export function integersOf(codes: Tensor, scheme: QuantizationScheme): Int8Array {
  const { min, max, zeroPoint } = codeRange(scheme);
  if (codes.dtype === 'i8') return codes.toArray() as Int8Array;
  return tidy(() => {
    const unit = full([1, 1], 1);
    const zero = full([1, 1], zeroPoint ?? 0, 'i32');
    const y = empty(codes.shape);
    const oneGroup = codes.shape[1] as number;
    native.dequantize(codes.handle, unit.handle, zero.handle, null, min, max, oneGroup, null, y.handle);
    return Int8Array.from(y.toArray() as Float32Array);
  });
}
