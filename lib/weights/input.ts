import { fakeQuantize } from '../autograd';
import { TersorError } from '../errors';
import { native } from '../native';
import { type Affine, affineArguments, empty, full, keep, type Tensor, tensor, tidy } from '../tensor';
import { LARGEST, SMALLEST_NORMAL } from './f32';
import { Histogram } from './histogram';
import { roundHalfEven } from './scheme';

const CODES = 255;

/** Static per-tensor quantization of a matmul's input to uint8. */
export interface StaticInput {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * How a matmul's input becomes uint8, as the integer kernels need it: by fixed parameters, which cost nothing, or 'dynamic': each row by
 * its own range, which needs no calibration and takes any input. A row with NaN or infinity then gives NaN; static quantization refuses it.
 */
export type InputQuantization = StaticInput | 'dynamic';

/** Parameters that are fixed, if any are. */
export function staticInput(input: InputQuantization | null | undefined): StaticInput | null {
  return input === 'dynamic' ? null : (input ?? null);
}

/**
 * How far products in f32 with a quantized weight may round their input, with scales found at every call: one for a row and 128 to 256
 * columns (those of a group of 128 columns or more, 256 of longer groups, as many smaller groups as fit into 256). Of a typical product the
 * result changes by 0.7 % (int8) or 0.003 % (int16) of its norm. Devices without an int8 unit, and weights in groups that no kernel reads,
 * round less; int8 also rounds the values of a codebook, by half a step of 127 in the largest. NaN and infinity give what they give in f32.
 */
export type InputPrecision = 'int8' | 'int16';

/** What a weight's representation says of its inputs: ", int8 inputs". */
export function describeInput(input: InputQuantization | null | undefined): string {
  if (!input) return '';
  return input === 'dynamic' ? ', dynamic int8 inputs' : ', int8 inputs';
}

/** Parameters whose 256 codes cover [min, max] and 0 exactly. A range too small for the kernels, such as that of all-zero inputs, gets steps of 1. */
export function inputQuantizationFor([min, max]: readonly [number, number]): StaticInput {
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

  constructor(quantization: StaticInput) {
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
  /**
   * 'ema': exponential moving average of the batches' ranges; 'min-max': the widest range seen; 'histogram': the one whose codes leave the
   * least squared error of all values seen; 'percentile': the one that leaves out the outermost.
   */
  readonly observer: 'ema' | 'min-max' | 'histogram' | 'percentile';
  /** Weight of the past in 'ema', 0..1. Default 0.99. */
  readonly momentum?: number;
  /** Of 'percentile': how many percent of the values are not above the range, and not below it, 50..100. Default 99.99. */
  readonly percentile?: number;
}

/** What the reference implementations of quantization-aware training use (Jacob et al. 2018). */
export const DEFAULT_OBSERVER = { observer: 'ema', momentum: 0.99 } as const satisfies ObserverOptions;

/** Leaves out one value of ten thousand at each end. */
export const DEFAULT_PERCENTILE = 99.99;

/** Rounds the inputs of a matmul that is trained, as the packed weight will. */
export interface InputRounding {
  /** Follow the inputs, or only round them. */
  observing: boolean;
  /** What training has to remember, by name. */
  state(): ReadonlyMap<string, Tensor>;
  fakeQuantize(x: Tensor): Tensor;
  /** @throws ERR_TERSOR_INVALID_ARGUMENT before anything was observed */
  quantization(): InputQuantization;
  dispose(): void;
}

/** Continues from what was chosen before. */
export function inputRounding(input: InputQuantization): InputRounding {
  return input === 'dynamic' ? new DynamicRounding() : InputObserver.of(input);
}

/** Rounds every row of the inputs to 256 codes of its own range. */
export class DynamicRounding implements InputRounding {
  observing = true;

  state(): ReadonlyMap<string, Tensor> {
    return new Map();
  }

  fakeQuantize(x: Tensor): Tensor {
    const [rows = 0, columns = 0] = x.shape;
    if (x.size === 0) return x;
    const low = empty([rows, 1]);
    const high = empty([rows, 1]);
    native.minMax(x.handle, columns, low.handle, high.handle);
    const maxima = high.toArray() as Float32Array;
    const rowCodes = Array.from(low.toArray() as Float32Array, (min, i) => inputQuantizationFor([min, maxima[i] ?? 0]));
    return fakeQuantize(x, {
      ...affineOf({ scale: 1, zeroPoint: 0 }),
      scales: tensor(
        Float32Array.from(rowCodes, ({ scale }) => scale),
        [rows, 1],
      ),
      zeroPoints: tensor(
        Int32Array.from(rowCodes, ({ zeroPoint }) => zeroPoint),
        [rows, 1],
      ),
    });
  }

  quantization(): InputQuantization {
    return 'dynamic';
  }

  dispose(): void {}
}

/** Watches the inputs of a matmul while it trains, and rounds them as {@link InputQuantizer} will. */
export class InputObserver implements InputRounding {
  /** f32 [2]: the range that codes cover; NaN before the first batch. */
  readonly range: Tensor;
  observing = true;
  private readonly options: ObserverOptions;
  private readonly histogram: Histogram | null;

  constructor(options: ObserverOptions, range: readonly [number, number] = [Number.NaN, Number.NaN]) {
    this.options = options;
    this.range = keep(tensor(Float32Array.from(range)));
    this.histogram = options.observer === 'histogram' || options.observer === 'percentile' ? new Histogram() : null;
  }

  /** Continues from parameters that were chosen before. */
  static of({ scale, zeroPoint }: StaticInput): InputObserver {
    // The outermost codes of a range that fills f32 stand for numbers beyond it.
    const bounds = [-zeroPoint * scale, (CODES - zeroPoint) * scale].map((bound) =>
      Math.min(Math.max(bound, -LARGEST), LARGEST),
    );
    return new InputObserver(DEFAULT_OBSERVER, bounds as [number, number]);
  }

  /** @throws ERR_TERSOR_INVALID_ARGUMENT before anything was observed */
  quantization(): StaticInput {
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

  state(): ReadonlyMap<string, Tensor> {
    return new Map([['input_range', this.range], ...(this.histogram?.state() ?? [])]);
  }

  dispose(): void {
    this.range.dispose();
    this.histogram?.dispose();
  }

  private observe(x: Tensor): void {
    if (x.size === 0) return;
    tidy(() => {
      this.histogram?.add(x);
      this.range.write(Float32Array.from(this.rangeWith(x)));
    });
  }

  private rangeWith(x: Tensor): readonly [number, number] {
    const { observer, percentile = DEFAULT_PERCENTILE } = this.options;
    if (this.histogram !== null) {
      return observer === 'percentile' ? this.histogram.percentile(percentile) : this.histogram.leastError(CODES);
    }
    const low = empty([1, 1]);
    const high = empty([1, 1]);
    native.minMax(x.handle, x.shape[1] ?? 1, low.handle, high.handle);
    const [min, max] = this.range.toArray() as Float32Array as unknown as [number, number];
    return [this.follow(min, low.item(), Math.min), this.follow(max, high.item(), Math.max)];
  }

  private follow(past: number, now: number, widest: (a: number, b: number) => number): number {
    if (Number.isNaN(past)) return now;
    const { observer, momentum = DEFAULT_OBSERVER.momentum } = this.options;
    return observer === 'ema' ? momentum * past + (1 - momentum) * now : widest(past, now);
  }
}

type InputAffine = Affine & { readonly zeroPoints: Tensor };

function affineOf({ scale, zeroPoint }: StaticInput): InputAffine {
  return {
    scales: full([1, 1], scale),
    zeroPoints: full([1, 1], zeroPoint, 'i32'),
    biases: null,
    codeMin: 0,
    codeMax: CODES,
    groupSize: Number.MAX_SAFE_INTEGER,
  };
}
