import { fakeQuantize } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import type { Affine } from '../tensor/affine';
import { roundHalfEven } from './scheme';

const CODES = 255;

/** Static per-tensor quantization of a matmul's input to uint8: the integer kernels need it. */
export interface InputQuantization {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Parameters whose 256 codes cover [min, max] and 0 exactly. */
export function inputQuantizationFor([min, max]: readonly [number, number]): InputQuantization {
  const low = Math.min(min, 0);
  const scale = Math.fround((Math.max(max, 0) - low) / CODES) || 1;
  return { scale, zeroPoint: Math.min(Math.max(roundHalfEven(-low / scale), 0), CODES) };
}

/** Turns f32 inputs into uint8 codes. Owns its two parameters' memory. */
export class InputQuantizer {
  readonly scale: number;
  readonly zeroPoint: number;
  private readonly affine: Affine;

  constructor({ scale, zeroPoint }: InputQuantization) {
    this.scale = scale;
    this.zeroPoint = zeroPoint;
    this.affine = keepAffine({ scale, zeroPoint });
  }

  /** f32 [n, in] → u8 [n, in]. */
  quantize(x: Tensor): Tensor {
    const codes = empty(x.shape, 'u8');
    const { scales, zeroPoints, codeMin, codeMax, groupSize } = this.affine;
    native.quantize(
      x.handle,
      scales.handle,
      zeroPoints?.handle ?? null,
      null,
      codeMin,
      codeMax,
      groupSize,
      codes.handle,
    );
    return codes;
  }

  dispose(): void {
    this.affine.scales.dispose();
    this.affine.zeroPoints?.dispose();
  }
}

/** How an activation range is followed over batches. */
export interface ObserverOptions {
  /** 'ema': exponential moving average of the batches' ranges; 'min-max': the widest range seen. */
  readonly observer: 'ema' | 'min-max';
  /** Weight of the past in 'ema', 0..1. */
  readonly momentum: number;
}

/** What the reference implementations of quantization-aware training use (Jacob et al. 2018). */
export const DEFAULT_OBSERVER: ObserverOptions = { observer: 'ema', momentum: 0.99 };

/** Watches the inputs of a matmul while it trains, and rounds them as {@link InputQuantizer} will. */
export class InputObserver {
  /** f32 [2]: smallest and largest value; NaN before the first batch. */
  readonly range: Tensor;
  /** Follow the inputs, or only round them. */
  observing = true;
  private readonly options: ObserverOptions;

  constructor(options: ObserverOptions, range: readonly [number, number] = [Number.NaN, Number.NaN]) {
    this.options = options;
    this.range = keep(tensor(Float32Array.from(range)));
  }

  /** Continues from parameters that were chosen before. */
  static of({ scale, zeroPoint }: InputQuantization): InputObserver {
    return new InputObserver(DEFAULT_OBSERVER, [-zeroPoint * scale, (CODES - zeroPoint) * scale]);
  }

  /** @throws ERR_TERSOR_INVALID_ARGUMENT before anything was observed */
  quantization(): InputQuantization {
    const [min, max] = this.range.toArray() as Float32Array;
    if (min === undefined || max === undefined || Number.isNaN(min)) {
      throw new TersorError(
        'ERR_TERSOR_INVALID_ARGUMENT',
        'expected an observed activation range, got none, at a weight whose inputs are to be quantized: run calibration or training batches first',
      );
    }
    return inputQuantizationFor([min, max]);
  }

  fakeQuantize(x: Tensor): Tensor {
    if (this.observing) this.observe(x);
    return fakeQuantize(x, affineOf(this.quantization()));
  }

  dispose(): void {
    this.range.dispose();
  }

  private observe(x: Tensor): void {
    if (x.size === 0) return;
    tidy(() => {
      const low = empty([1, 1]);
      const high = empty([1, 1]);
      native.minMax(x.handle, x.shape[1] ?? 1, low.handle, high.handle);
      const [min, max] = this.range.toArray() as Float32Array as unknown as [number, number];
      this.range.write(
        Float32Array.of(this.follow(min, low.item(), Math.min), this.follow(max, high.item(), Math.max)),
      );
    });
  }

  private follow(past: number, now: number, widest: (a: number, b: number) => number): number {
    if (Number.isNaN(past)) return now;
    const { observer, momentum } = this.options;
    return observer === 'ema' ? momentum * past + (1 - momentum) * now : widest(past, now);
  }
}

function affineOf({ scale, zeroPoint }: InputQuantization): Affine {
  return {
    scales: full([1, 1], scale),
    zeroPoints: full([1, 1], zeroPoint, 'i32'),
    biases: null,
    codeMin: 0,
    codeMax: CODES,
    groupSize: Number.MAX_SAFE_INTEGER,
  };
}

function keepAffine(quantization: InputQuantization): Affine {
  const affine = affineOf(quantization);
  keep(affine.scales);
  if (affine.zeroPoints !== null) keep(affine.zeroPoints);
  return affine;
}
