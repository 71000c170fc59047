import { TersorError } from '../errors';
import { native } from '../native';
import { empty, type Tensor, tidy } from '../tensor';
import { filled } from '../tensor/tensor';
import { add, scale } from './elementwise';
import { noGrad, record } from './tape';

/** Mean and variance of each channel, f32 [channels], as training has seen them. */
export interface RunningStatistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/** Options of {@link batchNorm2d}. */
export interface BatchNormOptions {
  /** Added to the variance, so that a channel of equal pixels does not divide by 0. Default 1e-5. */
  readonly epsilon?: number;
  /** Normalize by the moments of x itself, and move `running` towards them; else by `running`. Default false. */
  readonly training?: boolean;
  /** Share of the batch's moments in the new running ones. Default 0.1. */
  readonly momentum?: number;
}

/**
 * Batch norm of images (Ioffe and Szegedy 2015): (x − mean) / √(variance + ε) ∘ weight + bias for each channel. The running variance is that
 * of a sample (divided by one less), as in PyTorch.
 *
 * @param x f32 [n, channels, height, width]
 * @param running read when not training, moved in place when training; null: training keeps none
 * @param weight f32 [channels], or null for 1
 * @param bias f32 [channels], or null for 0
 * @returns of x's shape; differentiable in x, weight and bias
 * @throws ERR_TERSOR_SHAPE, also for training on one pixel per channel; ERR_TERSOR_DTYPE; ERR_TERSOR_OUT_OF_RANGE for an epsilon below 0 or
 *   a momentum outside 0..1; ERR_TERSOR_INVALID_ARGUMENT without running statistics when not training
 * @example
 * const images = tersor.tensor([1, 3]).reshape([2, 1, 1, 1])
 * const running = { mean: tersor.tensor([0]), variance: tersor.tensor([1]) }
 * const y = tersor.ops.batchNorm2d(images, running, null, null, { training: true })
 * console.log(y.toArray(), running.mean.toArray()) // -0.999995, 0.999995; 0.2
 */
export function batchNorm2d(
  x: Tensor,
  running: RunningStatistics | null,
  weight: Tensor | null,
  bias: Tensor | null,
  { epsilon = 1e-5, training = false, momentum = 0.1 }: BatchNormOptions = {},
): Tensor {
  const { mean, variance } = training ? momentsOf(x, running, momentum) : expectRunning(running);
  const norm = [mean.handle, variance.handle, weight?.handle ?? null, bias?.handle ?? null, epsilon] as const;
  const y = filled(empty(x.shape), (y) => native.batchNorm2d(x.handle, ...norm, y.handle));
  return record(y, [x, weight, bias], (dy, wanted) => {
    const dx = wanted[0] ? empty(x.shape) : null;
    const dweight = wanted[1] && weight !== null ? empty(weight.shape) : null;
    const dbias = wanted[2] && bias !== null ? empty(bias.shape) : null;
    const [toX, toWeight, toBias] = [dx?.handle ?? null, dweight?.handle ?? null, dbias?.handle ?? null];
    native.batchNorm2dGradient(x.handle, ...norm, training, dy.handle, toX, toWeight, toBias);
    return [dx, dweight, dbias];
  });
}

function expectRunning(running: RunningStatistics | null): RunningStatistics {
  if (running !== null) return running;
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    'expected running statistics when not training, got null, at running of batchNorm2d',
  );
}

function momentsOf(x: Tensor, running: RunningStatistics | null, momentum: number): RunningStatistics {
  const [images = 0, channels = 0, height = 0, width = 0] = x.shape;
  const count = images * height * width;
  if (x.shape.length !== 4 || count < 2) {
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected images [n, channels, height, width] of 2 or more pixels per channel in training, got [${x.shape.join(', ')}]`,
    );
  }
  if (!(momentum >= 0 && momentum <= 1)) {
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected a number in [0, 1], got ${momentum}, at momentum`);
  }
  const moments = { mean: empty([channels]), variance: empty([channels]) };
  native.channelMoments(x.handle, moments.mean.handle, moments.variance.handle);
  if (running !== null) {
    move(running.mean, moments.mean, momentum, 1);
    move(running.variance, moments.variance, momentum, count / (count - 1));
  }
  return moments;
}

/** to = (1 − momentum) · to + momentum · factor · from */
function move(to: Tensor, from: Tensor, momentum: number, factor: number): void {
  noGrad(() => tidy(() => to.copyFrom(add(scale(to, 1 - momentum), scale(from, momentum * factor)))));
}
