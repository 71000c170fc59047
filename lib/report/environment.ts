import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Environment } from './schema';

/** What only the caller knows about the run: the device, its instruction set and its threads. */
export type Runtime = Pick<Environment, 'device' | 'isa' | 'threads'>;

function packageVersion(): string {
  // Two levels up from lib/report and from dist/report alike.
  const file = path.join(__dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/**
 * Describes this process and machine for a report.
 *
 * @param runtime device, instruction set and threads of the kernels
 * @param clock time of the run; tests pass their own
 *
 * @example
 * collectEnvironment({ device: 'cpu', isa: 'avx2', threads: 2 });
 */
export function collectEnvironment(runtime: Runtime, clock: () => Date = () => new Date()): Environment {
  return {
    tersor: packageVersion(),
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    // Empty where the operating system hides its processors, as some containers do.
    cpu: os.cpus()[0]?.model.trim() || 'unknown',
    cores: os.availableParallelism(),
    threads: runtime.threads,
    device: runtime.device,
    isa: runtime.isa,
    date: clock().toISOString(),
  };
}
