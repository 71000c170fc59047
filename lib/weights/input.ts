import { fakeQuantize } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { type Affine, affineArguments, empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import { LARGEST, SMALLEST_NORMAL } from './f32';
import { roundHalfEven } from './scheme';

const CODES = 255;

/** Static per-tensor quantization of a matmul's input to uint8: the integer kernels need it. */
export interface InputQuantization {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Parameters whose 256 codes cover [min, max] and 0 exactly. A range too small for the kernels, such as that of all-zero inputs, gets steps of 1. */
export function inputQuantizationFor([min, max]: readonly [number, number]): InputQuantization {
  const low = Math.min(min, 0);
  const step = Math.fround((Math.max(max, 0) - low) / CODES);
  const scale = step < SMALLEST_NORMAL ? 1 : step;
  return { scale, zeroPoint: Math.min(Math.max(roundHalfEven(-low / scale), 0), CODES) };
}

/** Turns f32 inputs into uint8 codes. Owns its two parameters' memory. */
export class InputQuantizer {
  readonly scale: number;
  readonly zeroPoint: number;
  private readonly affine: InputAffine;

  constructor(quantization: InputQuantization) {
    this.scale = quantization.scale;
    this.zeroPoint = quantization.zeroPoint;
    this.affine = affineOf(quantization);
    keep(this.affine.scales);
    keep(this.affine.zeroPoints);
  }

  /** f32 [n, in] → u8 [n, in]. */
  quantize(x: Tensor): Tensor {
    const codes = empty(x.shape, 'u8');
    native.quantize(x.handle, ...affineArguments(this.affine), codes.handle);
    return codes;
  }

  dispose(): void {
    this.affine.scales.dispose();
    this.affine.zeroPoints.dispose();
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
    // The outermost codes of a range that fills f32 stand for numbers beyond it.
    const bounds = [-zeroPoint * scale, (CODES - zeroPoint) * scale].map((bound) =>
      Math.min(Math.max(bound, -LARGEST), LARGEST),
    );
    return new InputObserver(DEFAULT_OBSERVER, bounds as [number, number]);
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

type InputAffine = Affine & { readonly zeroPoints: Tensor };

function affineOf({ scale, zeroPoint }: InputQuantization): InputAffine {
  return {
    scales: full([1, 1], scale),
    zeroPoints: full([1, 1], zeroPoint, 'i32'),
    biases: null,
    codeMin: 0,
    codeMax: CODES,
    groupSize: Number.MAX_SAFE_INTEGER,
  };
}
