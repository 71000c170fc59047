import { TersorError } from '../errors';
import { native, type Pooling, PoolMode } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { type Pair, pair } from './convolution';
import { record } from './tape';

/** Options of {@link maxPool2d}. */
export interface PoolOptions {
  /** Rows and columns of a window. */
  readonly kernel: Pair;
  /** Pixels from one window to the next. Default: the kernel's size, so that windows touch. */
  readonly stride?: Pair;
  /** Rows and columns around the image that windows may reach into, less than the kernel's. Default 0. */
  readonly padding?: Pair;
}

/** Options of {@link averagePool2d}. */
export interface AveragePoolOptions extends PoolOptions {
  /** Whether padding counts as zeros, or only pixels of the image count. Default true, as in PyTorch. */
  readonly countPadding?: boolean;
}

/**
 * The largest pixel of each window of an image. The gradient goes to the first pixel that is the largest. A window with NaN gives NaN.
 *
 * @param x f32 [n, channels, height, width]
 * @returns f32 [n, channels, rows, columns], rows = ⌊(height + 2 padding − kernel) / stride⌋ + 1; differentiable
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE; ERR_TERSOR_OUT_OF_RANGE for a kernel or stride below 1
 * @example
 * const image = tersor.tensor([[1, 2], [3, 4]]).reshape([1, 1, 2, 2])
 * console.log(tersor.ops.maxPool2d(image, { kernel: 2 }).toArray()) // 4
 */
export function maxPool2d(x: Tensor, options: PoolOptions): Tensor {
  return pool(x, PoolMode.max, options, false);
}

/**
 * The mean of each window of an image.
 *
 * @param x f32 [n, channels, height, width]
 * @returns as {@link maxPool2d}
 * @throws as {@link maxPool2d}
 * @example
 * const image = tersor.tensor([[1, 2], [3, 4]]).reshape([1, 1, 2, 2])
 * console.log(tersor.ops.averagePool2d(image, { kernel: 2 }).toArray()) // 2.5
 */
export function averagePool2d(x: Tensor, options: AveragePoolOptions): Tensor {
  return pool(x, PoolMode.mean, options, options.countPadding ?? true);
}

function pool(x: Tensor, mode: PoolMode, options: PoolOptions, countPadding: boolean): Tensor {
  const [kernel, padding] = [pair(options.kernel, 1), pair(options.padding, 0)];
  const stride = options.stride === undefined ? kernel : pair(options.stride, 1);
  if (x.shape.length !== 4) {
    throw new TersorError('ERR_TERSOR_SHAPE', `expected x of 4 dimensions, got [${x.shape.join(', ')}], at pooling`);
  }
  const sizes = ([0, 1] as const).map((axis) => {
    const room = (x.shape[2 + axis] as number) + 2 * padding[axis] - kernel[axis];
    // The operation refuses a stride below 1.
    return stride[axis] > 0 ? Math.max(0, Math.floor(room / stride[axis]) + 1) : 0;
  });
  const settings: Pooling = [mode, ...kernel, ...stride, ...padding, countPadding];
  const y = filled(empty([x.shape[0] as number, x.shape[1] as number, ...sizes]), (y) =>
    native.pool2d(x.handle, ...settings, y.handle),
  );
  return record(y, [x], (dy) => {
    const dx = empty(x.shape);
    native.pool2dGradient(x.handle, ...settings, dy.handle, dx.handle);
    return [dx];
  });
}
