import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Protocol } from '../evaluate/protocol';
import { writeFileAtomic } from '../formats/atomic';
import { type Model, saveModel } from '../models';
import { collectEnvironment } from '../report/environment';
import { renderHtml } from '../report/html';
import { type Measurement, measureModel } from '../report/measure';
import { REPORT_SCHEMA_VERSION, type Report, serializeReport } from '../report/schema';
import { devices, threads } from '../tensor';
import type { TrainingTask } from '../train';
import { type Journal, openJournal } from './journal';
import { type PlannedVariant, planRecipe } from './plan';
import type { Recipe } from './schema';
import { applyStep, type StepResult } from './steps';

/** Options of {@link runRecipe}. */
export interface RunOptions {
  /** Data to train and calibrate on; steps that need none do without. */
  readonly training?: TrainingTask | undefined;
  /** How every stage is scored; without one the report has no metrics. */
  readonly protocol?: Protocol | undefined;
  /** Text that identifies the data; an interrupted run resumes with the same one only. */
  readonly dataId?: string | undefined;
  /**
   * Folder for the results: `report.json`, `report.html` and `model.safetensors` (one per variant, in `<variant>/`, when the
   * recipe has several). While the run lasts, `journal/` in it holds what is done. Without a folder nothing is written.
   */
  readonly directory?: string | undefined;
  /** Continue the interrupted run in `directory`. Default false. */
  readonly resume?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RunProgress) => void) | undefined;
}

/** How far a run is. */
export interface RunProgress {
  /** Stage at work: 'prune-int8: prune 80 %'. */
  readonly stage: string;
  /** Steps done, and in all, of the stage's training. */
  readonly done: number;
  readonly total: number;
  /** Loss of the last step. */
  readonly loss: number;
}

/** What a run leaves. */
export interface RunResult {
  readonly report: Report;
  /** The compressed model of each variant; the caller disposes them. */
  readonly models: ReadonlyMap<string, Model>;
  /** Every measured stage by name, with its values per example. */
  readonly measurements: ReadonlyMap<string, Measurement>;
}

const BASELINE = 'baseline';

/**
 * Compresses a model by a recipe: every variant starts from the model as given, every step is measured on the packed model.
 *
 * @param model the baseline and, for steps that distil, the teacher; stays the caller's
 * @throws ERR_TERSOR_RECIPE before any work when the recipe does not fit; `signal.reason` when aborted; what steps and files throw
 * @example
 * const model = tersor.initialize(tersor.mlp([4, 8, 2]))
 * const recipe = tersor.validateRecipe({ recipe: 1, steps: [{ quantize: { weights: ['*.weight'], bits: 8 } }] })
 * const { report } = await tersor.runRecipe(model, recipe)
 * console.log(report.baseline.bytes, report.stages[0].bytes)
 */
export async function runRecipe(model: Model, recipe: Recipe, options: RunOptions = {}): Promise<RunResult> {
  const { training, protocol, directory, resume = false, signal } = options;
  const variants = planRecipe(recipe, model.architecture, { training: training !== undefined });
  const journal =
    directory === undefined
      ? null
      : openJournal(path.join(directory, 'journal'), describeRun(model, recipe, options), { resume });
  const baseline = await measureModel(model, { name: BASELINE, protocol, seed: recipe.seed, signal });
  const measurements = new Map([[BASELINE, baseline]]);
  const models = new Map<string, Model>();
  try {
    for (const variant of variants) {
      models.set(variant.name, await runVariant(model, variant, { recipe, options, journal, measurements }));
    }
    const report = makeReport(recipe, measurements);
    if (directory !== undefined) writeResults(directory, report, models);
    journal?.remove();
    return { report, models, measurements };
  } catch (error) {
    for (const compressed of models.values()) compressed.dispose();
    throw error;
  }
}

interface Run {
  readonly recipe: Recipe;
  readonly options: RunOptions;
  readonly journal: Journal | null;
  /** Grows by one entry per step. */
  readonly measurements: Map<string, Measurement>;
}

async function runVariant(baseline: Model, variant: PlannedVariant, run: Run): Promise<Model> {
  const { recipe, options, journal, measurements } = run;
  const { training, protocol, signal, onProgress } = options;
  let result: StepResult = { model: baseline, references: new Map() };
  for (const [i, planned] of variant.steps.entries()) {
    const name = `${variant.name}: ${planned.label}`;
    const id = `${variant.name}.${i + 1}`;
    const previous = result;
    try {
      result =
        journal?.load(id) ??
        (await applyStep(previous.model, planned, {
          teacher: baseline,
          training,
          seed: recipe.seed + i,
          ...(journal === null ? {} : { checkpoint: { path: journal.checkpointPath(id) } }),
          signal,
          onProgress: ({ step, steps, loss }) => onProgress?.({ stage: name, done: step, total: steps, loss }),
        }));
    } finally {
      if (previous.model !== baseline) previous.model.dispose();
    }
    journal?.save(id, result);
    measurements.set(
      name,
      await measureModel(result.model, {
        name,
        protocol,
        baseline: measurements.get(BASELINE),
        references: result.references,
        skipped: skippedWeights(result.model, variant),
        seed: recipe.seed,
        signal,
      }),
    );
  }
  return result.model;
}

/** Why each weight that is still dense was left alone. */
function skippedWeights(model: Model, { steps }: PlannedVariant): ReadonlyMap<string, string> {
  const named = new Set(steps.flatMap(({ weights }) => weights));
  const dense = model.architecture.weights.filter(({ name }) => model.weights.get(name)?.kind === 'dense');
  return new Map(
    dense.map(({ name, role }) => [
      name,
      role === 'bias'
        ? 'biases stay f32: they are few and added after the product'
        : named.has(name)
          ? 'a later step of the recipe compresses it'
          : 'no step of the recipe names it',
    ]),
  );
}

function makeReport(recipe: Recipe, measurements: ReadonlyMap<string, Measurement>): Report {
  const [baseline, ...stages] = [...measurements.values()].map(({ stage }) => stage);
  const [device] = devices().filter(({ name }) => name === 'cpu');
  return {
    schemaVersion: REPORT_SCHEMA_VERSION,
    seed: recipe.seed,
    environment: collectEnvironment({ device: 'cpu', isa: device?.isa ?? 'unknown', threads: threads() }),
    baseline: baseline as Report['baseline'],
    stages,
  };
}

/** The models last, so that a folder with a model in it is complete. */
function writeResults(directory: string, report: Report, models: ReadonlyMap<string, Model>): void {
  writeFileAtomic(path.join(directory, 'report.json'), serializeReport(report));
  writeFileAtomic(path.join(directory, 'report.html'), renderHtml(report));
  for (const [name, model] of models) {
    const folder = models.size === 1 ? directory : path.join(directory, name);
    mkdirSync(folder, { recursive: true });
    saveModel(model, path.join(folder, 'model.safetensors'));
  }
}

/** Text that is the same only for runs that would compute the same. */
function describeRun(model: Model, recipe: Recipe, { dataId }: RunOptions): string {
  const hash = createHash('sha256');
  for (const [name, weight] of model.weights) {
    const { tensors, descriptor } = weight.store();
    hash.update(JSON.stringify([name, descriptor]));
    for (const [blob, { data }] of tensors) hash.update(blob).update(data);
  }
  return JSON.stringify({ recipe, model: hash.digest('hex'), data: dataId });
}
