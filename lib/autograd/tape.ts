import { TersorError } from '../errors';
import { Binary, native } from '../native';
import { type Tensor, tidy, zeros } from '../tensor';

/**
 * Gradients of an operation's inputs, in their order, given the gradient of its output. `wanted` says which inputs need one; the
 * others may be null.
 */
export type GradientRule = (outputGradient: Tensor, wanted: readonly boolean[]) => readonly (Tensor | null)[];

interface Node {
  readonly output: Tensor;
  readonly inputs: readonly (Tensor | null)[];
  readonly wanted: readonly boolean[];
  readonly rule: GradientRule;
}

class Tape {
  readonly nodes: Node[] = [];
  readonly tracked: Set<Tensor>;

  constructor(parameters: readonly Tensor[]) {
    this.tracked = new Set(parameters);
  }
}

let active: Tape | null = null;

/** True when a gradient with respect to `x` is being recorded. */
export function isTracked(x: Tensor | null): boolean {
  return x !== null && active !== null && active.tracked.has(x);
}

/** Registers `output = f(inputs)` on the tape when any input is tracked; returns `output`. */
export function record(output: Tensor, inputs: readonly (Tensor | null)[], rule: GradientRule): Tensor {
  const wanted = inputs.map(isTracked);
  if (active !== null && wanted.includes(true)) {
    active.tracked.add(output);
    active.nodes.push({ output, inputs, wanted, rule });
  }
  return output;
}

/** Runs `fn` without recording, whatever surrounds it. */
export function noGrad<R>(fn: () => R): R {
  const outer = active;
  active = null;
  try {
    return fn();
  } finally {
    active = outer;
  }
}

/**
 * Reverse-mode differentiation of a scalar.
 *
 * @param loss builds a one-element tensor from `parameters`; its intermediate tensors are freed on return, so it must not
 *   call `tidy` around operations that the gradient passes through.
 * @param parameters tensors to differentiate by.
 * @returns the loss and one gradient per parameter, of the parameter's shape (zeros where the loss does not depend on it). The caller owns them.
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
    const tape = new Tape(parameters);
    active = tape;
    let value: Tensor;
    try {
      value = loss();
    } finally {
      active = null;
    }
    if (value.size !== 1) {
      throw new TersorError(
        'ERR_TERSOR_SHAPE',
        `expected a loss of one element, got shape [${value.shape.join(', ')}]`,
      );
    }
    const gradients = backward(tape, value);
    return { value, gradients: parameters.map((p) => gradients.get(p) ?? zeros(p.shape)) };
  });
}

function backward(tape: Tape, value: Tensor): Map<Tensor, Tensor> {
  const gradients = new Map<Tensor, Tensor>();
  const one = zeros(value.shape);
  native.fill(one.handle, 1);
  gradients.set(value, one);
  for (let i = tape.nodes.length - 1; i >= 0; i--) {
    const node = tape.nodes[i] as Node;
    const outputGradient = gradients.get(node.output);
    if (outputGradient === undefined) continue;
    const inputGradients = node.rule(outputGradient, node.wanted);
    node.inputs.forEach((input, k) => {
      const gradient = inputGradients[k];
      if (input === null || gradient == null || !node.wanted[k]) return;
      const sum = gradients.get(input);
      // A rule may hand the same tensor to several inputs, so the first gradient is copied before it is added to.
      gradients.set(input, sum === undefined ? gradient : addInto(sum.clone(), gradient));
    });
  }
  return gradients;
}

function addInto(sum: Tensor, term: Tensor): Tensor {
  native.binary(Binary.add, sum.handle, term.handle, sum.handle);
  return sum;
}
