import { epilogueArguments, type LinearOptions } from '../autograd';
import { type Int8Epilogue, native } from '../native';
import { empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import { type InputQuantization, InputQuantizer } from './input';
import type { PackedCsr } from './packed-csr';
import { codeRange, type QuantizationScheme } from './scheme';

/** A prepared x · Wᵀ. */
export interface Product {
  /** f32 [n, in] → f32 [n, out], then bias, activation and residual. */
  multiply(x: Tensor, options: LinearOptions): Tensor;
  /** Frees the operands. */
  dispose(): void;
}

/** What an integer product needs beside the weight's int8 values. */
export interface IntegerOperands {
  readonly input: InputQuantization;
  /** f32 [rows or 1, 1]; shared, not taken over. */
  readonly scales: Tensor;
  /** Sum of each row's integers, which the input's zero point is multiplied by. */
  readonly rowSums: Int32Array;
}

/**
 * Quantizes the inputs to uint8, multiplies exactly, rescales.
 *
 * @param weight i8 [rows, columns]; taken over
 */
export function denseIntegerProduct(weight: Tensor, operands: IntegerOperands): Product {
  keep(weight);
  return integerProduct(weight.shape[0] as number, [weight], operands, (x, epilogue, y) =>
    native.gemmInt8(x.handle, weight.handle, ...epilogue, y.handle),
  );
}

/**
 * The same numbers, to the bit, from the nonzeros alone.
 *
 * @param csr of int8 values; taken over
 */
export function sparseIntegerProduct(csr: PackedCsr, operands: IntegerOperands): Product {
  return integerProduct(operands.rowSums.length, [csr], operands, (x, epilogue, y) =>
    native.csrGemmInt8(x.handle, ...csr.arguments(), ...epilogue, y.handle),
  );
}

function integerProduct(
  rows: number,
  parts: readonly { dispose(): void }[],
  operands: IntegerOperands,
  run: (x: Tensor, epilogue: Int8Epilogue, y: Tensor) => void,
): Product {
  const input = new InputQuantizer(operands.input);
  const scales = keep(operands.scales.reshape([operands.scales.size]));
  const rowSums = keep(tensor(operands.rowSums));
  return {
    multiply(x, options) {
      const y = empty([x.shape[0] ?? 0, rows]);
      const { scale, zeroPoint } = input;
      run(input.quantize(x), [scale, zeroPoint, scales.handle, rowSums.handle, ...epilogueArguments(options)], y);
      return y;
    },
    dispose() {
      input.dispose();
      for (const part of [...parts, scales, rowSums]) part.dispose();
    },
  };
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
