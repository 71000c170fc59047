/** Operations of training by their definitions, in float64. */
import { type Array64, array64, map64, total as sumOf } from '../support/array64';

/** Maps each row of the last dimension. */
export function rows64(x: Array64, f: (row: Float64Array) => number[]): Array64 {
  const columns = x.shape.at(-1) as number;
  const data = Float64Array.from(x.data);
  for (let i = 0; i < data.length; i += columns) data.set(f(x.data.slice(i, i + columns)), i);
  return { shape: x.shape, data };
}

const mean = (row: Float64Array) => row.reduce((a, b) => a + b, 0) / row.length;

export function norm64(
  x: Array64,
  weight: Array64 | null,
  bias: Array64 | null,
  epsilon: number,
  center: boolean,
): Array64 {
  return rows64(x, (row) => {
    const middle = center ? mean(row) : 0;
    const deviation = Math.sqrt(mean(row.map((v) => (v - middle) ** 2)) + epsilon);
    return [...row].map((v, j) => ((v - middle) / deviation) * (weight?.data[j] ?? 1) + (bias?.data[j] ?? 0));
  });
}

export function batchNorm64(
  x: Array64,
  weight: Array64,
  bias: Array64,
  running: { mean: Array64; variance: Array64 } | null,
): Array64 {
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const channelOf = (i: number) => Math.floor(i / (height * width)) % channels;
  const moments = Array.from({ length: channels }, (_, channel) => {
    if (running !== null) return [running.mean.data[channel], running.variance.data[channel]] as [number, number];
    const own = x.data.filter((_value, i) => channelOf(i) === channel);
    const middle = mean(own);
    return [middle, mean(own.map((v) => (v - middle) ** 2))] as [number, number];
  });
  return map64(x, (v, i) => {
    const channel = channelOf(i);
    const [middle, variance] = moments[channel] as [number, number];
    return (
      ((v - middle) / Math.sqrt(variance + 0.01)) * (weight.data[channel] as number) + (bias.data[channel] as number)
    );
  });
}

export const logistic = (x: number) => 1 / (1 + Math.exp(-x));

/** Φ by its integral: Simpson's rule from 0, exact to 1e-12 for |x| < 3. */
export function normal64(x: number): number {
  const steps = 400;
  const h = x / steps;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  const inner = sumOf(steps - 1, (i) => (i % 2 === 0 ? 4 : 2) * density((i + 1) * h));
  return 0.5 + (h / 3) * (density(0) + inner + density(x));
}

export const geluTanh64 = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

interface AttentionShape {
  batch: number;
  n: number;
  m: number;
  heads: number;
  keyHeads: number;
  d: number;
  e: number;
  causal: boolean;
  mask: number[] | null;
}

export function attention64(s: AttentionShape): (q: Array64, k: Array64, v: Array64) => Array64 {
  const at = (x: Array64, b: number, rows: number, i: number, column: number) =>
    x.data[(b * rows + i) * (x.shape[2] as number) + column] as number;
  return (q, k, v) =>
    array64([s.batch, s.n, s.heads * s.e], (place) => {
      const column = place % (s.heads * s.e);
      const [h, c] = [Math.floor(column / s.e), column % s.e];
      const row = Math.floor(place / (s.heads * s.e));
      const [b, i] = [Math.floor(row / s.n), row % s.n];
      const keyHead = Math.floor(h / (s.heads / s.keyHeads));
      const powers = Array.from({ length: s.m }, (_, j) => {
        if ((s.causal && j > i + s.m - s.n) || s.mask?.[b * s.m + j] === 0) return 0;
        const dot = sumOf(s.d, (p) => at(q, b, s.n, i, h * s.d + p) * at(k, b, s.m, j, keyHead * s.d + p));
        return Math.exp(dot / Math.sqrt(s.d));
      });
      const total = sumOf(s.m, (j) => powers[j] as number);
      if (total === 0) return 0;
      return sumOf(s.m, (j) => (powers[j] as number) * at(v, b, s.m, j, keyHead * s.e + c)) / total;
    });
}

interface ConvolutionShape {
  n: number;
  groups: number;
  channels: number;
  outputs: number;
  height: number;
  width: number;
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
}

export function conv64(s: ConvolutionShape): (x: Array64, w: Array64, bias: Array64) => Array64 {
  const size = (axis: 0 | 1) => {
    const image = (axis === 0 ? s.height : s.width) + 2 * s.padding[axis];
    return Math.floor((image - s.dilation[axis] * (s.kernel[axis] - 1) - 1) / s.stride[axis]) + 1;
  };
  const [rows, columns] = [size(0), size(1)];
  const [inGroup, outGroup] = [s.channels / s.groups, s.outputs / s.groups];
  return (x, w, bias) =>
    array64([s.n, s.outputs, rows, columns], (i) => {
      const [column, row] = [i % columns, Math.floor(i / columns) % rows];
      const [o, image] = [Math.floor(i / (rows * columns)) % s.outputs, Math.floor(i / (rows * columns * s.outputs))];
      let sum = bias.data[o] as number;
      for (let c = 0; c < inGroup; c++) {
        for (let a = 0; a < s.kernel[0]; a++) {
          for (let b = 0; b < s.kernel[1]; b++) {
            const y = row * s.stride[0] - s.padding[0] + a * s.dilation[0];
            const z = column * s.stride[1] - s.padding[1] + b * s.dilation[1];
            if (y < 0 || y >= s.height || z < 0 || z >= s.width) continue;
            const channel = Math.floor(o / outGroup) * inGroup + c;
            const pixel = x.data[((image * s.channels + channel) * s.height + y) * s.width + z] as number;
            sum += pixel * (w.data[((o * inGroup + c) * s.kernel[0] + a) * s.kernel[1] + b] as number);
          }
        }
      }
      return sum;
    });
}

interface PoolingShape {
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  countPadding: boolean;
}

export function pool64(x: Array64, s: PoolingShape, max: boolean): Array64 {
  const [n, channels, height, width] = x.shape as [number, number, number, number];
  const size = (axis: 0 | 1) =>
    Math.floor((x.shape[2 + axis]! + 2 * s.padding[axis] - s.kernel[axis]) / s.stride[axis]) + 1;
  const [rows, columns] = [size(0), size(1)];
  return array64([n, channels, rows, columns], (i) => {
    const [column, row, plane] = [i % columns, Math.floor(i / columns) % rows, Math.floor(i / (rows * columns))];
    const window: number[] = [];
    for (let a = 0; a < s.kernel[0]; a++) {
      for (let b = 0; b < s.kernel[1]; b++) {
        const y = row * s.stride[0] - s.padding[0] + a;
        const z = column * s.stride[1] - s.padding[1] + b;
        if (y >= 0 && y < height && z >= 0 && z < width)
          window.push(x.data[(plane * height + y) * width + z] as number);
      }
    }
    if (max) return Math.max(...window);
    return window.reduce((sum, v) => sum + v, 0) / (s.countPadding ? s.kernel[0] * s.kernel[1] : window.length);
  });
}
