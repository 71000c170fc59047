import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { TersorError } from '../errors';
import { writeFileAtomic } from '../formats/atomic';
import { readSafetensors, writeSafetensors } from '../formats/safetensors';
import { loadModel, saveModel } from '../models';
import type { StepResult } from './steps';

/** Results of finished steps on disk, so that a run that was killed goes on where it was. */
export interface Journal {
  /** What a finished step left, or null. */
  load(step: string): StepResult | null;
  save(step: string, result: StepResult): void;
  /** Where a step's training keeps its checkpoint. */
  checkpointPath(step: string): string;
  /** Ends the run: removes the journal. */
  remove(): void;
}

/**
 * Opens the journal of a run in a folder of its own.
 *
 * @param run text that identifies the run (recipe, model, data, version)
 * @param options.resume continue the journal that is there; otherwise it is thrown away
 * @throws ERR_TERSOR_INVALID_ARGUMENT when the journal to resume is of another run; ERR_TERSOR_IO
 */
export function openJournal(folder: string, run: string, { resume }: { resume: boolean }): Journal {
  const runFile = path.join(folder, 'run.json');
  if (!resume) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (!existsSync(runFile)) writeFileAtomic(runFile, run);
  else if (readFileSync(runFile, 'utf8') !== run) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected an interrupted run of the same recipe, model, data and version, got another one, at ${folder}`,
    );
  }
  const modelPath = (step: string) => path.join(folder, `${step}.safetensors`);
  const referencesPath = (step: string) => path.join(folder, `${step}.references.safetensors`);
  return {
    load: (step) =>
      existsSync(modelPath(step))
        ? { model: loadModel(modelPath(step)), references: loadReferences(referencesPath(step)) }
        : null,
    save(step, { model, references }) {
      saveReferences(referencesPath(step), references);
      // Last, because a step counts as finished when its model is there.
      saveModel(model, modelPath(step));
    },
    checkpointPath: (step) => path.join(folder, `${step}.checkpoint.safetensors`),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function saveReferences(file: string, references: StepResult['references']): void {
  const entries = [...references].map(([name, values]) => {
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return [name, { dtype: 'F32', shape: [values.length], data }] as const;
  });
  writeSafetensors(file, entries);
}

function loadReferences(file: string): StepResult['references'] {
  return new Map([...readSafetensors(file).tensors].map(([name, { data }]) => [name, new Float32Array(data.buffer)]));
}
