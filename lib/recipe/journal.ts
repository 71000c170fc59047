import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { TersorError } from '../errors';
import { writeFileAtomic } from '../formats/atomic';
import { readText } from '../formats/io';
import { readSafetensors, writeSafetensors } from '../formats/safetensors';
import { loadModel, saveModel } from '../models';
import { makeFolder, removePath } from './folders';
import type { StepResult } from './steps';

/** Results of finished steps on disk, so that a run that was killed goes on where it was. */
export interface Journal {
  /** What a finished step left, or null. */
  load(step: string): StepResult | null;
  /** Notes that a step is finished; its checkpoint goes. */
  save(step: string, result: StepResult): void;
  /** Where a step's training keeps its checkpoint. */
  checkpointPath(step: string): string;
  /** Ends the run: removes the journal. */
  remove(): void;
}

/** What a run computes from, by name, as text: only a run with the same can be continued. */
export type RunIdentity = Readonly<Record<string, string>>;

const identitySchema = z.record(z.string(), z.string());
/** Longer than any identity. */
const IDENTITY_LIMIT = 2 ** 26;

/** Holds the journal in a run's results. No variant can have this name, so none has this folder. */
export const JOURNAL_FOLDER = '.tersor-journal';

/**
 * Opens the journal of a run in a folder of its own.
 *
 * @param directory where the run's results go; created when missing
 * @param options.resume continue the journal that is there, if any; otherwise it is thrown away
 * @throws ERR_TERSOR_INVALID_ARGUMENT when the journal to resume is of another run, saying what differs; ERR_TERSOR_IO
 */
export function openJournal(directory: string, run: RunIdentity, { resume }: { readonly resume: boolean }): Journal {
  const folder = path.join(directory, JOURNAL_FOLDER);
  const runFile = path.join(folder, 'run.json');
  makeFolder(directory);
  if (resume && existsSync(runFile)) assertSameRun(runFile, run);
  else {
    // Also when it does not say of which run it is: killed while it was removed, it may still hold steps.
    removePath(folder);
    makeFolder(folder);
    writeFileAtomic(runFile, `${JSON.stringify(run, null, 2)}\n`);
  }
  const modelPath = (step: string) => path.join(folder, `${step}.safetensors`);
  const referencesPath = (step: string) => path.join(folder, `${step}.references.safetensors`);
  const checkpointPath = (step: string) => path.join(folder, `${step}.checkpoint.safetensors`);
  return {
    load(step) {
      if (!existsSync(modelPath(step))) return null;
      const references = loadReferences(referencesPath(step));
      return { model: loadModel(modelPath(step)), references };
    },
    save(step, { model, references }) {
      saveReferences(referencesPath(step), references);
      // After them, because a step counts as finished when its model is there.
      saveModel(model, modelPath(step));
      removePath(checkpointPath(step));
    },
    checkpointPath,
    remove: () => removePath(folder),
  };
}

function assertSameRun(runFile: string, run: RunIdentity): void {
  const interrupted = readIdentity(runFile);
  const different = [...new Set([...Object.keys(run), ...Object.keys(interrupted)])].filter(
    (name) => run[name] !== interrupted[name],
  );
  if (different.length === 0) return;
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected the run that was interrupted, got another ${different.join(' and ')}, at ${path.dirname(runFile)}: run without resume to start anew`,
  );
}

function readIdentity(runFile: string): RunIdentity {
  const text = readText(runFile, IDENTITY_LIMIT);
  try {
    return identitySchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected what a run is, got something else, at ${runFile}`, {
      cause,
    });
  }
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
