import { cpus } from 'node:os';
import { type DeviceInfo, type KernelInfo, type MemoryUse, native } from '../native';

/** A device that tensors may live on. */
export interface Device extends DeviceInfo {
  /** The processor's own name. */
  readonly description: string;
}

const DEFAULT_DEVICE = process.env.TERSOR_DEVICE || 'cpu';

/**
 * Every device Tersor knows; why those that are not available are not.
 *
 * @example
 * for (const { name, available, reason } of tersor.devices()) console.log(name, available || reason)
 */
export function devices(): Device[] {
  return native.devices().map((device) => ({
    ...device,
    description: device.name === 'cpu' ? (cpus()[0]?.model.trim() ?? process.arch) : '',
  }));
}

/** Every kernel of every operation, best first, with the one in use and why the others are not. TERSOR_ISA forces a level. */
export function kernels(): KernelInfo[] {
  return native.kernels();
}

/** Threads that native operations use, the caller's included. Default: TERSOR_THREADS, else the CPUs this process may run on. */
export function threads(): number {
  return native.threads();
}

/**
 * Sets the number of threads for the whole process. Results do not depend on it.
 *
 * @param count an integer in [1, 1024]
 * @throws ERR_TERSOR_OUT_OF_RANGE
 */
export function setThreads(count: number): void {
  native.setThreads(count);
}

/**
 * Native memory that this JavaScript thread's tensors and queued operations hold.
 *
 * @example
 * const x = tersor.zeros([256]), before = tersor.memory().bytes
 * x.dispose()
 * console.log(before - tersor.memory().bytes) // 1024
 */
export function memory(): MemoryUse {
  return native.memory();
}

/** The device to use: 'auto' is the best available one; any other name is taken at its word (the addon refuses wrong ones). */
export function resolveDevice(device: string = DEFAULT_DEVICE): string {
  if (device !== 'auto') return device;
  return native.devices().find(({ name, available }) => available && name !== 'cpu')?.name ?? 'cpu';
}
