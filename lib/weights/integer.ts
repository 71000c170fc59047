import { native } from '../native';
import { empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import { type InputQuantization, InputQuantizer } from './input';
import { codeRange, type QuantizationScheme } from './scheme';

/** What the integer kernels need beside the weight's int8 values. */
export interface IntegerOperands {
  readonly input: InputQuantizer;
  /** f32 [rows] or [1]. */
  readonly scales: Tensor;
  /** i32 [rows]: sums of the weight's integers, which the input's zero point is multiplied by. */
  readonly rowSums: Tensor;
}

/**
 * @param scales the weight's scales, one per row or a single one; shared
 * @param rowSums sum of each row's integers
 */
export function integerOperands(input: InputQuantization, scales: Tensor, rowSums: Int32Array): IntegerOperands {
  return {
    input: new InputQuantizer(input),
    scales: keep(scales.reshape([scales.size])),
    rowSums: keep(tensor(rowSums)),
  };
}

/** Frees the operands. */
export function disposeIntegerOperands({ input, scales, rowSums }: IntegerOperands): void {
  input.dispose();
  scales.dispose();
  rowSums.dispose();
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
