import { crossEntropy } from '../autograd';
import { batchCount, batches } from '../data/batches';
import { type ClassificationData, checkClassification, selectExamples } from '../data/classification';
import { shiftImages } from '../data/images';
import { TersorError } from '../errors';
import { tensor } from '../tensor';
import type { TrainingTask } from './task';

/** Options of {@link classificationTask}. */
export interface ClassificationTaskOptions {
  /** Shift each image by up to this many pixels in every direction, anew at every step; the rows are images of this size. */
  readonly shift?: { readonly height: number; readonly width: number; readonly pixels: number };
}

/**
 * Training to predict labels: cross-entropy on seeded, shuffled batches.
 *
 * @throws ERR_TERSOR_DATA for data that cannot be trained on: none, of lengths that do not fit, with NaN or a label out of range;
 *   ERR_TERSOR_SHAPE when a row is not an image of the size to shift
 * @example
 * const data = { inputs: Float32Array.of(0, 1), labels: Int32Array.of(0, 1), features: 1, classes: 2 }
 * const model = tersor.initialize(tersor.mlp([1, 2])).trainable()
 * await tersor.fit(model, tersor.classificationTask(data), { epochs: 10 })
 */
export function classificationTask(data: ClassificationData, { shift }: ClassificationTaskOptions = {}): TrainingTask {
  checkClassification(data, 'classificationTask');
  if (shift !== undefined && shift.height * shift.width !== data.features) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected images of ${data.features} pixels, got ${shift.height} x ${shift.width}, at shift of classificationTask`,
    );
  }
  const count = data.labels.length;
  const orderOf = rememberingLast((key: EpochKey) => batches(count, key));
  return {
    stepsPerEpoch: (batchSize) => batchCount(count, batchSize),
    batch(step, { batchSize, seed }) {
      const perEpoch = batchCount(count, batchSize);
      const order = orderOf({ batchSize, seed, epoch: Math.floor(step / perEpoch) });
      const { inputs, labels } = selectExamples(data, order[step % perEpoch] as Int32Array);
      const images =
        shift === undefined
          ? inputs
          : shiftImages(inputs, { height: shift.height, width: shift.width, shift: shift.pixels, seed, step });
      return { inputs: [tensor(images, [labels.length, data.features])], targets: tensor(labels) };
    },
    loss: crossEntropy,
  };
}

interface EpochKey {
  readonly batchSize: number;
  readonly seed: number;
  readonly epoch: number;
}

/** Remembers the last result: the steps of an epoch share its order. */
function rememberingLast<R>(compute: (key: EpochKey) => R): (key: EpochKey) => R {
  let last: { id: string; result: R } | undefined;
  return (key) => {
    const id = JSON.stringify(key);
    if (last?.id !== id) last = { id, result: compute(key) };
    return last.result;
  };
}
