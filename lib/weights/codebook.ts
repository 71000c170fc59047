import { native } from '../native';
import { type Affine, empty, type Tensor, tensor, tidy, zeros } from '../tensor';
import { codeRange, type QuantizationScheme } from './scheme';

/**
 * NF4: the sixteen values of the 4-bit NormalFloat, quantiles of a normal distribution that hold 0 and ±1 (QLoRA, Dettmers et al. 2023; the
 * numbers are those of bitsandbytes).
 */
export const NF4: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Numbers that k-means looks at; of a larger matrix, that many spread evenly over it. */
const MOST_POINTS = 2 ** 18;

const ITERATIONS = 50;

/**
 * The values that the codes of a scheme stand for: those of NF4, or learned ones, the k-means of the weights over their scales in which each
 * counts as much as its error would.
 *
 * @param w f32 [rows, columns]; stays the caller's
 * @param affine the scales for w under this scheme
 * @returns f32 [2^bits], ascending; null for a scheme without a codebook
 */
export function codebookFor(w: Tensor, scheme: QuantizationScheme, affine: Affine): Tensor | null {
  if (scheme.scheme === 'nf4') return tensor(Float32Array.from(NF4));
  return scheme.scheme === 'kmeans' ? tensor(learned(w, 2 ** scheme.bits, affine)) : null;
}

function learned(w: Tensor, size: number, { scales, groupSize }: Affine): Float32Array {
  const [rows, columns] = w.shape as readonly [number, number];
  const values = w.toArray() as Float32Array;
  const steps = scales.toArray() as Float32Array;
  const [parameterRows, groups] = scales.shape as readonly [number, number];
  const largest = steps.reduce((a, b) => Math.max(a, b), 0);
  const count = Math.min(rows * columns, MOST_POINTS);
  const points = new Float32Array(count);
  const weights = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const at = Math.floor((i * values.length) / count);
    const slot = (parameterRows === 1 ? 0 : Math.floor(at / columns) * groups) + Math.floor((at % columns) / groupSize);
    const step = steps[slot] as number;
    points[i] = (values[at] as number) / step;
    weights[i] = (step / largest) ** 2;
  }
  const k = Math.min(size, count);
  const codebook = new Float32Array(size);
  if (k === 0) return codebook;
  const centroids = tidy(() => {
    const found = zeros([k, 1]);
    const assignments = zeros([count], 'i32');
    native.kmeans(
      tensor(points, [count, 1]).handle,
      tensor(weights).handle,
      0n,
      ITERATIONS,
      found.handle,
      assignments.handle,
    );
    return (found.toArray() as Float32Array).sort();
  });
  // Fewer numbers than values: the last one stands in for the rest.
  return codebook.map((_, i) => centroids[Math.min(i, k - 1)] as number);
}

/** The codes of `w`, each that of the value nearest to it. */
export function encode(w: Tensor, scheme: QuantizationScheme, affine: Affine, codebook: Tensor): Tensor {
  const codes = empty(w.shape, codeRange(scheme).dtype);
  native.codebookEncode(w.handle, codebook.handle, affine.scales.handle, affine.groupSize, codes.handle);
  return codes;
}

/** What codes of a codebook stand for, of the rows `ids` or of all. */
export function decode(codes: Tensor, { scales, groupSize }: Affine, codebook: Tensor, ids: Tensor | null): Tensor {
  const y = empty([ids === null ? (codes.shape[0] as number) : ids.size, codes.shape[1] as number]);
  const operands = [codebook.handle, scales.handle, groupSize, ids?.handle ?? null] as const;
  native.codebookDecode(codes.handle, ...operands, y.handle);
  return y;
}
