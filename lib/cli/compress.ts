import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { loadClassification } from '../data/classification-file';
import { TersorError } from '../errors';
import { ioError, isSystemError, withFile } from '../formats/io';
import { loadModel, type Model } from '../models';
import { describeRecipe, describeStep } from '../recipe/describe';
import { JOURNAL_FOLDER } from '../recipe/journal';
import { readRecipe } from '../recipe/parse';
import { planRecipe } from '../recipe/plan';
import { type RunProgress, runRecipe } from '../recipe/runner';
import type { Recipe } from '../recipe/schema';
import { renderTable } from '../report/terminal';
import { classificationTask } from '../train';
import { type Context, type Result, UsageError } from './command';
import { modelFile } from './model-file';
import { protocolOf, type ScoringOptions } from './scoring';
import { printable } from './table';

/** Options of `tersor compress`. */
export interface CompressOptions extends ScoringOptions {
  readonly model?: string;
  readonly recipe: string;
  readonly out?: string;
  readonly seed?: number;
  readonly dryRun?: boolean;
  readonly resume?: boolean;
  readonly force?: boolean;
}

/** Bytes read at a time when a file is hashed. */
const HASH_BLOCK = 2 ** 22;

/** `tersor compress`: runs a recipe on a model and writes the compressed model and its report into a folder. */
export async function compress(given: string, options: CompressOptions, context: Context): Promise<Result> {
  const { out, seed, resume = false } = options;
  if (out === undefined && !options.dryRun)
    throw new UsageError('expected -o, --out <folder> or --dry-run, got neither');
  const read = readRecipe(options.recipe);
  const recipe = seed === undefined ? read : { ...read, seed };
  const protocol = protocolOf(options);
  const model = loadModel(modelFile(given), { kind: options.model });
  try {
    if (out === undefined || options.dryRun) return dryRun(recipe, model, options);
    checkFolder(out, options);
    const { report, models } = await runRecipe(model, recipe, {
      training: options.data === undefined ? undefined : classificationTask(loadClassification(options.data).train),
      protocol,
      dataId: [options.data, options.ratings, options.negatives].map((file) => file && hashOf(file)).join(),
      directory: out,
      resume,
      signal: context.signal,
      onProgress: progressTo(context),
    });
    for (const compressed of models.values()) compressed.dispose();
    // An earlier run with one variant left its model where `tersor evaluate out` would find it first.
    if (models.size > 1) rmSync(path.join(out, 'model.safetensors'), { force: true });
    const written = [...models.keys()].map((name) => path.join(out, models.size > 1 ? name : '', 'model.safetensors'));
    const files = [path.join(out, 'report.html'), path.join(out, 'report.json'), ...written];
    return { json: report, text: `${renderTable(report)}\n\nwritten: ${files.join(', ')}` };
  } finally {
    context.progress.stop();
    model.dispose();
  }
}

/** What would be done, after all the checks that come before the work. */
function dryRun(recipe: Recipe, model: Model, { data }: CompressOptions): Result {
  const { architecture } = model;
  const variants = planRecipe(recipe, model, { training: data !== undefined }).map(({ name, steps }) => ({
    name,
    steps: steps.map(({ step, weights }) => ({ description: describeStep(step), weights })),
  }));
  const touched = new Set(variants.flatMap(({ steps }) => steps.flatMap(({ weights }) => weights)));
  const rest = architecture.weights.map(({ name }) => name).filter((name) => !touched.has(name));
  const lists = [`compressed: ${[...touched].join(', ') || 'none'}`, `left as they are: ${rest.join(', ') || 'none'}`];
  return {
    json: { kind: architecture.kind, recipe, variants },
    text: [...describeRecipe(recipe), ...lists].map(printable).join('\n'),
  };
}

/** A folder with something in it is only written to when the user said what is to become of it. */
function checkFolder(folder: string, { resume, force }: CompressOptions): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return;
    throw ioError('list', folder, error);
  }
  if (names.length === 0 || force) return;
  const got = `one with ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`;
  if (!resume) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected a new or empty folder, or --force to overwrite or --resume to continue an interrupted run, got ${got}, at ${folder}`,
    );
  }
  if (!names.includes(JOURNAL_FOLDER)) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected an interrupted run to resume, got ${got}, at ${folder}`,
    );
  }
}

function progressTo({ progress }: Context): (now: RunProgress) => void {
  let stage = '';
  return (now) => {
    if (now.stage !== stage) progress.start(now.total, now.stage);
    stage = now.stage;
    progress.update(now.done, `loss ${now.loss.toFixed(4)}`);
  };
}

function hashOf(file: string): string {
  return withFile(file, (opened) => {
    const hash = createHash('sha256');
    for (let at = 0; at < opened.size; at += HASH_BLOCK)
      hash.update(opened.read(at, Math.min(HASH_BLOCK, opened.size - at)));
    return hash.digest('hex');
  });
}
