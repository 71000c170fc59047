import { Activation, native } from '../native';
import { empty, type Tensor } from '../tensor';
import { filled } from '../tensor/tensor';
import { record } from './tape';

/** Names of the activations, as options take them. */
export type ActivationName = 'relu' | 'gelu' | 'geluTanh' | 'silu' | 'tanh' | 'sigmoid';

/** What kernels are told. */
export const ACTIVATIONS: Readonly<Record<ActivationName, Activation>> = {
  relu: Activation.relu,
  gelu: Activation.gelu,
  geluTanh: Activation.geluTanh,
  silu: Activation.silu,
  tanh: Activation.tanh,
  sigmoid: Activation.sigmoid,
};

/** max(0, x) element by element; its gradient at 0 is 0. Differentiable, as all activations. */
export function relu(x: Tensor): Tensor {
  const y = filled(empty(x.shape), (y) => native.activate(Activation.relu, x.handle, y.handle));
  return record(y, [x], (dy) => [reluGradient(y, dy)]);
}

/** Zeroes, in place, the gradient of a ReLU's output where the output is 0. */
export function reluGradient(y: Tensor, dy: Tensor): Tensor {
  native.activateGradient(Activation.relu, y.handle, dy.handle, dy.handle);
  return dy;
}

/**
 * Gaussian error linear unit (Hendrycks and Gimpel 2016), element by element: x · Φ(x), Φ the normal distribution.
 *
 * @param x f32
 * @param options `approximate: 'tanh'` for ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), as GPT-2 has it
 * @example
 * console.log(tersor.ops.gelu(tersor.tensor([1])).item().toFixed(4)) // 0.8413
 */
export function gelu(x: Tensor, { approximate }: { readonly approximate?: 'tanh' | null } = {}): Tensor {
  return activate(approximate === 'tanh' ? 'geluTanh' : 'gelu', x);
}

/** x / (1 + e⁻ˣ) element by element (Elfwing, Uchibe and Doya 2018), also called swish. */
export function silu(x: Tensor): Tensor {
  return activate('silu', x);
}

/** Hyperbolic tangent, element by element. */
export function tanh(x: Tensor): Tensor {
  return activate('tanh', x);
}

/** 1 / (1 + e⁻ˣ) element by element. */
export function sigmoid(x: Tensor): Tensor {
  return activate('sigmoid', x);
}

/** An activation by its name. */
export function activate(name: ActivationName, x: Tensor): Tensor {
  if (name === 'relu') return relu(x);
  const activation = ACTIVATIONS[name];
  const y = filled(empty(x.shape), (y) => native.activate(activation, x.handle, y.handle));
  return record(y, [x], (dy) => {
    native.activateGradient(activation, x.handle, dy.handle, dy.handle);
    return [dy];
  });
}
