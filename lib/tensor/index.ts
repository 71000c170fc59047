export type { DeviceInfo, DType, KernelInfo, MemoryUse } from '../native';
export { type Affine, affineArguments } from './affine';
export { type AsyncOptions, runAsync } from './async';
export { full, type NestedNumbers, type TensorOptions, tensor, zeros } from './create';
export { type Device, devices, kernels, memory, setThreads, threads } from './device';
export type { TensorArray, TypedArray } from './dtype';
export { keep, tidy } from './scope';
export { empty, Tensor } from './tensor';
