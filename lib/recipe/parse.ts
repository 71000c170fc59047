/** Recipes from YAML or JSON text and from objects, with every problem reported at its line. */
import { parseDocument } from 'yaml';
import { TersorError } from '../errors';
import { readText } from '../formats/io';
import { aliasesOf, offsetOf, tooDeepAt } from './locate';
import { problemsOf } from './problems';
import { type Recipe, recipeSchema } from './schema';

/** More than any sensible recipe; the YAML parser compares every key with every other, so time grows with the square. */
const MAX_CHARACTERS = 2 ** 16;
/** Levels of nesting that a recipe may have; the deepest valid one has about 20 in the parser's count. */
const MAX_DEPTH = 64;
/** More problems than one wants to read at once. */
const MAX_PROBLEMS = 20;
/** Aliases that a recipe may have, and values that they may stand for: enough to share a few blocks, too few for a "billion laughs". */
const MAX_ALIASES = 100;

/** A problem and the character it is at. */
interface Located {
  readonly offset: number;
  readonly message: string;
}

/**
 * Parses a recipe. YAML 1.2, and so JSON; anchors and aliases may be used, merge keys and tags not.
 *
 * @param text - The recipe.
 * @param file - Its name in messages.
 * @returns The recipe with its defaults filled in, always as `variants`.
 * @throws TersorError ERR_TERSOR_RECIPE with one paragraph for each problem: `file:line:column: expected …, got …` and the line itself.
 *
 * @example
 * const recipe = parseRecipe('recipe: 1\nsteps:\n  - quantize: { weights: ["*"], bits: 8 }');
 * console.log(recipe.variants[0].steps[0].quantize.granularity); // channel
 */
export function parseRecipe(text: string, file = 'recipe'): Recipe {
  const problems: Located[] = [];
  const recipe = check(text, problems);
  if (recipe !== undefined && problems.length === 0) return recipe;
  throw new TersorError('ERR_TERSOR_RECIPE', report(problems, text, file));
}

/**
 * Reads and parses a recipe file.
 *
 * @throws TersorError as {@link parseRecipe}; ERR_TERSOR_IO or ERR_TERSOR_CORRUPT_FILE when the file cannot be read or is not text.
 */
export function readRecipe(path: string): Recipe {
  return parseRecipe(readText(path, MAX_CHARACTERS * 4), path);
}

/**
 * Checks a recipe given as an object and fills in its defaults.
 *
 * @throws TersorError ERR_TERSOR_RECIPE with one line for each problem.
 *
 * @example
 * validateRecipe({ recipe: 1, steps: [{ prune: { weights: ['*'], sparsity: 0.5 } }] });
 */
export function validateRecipe(value: unknown): Recipe {
  const result = recipeSchema.safeParse(value);
  if (result.success) return result.data;
  const lines = problemsOf(result.error.issues, recipeSchema, value).map(({ message }) => message);
  throw new TersorError('ERR_TERSOR_RECIPE', lines.join('\n'));
}

/** The recipe, or undefined; what is wrong is added to `problems`. */
function check(text: string, problems: Located[]): Recipe | undefined {
  const add = (offset: number, message: string) => void problems.push({ offset, message });
  if (text.length > MAX_CHARACTERS) return add(0, `expected at most ${MAX_CHARACTERS} characters, got ${text.length}`);
  const deep = tooDeepAt(text, MAX_DEPTH);
  if (deep !== undefined) return add(deep, `expected at most ${MAX_DEPTH} levels of nesting, got more`);
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true });
  const faults = [...document.errors, ...document.warnings];
  for (const { code, message, pos } of faults) {
    add(
      pos[0],
      code === 'DUPLICATE_KEY' ? 'expected each key once, got this one again' : `expected valid YAML, got: ${message}`,
    );
  }
  if (faults.some(({ code }) => code !== 'DUPLICATE_KEY')) return undefined;
  if (document.contents === null)
    return add(0, "expected a recipe ('recipe: 1', then steps or variants), got an empty file");
  const aliases = aliasesOf(document);
  for (const { name, offset } of aliases.unresolved)
    add(offset, `expected an anchor &${name} before its alias, got none`);
  const surplus = aliases.offsets[MAX_ALIASES];
  if (surplus !== undefined) add(surplus, `expected at most ${MAX_ALIASES} aliases, got ${aliases.offsets.length}`);
  if (aliases.unresolved.length > 0 || surplus !== undefined) return undefined;
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return add(aliases.offsets[0] ?? 0, `expected aliases that stand for at most ${MAX_ALIASES} values, got more`);
  }
  const result = recipeSchema.safeParse(value);
  if (result.success) return result.data;
  for (const problem of problemsOf(result.error.issues, recipeSchema, value)) {
    add(offsetOf(document, problem), problem.message);
  }
  return undefined;
}

function report(problems: readonly Located[], text: string, file: string): string {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1);
  const sorted = [...problems].sort((a, b) => a.offset - b.offset);
  const paragraphs = sorted.slice(0, MAX_PROBLEMS).map(({ offset, message }) => {
    const line = lineStarts.filter((start) => start <= offset).length - 1;
    const start = lineStarts[line] ?? 0;
    return `${file}:${line + 1}:${offset - start + 1}: ${message}\n${excerpt(text.slice(start, lineStarts[line + 1]), line + 1, offset - start)}`;
  });
  if (sorted.length > MAX_PROBLEMS) paragraphs.push(`… and ${sorted.length - MAX_PROBLEMS} more`);
  return paragraphs.join('\n');
}

/** The line with a mark below the column; of a long line, the part around it. */
function excerpt(line: string, number: number, column: number): string {
  const from = column > 90 ? column - 40 : 0;
  const shown = line
    .slice(from, from + 100)
    .replace(/\p{Cc}/gu, ' ')
    .trimEnd();
  const margin = `  ${number} | `;
  return `${margin}${shown}\n${' '.repeat(margin.length - 2)}| ${' '.repeat(column - from)}^`;
}
