import { crossEntropy } from '../autograd';
import { batchCount, batches } from '../data/batches';
import { type ClassificationData, selectExamples } from '../data/classification';
import { shiftImages } from '../data/images';
import { tensor } from '../tensor';
import type { TrainingTask } from './task';

/** Options of {@link classificationTask}. */
export interface ClassificationTaskOptions {
  /** Shift each image by up to this many pixels in every direction, anew at every step; the rows are images of this size. */
  readonly shift?: { readonly height: number; readonly width: number; readonly pixels: number };
}

/** Training to predict labels: cross-entropy on seeded, shuffled batches. */
export function classificationTask(data: ClassificationData, { shift }: ClassificationTaskOptions = {}): TrainingTask {
  const count = data.labels.length;
  const orderOf = cachedByKey((key: EpochKey) => batches(count, key));
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
function cachedByKey<R>(compute: (key: EpochKey) => R): (key: EpochKey) => R {
  let last: { id: string; result: R } | undefined;
  return (key) => {
    const id = JSON.stringify(key);
    if (last?.id !== id) last = { id, result: compute(key) };
    return last.result;
  };
}
