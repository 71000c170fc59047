import { epilogueArguments } from '../autograd';
import { native } from '../native';
import { empty, keep, type Tensor } from '../tensor';
import { codeOf } from '../tensor/dtype';
import type { Product } from './integer';

/** Smaller matrices stay in a core's cache, where the kernels read them as they are just as fast. */
const FEWEST_ELEMENTS = 2 ** 17;

/** Fewer rows would leave most of a panel empty. */
const FEWEST_ROWS = 32;

/** Whether products with a matrix of numbers are faster when it has been copied once into the order in which they read it. */
export function repaysPacking([rows = 0, columns = 0, ...others]: readonly number[]): boolean {
  return others.length === 0 && rows >= FEWEST_ROWS && rows * columns >= FEWEST_ELEMENTS;
}

/**
 * Multiplies by a matrix that is copied once into the order in which the device's kernels read it.
 *
 * @param values f32 or bf16 [rows, columns]; stays the caller's
 */
export function panelProduct(values: Tensor): Product {
  const [rows, columns] = values.shape as readonly [number, number];
  const elements = native.packedElements(rows, columns, codeOf(values.dtype), values.device);
  const panels = empty([elements], values.dtype, values.device);
  native.packGemm(values.handle, panels.handle);
  keep(panels);
  return {
    multiply(x, options) {
      const y = empty([x.shape[0] ?? 0, rows]);
      native.gemmPacked(x.handle, panels.handle, rows, columns, ...epilogueArguments(options), y.handle);
      return y;
    },
    multiplyPlus(x, factors, options) {
      const y = empty([x.shape[0] ?? 0, rows]);
      const end = [...factors.arguments(), ...epilogueArguments(options)] as const;
      native.lowRankGemmPacked(x.handle, panels.handle, rows, columns, ...end, y.handle);
      return y;
    },
    dispose() {
      panels.dispose();
    },
  };
}
