import type { Tensor } from '../../lib/tensor';

/** Largest relative error of one rounding to f32. */
export const EPSILON = 2 ** -24;

/**
 * Fails unless every element is within its tolerance of what is expected; the message shows the worst element.
 *
 * @param tolerance for all elements, or one for each; derived by the caller from the size of the terms and {@link EPSILON}
 */
export function expectClose(
  actual: Tensor | ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number | ArrayLike<number>,
  what: string,
): void {
  const values = ('toArray' in actual ? actual.toArray() : actual) as ArrayLike<number>;
  if (values.length !== expected.length) {
    throw new Error(`${what}: expected ${expected.length} elements, got ${values.length}`);
  }
  let worst = { excess: 1, text: '' };
  for (let i = 0; i < expected.length; i++) {
    const allowed = typeof tolerance === 'number' ? tolerance : (tolerance[i] as number);
    const error = Math.abs((values[i] as number) - (expected[i] as number));
    const excess = error === 0 ? 0 : error / allowed;
    // Written so that NaN fails.
    if (excess <= worst.excess) continue;
    worst = { excess, text: `element ${i}: expected ${expected[i]} ± ${allowed}, got ${values[i]} (off by ${error})` };
    if (Number.isNaN(excess)) break;
  }
  if (worst.text !== '') throw new Error(`${what}: ${worst.text}`);
}

/** Fails unless both hold the same bits. */
export function expectSameBits(actual: Tensor, expected: Tensor, what: string): void {
  const [a, b] = [actual, expected].map((x) => {
    const { buffer, byteOffset, byteLength } = x.toArray();
    return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  }) as [Buffer, Buffer];
  if (a.equals(b) && actual.shape.join() === expected.shape.join()) return;
  const [got, wanted] = [actual.toArray(), expected.toArray()];
  const first = got.findIndex((value, i) => !Object.is(value, wanted[i]));
  throw new Error(`${what}: expected the same bits, got ${got[first]} for ${wanted[first]}, at element ${first}`);
}
