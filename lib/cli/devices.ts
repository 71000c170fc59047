import { type Device, devices, type KernelInfo, kernels, threads } from '../tensor';
import type { Result } from './command';
import { renderRows } from './table';

/** `tersor devices`: what this machine computes with, and why the rest was passed over. */
export function showDevices(): Result {
  const found = { threads: threads(), devices: devices(), kernels: kernels() };
  return { json: found, text: [deviceTable(found.devices), kernelTable(found.kernels)].join('\n\n') };
}

function deviceTable(found: readonly Device[]): string {
  return renderRows(
    [{ heading: 'device' }, { heading: 'ISA' }, { heading: 'threads', align: 'right' }, { heading: 'state' }],
    found.map(({ name, available, isa, threads: count, reason }) => [
      name,
      isa || '-',
      available ? String(count) : '-',
      available ? 'available' : reason,
    ]),
  );
}

/** One row per operation, its kernel in use first. */
function kernelTable(found: readonly KernelInfo[]): string {
  const operations = [...new Set(found.map(({ operation }) => operation))];
  return renderRows(
    [{ heading: 'operation' }, { heading: 'kernel' }, { heading: 'ISA' }, { heading: 'state' }],
    operations.flatMap((operation) =>
      found
        .filter((kernel) => kernel.operation === operation)
        .map(({ name, isa, selected, reason }, i) => [i === 0 ? operation : '', name, isa, selected ? 'used' : reason]),
    ),
  );
}
