import { TersorError } from '../../errors';
import { checkNotEmpty, checkNumber, type MetricValues } from './metric';

/** Index of the largest value of a row; the lowest index among equals. */
function argmax(values: ArrayLike<number>, start: number, length: number, where: string): number {
  let best = 0;
  let largest = checkNumber(values[start], `${where}[${start}]`);
  for (let i = 1; i < length; i++) {
    const value = checkNumber(values[start + i], `${where}[${start + i}]`);
    if (value > largest) {
      largest = value;
      best = i;
    }
  }
  return best;
}

/**
 * Top-1 accuracy: 1 for an example whose largest logit is its label's, else 0. Among equal largest logits the lowest
 * class wins, so a model that answers the same for every class scores as if it always said class 0.
 *
 * @param logits [n, classes], row-major; probabilities do as well
 * @param labels [n], integers 0..classes-1
 * @throws TersorError ERR_TERSOR_NOT_FINITE for a NaN logit, ERR_TERSOR_SHAPE when the lengths do not fit,
 *   ERR_TERSOR_OUT_OF_RANGE for a label that is no class, ERR_TERSOR_DATA for an empty set
 *
 * @example
 * const { values } = accuracy(Float32Array.of(0.1, 0.9, 0.8, 0.2), [1, 1], 2); // Float64Array [1, 0]
 * console.log(mean(values)); // 0.5
 */
export function accuracy(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): MetricValues {
  checkNotEmpty(labels.length, 'example');
  if (!Number.isInteger(classes) || classes < 1 || logits.length !== labels.length * classes) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected ${labels.length} x ${classes} logits, got ${logits.length}, at logits`,
    );
  }
  const values = new Float64Array(labels.length);
  for (let i = 0; i < values.length; i++) {
    const label = labels[i]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new TersorError(
        'ERR_TERSOR_OUT_OF_RANGE',
        `expected a class in 0..${classes - 1}, got ${label}, at labels[${i}]`,
      );
    }
    values[i] = argmax(logits, i * classes, classes, 'logits') === label ? 1 : 0;
  }
  return { name: 'accuracy', values };
}
