import { existsSync } from 'node:fs';
import { TersorError } from '../errors';
import { readSafetensors, writeSafetensors } from '../formats/safetensors';
import type { Tensor } from '../tensor';
import { readInto, toBlob } from '../weights/blob';

/** Where a run stands, apart from its tensors. */
export interface CheckpointPosition {
  /** Steps done. */
  readonly step: number;
  /** Text that identifies the run's settings; another run's checkpoint is refused. */
  readonly settings: string;
}

/** Writes the tensors of a run and its position, atomically. */
export function saveCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  { step, settings }: CheckpointPosition,
): void {
  const entries = [...tensors].map(([name, t]) => [name, toBlob(t)] as const);
  writeSafetensors(path, entries, { 'tersor.step': String(step), 'tersor.settings': settings });
}

/**
 * Reads a checkpoint into the tensors of a run.
 *
 * @returns steps done; 0 when there is no file
 * @throws ERR_TERSOR_CORRUPT_FILE; ERR_TERSOR_INVALID_ARGUMENT when it belongs to a run with other settings
 */
export function loadCheckpoint(path: string, tensors: ReadonlyMap<string, Tensor>, settings: string): number {
  if (!existsSync(path)) return 0;
  const file = readSafetensors(path);
  if (file.metadata['tersor.settings'] !== settings) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected a checkpoint of a run with settings ${settings}, got ${file.metadata['tersor.settings'] ?? 'none'}, at ${path}`,
    );
  }
  const step = Number(file.metadata['tersor.step']);
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected a step count, got ${file.metadata['tersor.step']}, at ${path}`,
    );
  }
  for (const [name, t] of tensors) readInto(t, file.tensors.get(name), `tensor '${name}' of ${path}`);
  return step;
}
