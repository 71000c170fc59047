import { TersorError } from '../errors';
import { Activation, native } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { ACTIVATIONS, type ActivationName, activate } from './activations';
import { isTracked, record } from './tape';

/** A number for both axes, or [down, across]. */
export type Pair = number | readonly [down: number, across: number];

/** Options of {@link conv2d}. */
export interface ConvolutionOptions {
  /** f32 [out], added to every position of a channel. */
  readonly bias?: Tensor | null;
  /** Pixels from one position to the next. Default 1. */
  readonly stride?: Pair;
  /** Rows and columns of zeros on each side. Default 0. */
  readonly padding?: Pair;
  /** Pixels from one element of the kernel to the next. Default 1. */
  readonly dilation?: Pair;
  /** Parts that channels are cut into, each convolved by itself; as many as channels: depthwise. Default 1. */
  readonly groups?: number;
  /** Applied inside the same kernel, after the bias. */
  readonly activation?: ActivationName | null;
}

/**
 * Convolution of images (cross-correlation, as in every deep learning library).
 *
 * @param x f32 [n, channels, height, width]
 * @param weight f32 [out, channels / groups, kernel height, kernel width] (PyTorch convention)
 * @returns f32 [n, out, rows, columns], rows = ⌊(height + 2 padding − dilation (kernel − 1) − 1) / stride⌋ + 1; differentiable in
 *   x, weight and bias
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE; ERR_TERSOR_OUT_OF_RANGE for a stride, dilation or number of groups below 1
 * @example
 * const image = tersor.tensor([[1, 2], [3, 4]]).reshape([1, 1, 2, 2])
 * const y = tersor.ops.conv2d(image, tersor.full([1, 1, 2, 2], 1))
 * console.log(y.toArray()) // 10
 */
export function conv2d(x: Tensor, weight: Tensor, options: ConvolutionOptions = {}): Tensor {
  const { bias = null, groups = 1, activation = null } = options;
  const [stride, padding, dilation] = [pair(options.stride, 1), pair(options.padding, 0), pair(options.dilation, 1)];
  if (activation !== null && [x, weight, bias].some((input) => input !== null && isTracked(input))) {
    return activate(activation, conv2d(x, weight, { ...options, activation: null }));
  }
  if (x.shape.length !== 4 || weight.shape.length !== 4) {
    const shapes = [x, weight].map(({ shape }) => `[${shape.join(', ')}]`).join(' and ');
    throw new TersorError('ERR_TERSOR_SHAPE', `expected x and weight of 4 dimensions, got ${shapes}, at conv2d`);
  }
  const settings = [...stride, ...padding, ...dilation, groups] as const;
  const sizes = ([0, 1] as const).map((axis) => {
    const room = (x.shape[2 + axis] as number) + 2 * padding[axis];
    const reach = dilation[axis] * ((weight.shape[2 + axis] as number) - 1) + 1;
    // The operation refuses a stride below 1.
    return stride[axis] > 0 ? Math.max(0, Math.floor((room - reach) / stride[axis]) + 1) : 0;
  });
  const y = filled(empty([x.shape[0] as number, weight.shape[0] as number, ...sizes]), (y) =>
    native.conv2d(
      x.handle,
      weight.handle,
      ...settings,
      bias?.handle ?? null,
      activation === null ? Activation.identity : ACTIVATIONS[activation],
      y.handle,
    ),
  );
  return record(y, [x, weight, bias], (dy, wanted) => {
    const dx = wanted[0] ? empty(x.shape) : null;
    const dweight = wanted[1] ? empty(weight.shape) : null;
    const dbias = wanted[2] && bias !== null ? empty(bias.shape) : null;
    const outputs = [dx, dweight, dbias].map((gradient) => gradient?.handle ?? null);
    const [toX, toWeight, toBias] = outputs as [(typeof outputs)[0], (typeof outputs)[0], (typeof outputs)[0]];
    native.conv2dGradient(x.handle, weight.handle, ...settings, dy.handle, toX, toWeight, toBias);
    return [dx, dweight, dbias];
  });
}

/** Both axes of a {@link Pair}. */
export function pair(value: Pair | undefined, otherwise: number): readonly [number, number] {
  if (value === undefined) return [otherwise, otherwise];
  return typeof value === 'number' ? [value, value] : value;
}
