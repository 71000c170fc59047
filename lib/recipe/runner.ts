import { createHash } from 'node:crypto';
import path from 'node:path';
import type { LatencyOptions } from '../evaluate/latency';
import type { Protocol } from '../evaluate/protocol';
import { writeFileAtomic } from '../formats/atomic';
import { type Model, saveModel } from '../models';
import { collectEnvironment } from '../report/environment';
import { renderHtml } from '../report/html';
import { type Measurement, type MeasureOptions, measureModel } from '../report/measure';
import { type Environment, REPORT_SCHEMA_VERSION, type Report, serializeReport } from '../report/schema';
import { devices, threads } from '../tensor';
import type { TrainingTask } from '../train';
import { makeFolder } from './folders';
import { type Journal, openJournal, type RunIdentity } from './journal';
import { type PlannedVariant, planRecipe } from './plan';
import type { Recipe } from './schema';
import { applyStep, type StepContext, type StepResult } from './steps';

/** Options of {@link runRecipe}. */
export interface RunOptions {
  /** Data to train and calibrate on; steps that need none do without. */
  readonly training?: TrainingTask | undefined;
  /** How every stage is scored; without one the report has no metrics. */
  readonly protocol?: Protocol | undefined;
  /** Text that identifies the data; an interrupted run resumes with the same one only. */
  readonly dataId?: string | undefined;
  /**
   * Folder for the results, created when missing: `report.json`, `report.html` and `model.safetensors` (one per variant, in
   * `<variant>/`, when the recipe has several). While the run lasts, and after it was interrupted, `.tersor-journal/` in it holds
   * what is done. Without a folder nothing is written.
   */
  readonly directory?: string | undefined;
  /** Continue the run that was interrupted in `directory`, if there is one; otherwise what it left is thrown away. Default false. */
  readonly resume?: boolean | undefined;
  /** How long each stage's latency is measured. */
  readonly latency?: LatencyOptions | undefined;
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
 * The same model, recipe and data give the same bits, for any number of threads, interrupted and resumed or not.
 *
 * @param model the baseline and, for steps that distil, the teacher; stays the caller's
 * @throws ERR_TERSOR_RECIPE before any work when the recipe does not fit; `signal.reason` when aborted; ERR_TERSOR_INVALID_ARGUMENT when
 *   the run to resume is another one; ERR_TERSOR_IO; what training and the protocol throw
 * @example
 * const model = tersor.initialize(tersor.mlp([4, 8, 2]))
 * const recipe = tersor.validateRecipe({ recipe: 1, steps: [{ quantize: { weights: ['*.weight'], bits: 8 } }] })
 * const { report } = await tersor.runRecipe(model, recipe)
 * console.log(report.baseline.bytes, report.stages[0].bytes)
 */
export async function runRecipe(model: Model, recipe: Recipe, options: RunOptions = {}): Promise<RunResult> {
  const { training, directory, dataId = '', resume = false, signal } = options;
  signal?.throwIfAborted();
  const variants = planRecipe(recipe, model, { training: training !== undefined });
  const environment = describeEnvironment();
  const journal =
    directory === undefined ? null : openJournal(directory, identify(model, recipe, dataId, environment), { resume });
  const models = new Map<string, Model>();
  try {
    const run: Run = { recipe, options, journal, baseline: model, measurements: new Map() };
    await measure(run, model, { name: BASELINE });
    for (const variant of variants) models.set(variant.name, await runVariant(variant, run));
    const report = makeReport(run, environment);
    if (directory !== undefined) writeResults(directory, report, models);
    journal?.remove();
    return { report, models, measurements: run.measurements };
  } catch (error) {
    for (const compressed of models.values()) compressed.dispose();
    throw error;
  }
}

interface Run {
  readonly recipe: Recipe;
  readonly options: RunOptions;
  readonly journal: Journal | null;
  readonly baseline: Model;
  /** By stage, the baseline's first; grows by one entry per step. */
  readonly measurements: Map<string, Measurement>;
}

async function runVariant(variant: PlannedVariant, run: Run): Promise<Model> {
  const start: StepResult = { model: run.baseline, references: new Map() };
  let current = start;
  const replaceBy = (next: StepResult) => {
    if (current !== start) current.model.dispose();
    current = next;
  };
  try {
    for (const [i, planned] of variant.steps.entries()) {
      const stage = `${variant.name}: ${planned.label}`;
      const id = `${variant.name}.${i + 1}`;
      const finished = run.journal?.load(id);
      replaceBy(finished ?? (await applyStep(current, planned, stepContext(run, { stage, id, seed: i }))));
      if (!finished) run.journal?.save(id, current);
      const { model, references } = current;
      await measure(run, model, { name: stage, references, skipped: skippedWeights(model, variant) });
    }
    return current.model;
  } catch (error) {
    replaceBy(start);
    throw error;
  }
}

/** @param step.seed distance from the recipe's seed, so that no two steps of a variant see the same batches */
function stepContext(
  { recipe, options, journal, baseline }: Run,
  { stage, id, seed }: { readonly stage: string; readonly id: string; readonly seed: number },
): StepContext {
  const { training, signal, onProgress } = options;
  return {
    teacher: baseline,
    training,
    // Past the largest seed it goes on from 0.
    seed: (recipe.seed + seed) % 2 ** 53,
    checkpoint: journal === null ? undefined : { path: journal.checkpointPath(id) },
    signal,
    onProgress: ({ step, steps, loss }) => onProgress?.({ stage, done: step, total: steps, loss }),
  };
}

async function measure(
  { recipe, options, measurements }: Run,
  model: Model,
  what: Pick<MeasureOptions, 'name' | 'references' | 'skipped'>,
): Promise<void> {
  const { protocol, latency, signal } = options;
  const baseline = measurements.get(BASELINE);
  const { seed } = recipe;
  measurements.set(what.name, await measureModel(model, { ...what, protocol, latency, baseline, seed, signal }));
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

function describeEnvironment(): Environment {
  const isa = devices().find(({ name }) => name === 'cpu')?.isa ?? 'unknown';
  return collectEnvironment({ device: 'cpu', isa, threads: threads() });
}

function makeReport({ recipe, measurements }: Run, environment: Environment): Report {
  const [baseline, ...stages] = [...measurements.values()].map(({ stage }) => stage);
  return {
    schemaVersion: REPORT_SCHEMA_VERSION,
    seed: recipe.seed,
    environment,
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
    makeFolder(folder);
    saveModel(model, path.join(folder, 'model.safetensors'));
  }
}

/** What a run with the same results has in common. */
function identify(model: Model, recipe: Recipe, dataId: string, { tersor }: Environment): RunIdentity {
  const hash = createHash('sha256').update(model.architecture.kind);
  for (const [name, weight] of model.weights) {
    const { tensors, descriptor } = weight.store();
    hash.update(JSON.stringify([name, descriptor]));
    for (const [blob, { dtype, shape, data }] of tensors)
      hash.update(JSON.stringify([blob, dtype, shape])).update(data);
  }
  return { 'version of Tersor': tersor, recipe: JSON.stringify(recipe), model: hash.digest('hex'), data: dataId };
}
