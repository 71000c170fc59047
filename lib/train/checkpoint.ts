import { existsSync } from 'node:fs';
import { TersorError } from '../errors';
import { readSafetensors, writeSafetensors } from '../formats/safetensors';
import { empty, type Tensor, tidy } from '../tensor';
import { readInto, toBlob } from '../weights/blob';

/** Metadata of the file. */
const STEP = 'tersor.step';
const RUN = 'tersor.settings';

/**
 * Writes the tensors of a run, atomically.
 *
 * @param position.run text that identifies the run: what decides its numbers
 * @param position.step steps done
 */
export function saveCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  { run, step }: { readonly run: string; readonly step: number },
): void {
  const entries = [...tensors].map(([name, t]) => [name, toBlob(t)] as const);
  writeSafetensors(path, entries, { [STEP]: String(step), [RUN]: run });
}

/**
 * Reads a checkpoint into the tensors of a run: into all of them, or, when it throws, into none.
 *
 * @param expected.run the run's text; a checkpoint with another one is refused
 * @param expected.steps steps of the whole run
 * @returns steps done; 0 when there is no file
 * @throws ERR_TERSOR_CORRUPT_FILE, ERR_TERSOR_IO; ERR_TERSOR_INVALID_ARGUMENT when it belongs to another run
 */
export function loadCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  { run, steps }: { readonly run: string; readonly steps: number },
): number {
  if (!existsSync(path)) return 0;
  const file = readSafetensors(path);
  if (file.metadata[RUN] !== run) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected a checkpoint of a run with settings ${run}, got ${file.metadata[RUN] ?? 'none'}, at ${path}`,
    );
  }
  const step = stepIn(file.metadata[STEP] ?? '', steps, path);
  const unexpected = [...file.tensors.keys()].find((name) => !tensors.has(name));
  if (unexpected !== undefined) {
    throw new TersorError(
      'ERR_TERSOR_CORRUPT_FILE',
      `expected the tensors ${[...tensors.keys()].join(', ')}, got also '${unexpected}', at ${path}`,
    );
  }
  tidy(() => {
    const read = [...tensors].map(([name, t]) => {
      const copy = empty(t.shape, t.dtype);
      readInto(copy, file.tensors.get(name), `tensor '${name}' of ${path}`);
      return { t, copy };
    });
    for (const { t, copy } of read) t.copyFrom(copy);
  });
  return step;
}

function stepIn(text: string, steps: number, path: string): number {
  const step = Number(text);
  if (/^\d+$/.test(text) && step <= steps) return step;
  throw new TersorError(
    'ERR_TERSOR_CORRUPT_FILE',
    `expected a step count in 0..${steps}, got '${text}', at ${STEP} of ${path}`,
  );
}
