import { TersorError } from '../errors';
import { type NativeTensor, native } from '../native';
import { empty, type Tensor, tidy } from '../tensor';
import { sizeOf } from '../tensor/dtype';
import { filled } from '../tensor/tensor';
import { isTracked, record } from './tape';

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Heads that lie side by side in the columns of q. Default 1; not with four dimensions, which have a dimension for them. */
  readonly heads?: number;
  /** Heads of k and v; each serves heads / keyHeads neighbours (Ainslie et al. 2023). Default: as many as `heads`. */
  readonly keyHeads?: number;
  /** Of the scores q · kᵀ. Default 1 / √d. */
  readonly scale?: number;
  /** Query i reads keys up to i + m − n only: the last query reads all. Default false. */
  readonly causal?: boolean;
  /** u8 [batch, m]: keys where it is 0 are left out, whatever they hold. */
  readonly mask?: Tensor | null;
}

/**
 * Scaled dot-product attention softmax(scale · q · kᵀ) · v, head by head (Vaswani et al. 2017). The matrix of scores is
 * never whole in memory, neither forward nor backward (Dao et al. 2022): memory grows with n + m, not with n · m.
 * A query that may read no key gets zeros.
 *
 * @param q f32 [batch, n, heads · d], or [batch, heads, n, d]
 * @param k f32 [batch, m, keyHeads · d], or [batch, heads, m, d]
 * @param v f32 [batch, m, keyHeads · e], or [batch, heads, m, e]
 * @returns f32 [batch, n, heads · e], or [batch, heads, n, e]; differentiable in q, k and v
 * @throws ERR_TERSOR_SHAPE, ERR_TERSOR_DTYPE
 * @example
 * const q = tersor.tensor([[[1, 0], [0, 1]]]), v = tersor.tensor([[[1, 2], [3, 4]]])
 * console.log(tersor.ops.attention(q, q, v, { causal: true }).toArray()) // 1, 2, 2.34, 3.34
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const ranks = [q, k, v].map((x) => x.shape.length);
  const rank = ranks[0] as number;
  if ((rank !== 3 && rank !== 4) || ranks.some((other) => other !== rank)) {
    const shapes = [q, k, v].map(({ shape }) => `[${shape.join(', ')}]`).join(', ');
    throw new TersorError(
      'ERR_TERSOR_SHAPE',
      `expected q, k and v of 3 or of 4 dimensions, got ${shapes}, at attention`,
    );
  }
  const {
    heads = 1,
    keyHeads = heads,
    causal = false,
    mask = null,
  } = rank === 4 ? { ...options, heads: 1, keyHeads: 1 } : options;
  const columns = (q.shape.at(-1) as number) / heads;
  const scale = options.scale ?? 1 / Math.sqrt(Math.max(1, columns));
  const settings = [heads, keyHeads, scale, causal, mask?.handle ?? null] as const;

  const y = empty([...q.shape.slice(0, -1), ((v.shape.at(-1) as number) / keyHeads) * heads]);
  const logSums = [q, k, v].some(isTracked)
    ? empty([sizeOf(q.shape.slice(0, -2)), heads, q.shape.at(-2) as number])
    : null;
  filled(y, () =>
    withMatrices([q, k, v, y], ([q, k, v, y]) => native.attention(q, k, v, ...settings, y, logSums?.handle ?? null)),
  );
  return record(y, [q, k, v], (dy) => {
    const gradients = [q, k, v].map((x) => empty(x.shape)) as [Tensor, Tensor, Tensor];
    withMatrices([q, k, v, y, dy, ...gradients], ([q, k, v, y, dy, dq, dk, dv]) =>
      native.attentionGradient(q, k, v, ...settings, y, (logSums as Tensor).handle, dy, dq, dk, dv),
    );
    return gradients;
  });
}

/** Handles of the tensors; those of four dimensions as [batch · heads, rows, columns]. */
function withMatrices<X extends readonly Tensor[]>(
  tensors: readonly [...X],
  run: (handles: { [K in keyof X]: NativeTensor }) => void,
): void {
  tidy(() => {
    const views = tensors.map((x) => {
      const [batch, heads, rows, columns] = x.shape as [number, number, number, number?];
      return columns === undefined ? x : x.reshape([batch * heads, rows, columns]);
    });
    run(views.map((x) => x.handle) as { [K in keyof X]: NativeTensor });
  });
}
