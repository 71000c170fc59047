import { inspect } from 'node:util';
import { TersorError } from '../errors';
import { Binary, native } from '../native';
import { full, Tensor, tidy, zeros } from '../tensor';

/**
 * Gradients of an operation's inputs, in their order, given the gradient of its output. `wanted` says which inputs need one; the
 * others may be null.
 *
 * The rule owns `outputGradient`: it may overwrite it, and return it or a view of it once. No two results may share memory,
 * because sums are formed in place. Nothing is recorded while rules run, so they may use the differentiable operations.
 */
export type GradientRule = (outputGradient: Tensor, wanted: readonly boolean[]) => readonly (Tensor | null)[];

interface Node {
  readonly output: Tensor;
  readonly inputs: readonly (Tensor | null)[];
  readonly wanted: readonly boolean[];
  readonly rule: GradientRule;
}

interface Tape {
  /** In the order of their computation. */
  readonly nodes: Node[];
  /** The parameters, and everything computed from them. */
  readonly tracked: Set<Tensor>;
}

let active: Tape | null = null;

/** True when a gradient with respect to `x` is being recorded. */
export function isTracked(x: Tensor | null): boolean {
  return x !== null && active !== null && active.tracked.has(x);
}

/** Registers `output = f(inputs)` on the tape when any input is tracked; returns `output`. */
export function record(output: Tensor, inputs: readonly (Tensor | null)[], rule: GradientRule): Tensor {
  if (active === null) return output;
  const wanted = inputs.map(isTracked);
  if (wanted.includes(true)) {
    active.tracked.add(output);
    active.nodes.push({ output, inputs, wanted, rule });
  }
  return output;
}

/** Runs `fn` without recording, whatever surrounds it. */
export function noGrad<R>(fn: () => R): R {
  return recordingOn(null, fn);
}

/**
 * Reverse-mode differentiation of a scalar.
 *
 * Only the operations of `ops` and of weights under training are recorded: a gradient does not pass through methods of Tensor
 * (`clone`, `cast`, `reshape`), nor through weights in their packed form.
 *
 * @param loss builds a one-element tensor from `parameters`; its intermediate tensors are freed on return, so it must not
 *   call `tidy` around operations that the gradient passes through (ERR_TERSOR_DISPOSED).
 * @param parameters tensors to differentiate by, each once; they stay the caller's.
 * @returns the loss and one gradient per parameter, of the parameter's shape (zeros where the loss does not depend on it), each with
 *   memory of its own. The caller owns them.
 * @throws ERR_TERSOR_SHAPE when the loss is not one element; ERR_TERSOR_INVALID_ARGUMENT when called while another one records.
 * @example
 * const w = tersor.tensor([[1, 2]]), x = tersor.tensor([[3, 4]])
 * const { value, gradients } = tersor.valueAndGradients(() => tersor.ops.sum(tersor.ops.multiply(w, x)), [w])
 * console.log(value.item(), gradients[0].toArray()) // 11, [3, 4]
 */
export function valueAndGradients(
  loss: () => Tensor,
  parameters: readonly Tensor[],
): { value: Tensor; gradients: Tensor[] } {
  if (active !== null) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      'expected no gradient to be recording, got a nested valueAndGradients call',
    );
  }
  return tidy(() => {
    const tape: Tape = { nodes: [], tracked: new Set(parameters) };
    const value = recordingOn(tape, loss);
    if (!(value instanceof Tensor) || value.size !== 1) {
      throw new TersorError('ERR_TERSOR_SHAPE', `expected a loss of one element, got ${inspect(value)}`);
    }
    const gradients = backward(tape, value);
    return { value, gradients: parameters.map((p) => gradients.get(p) ?? zeros(p.shape)) };
  });
}

function recordingOn<R>(tape: Tape | null, fn: () => R): R {
  const outer = active;
  active = tape;
  try {
    return fn();
  } finally {
    active = outer;
  }
}

function backward({ nodes }: Tape, value: Tensor): Map<Tensor, Tensor> {
  const gradients = new Map([[value, full(value.shape, 1)]]);
  for (const { output, inputs, wanted, rule } of nodes.toReversed()) {
    const outputGradient = gradients.get(output);
    if (outputGradient === undefined) continue;
    const inputGradients = rule(outputGradient, wanted);
    inputs.forEach((input, k) => {
      const gradient = inputGradients[k];
      if (input === null || gradient == null || !wanted[k]) return;
      const sum = gradients.get(input);
      if (sum === undefined) gradients.set(input, gradient);
      else native.binary(Binary.add, sum.handle, gradient.handle, sum.handle);
    });
  }
  return gradients;
}
