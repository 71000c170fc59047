/** Turns what zod found into sentences: expected what, got what, at which place, and what was probably meant. */
import { z } from 'zod';
import { nearest } from '../nearest';

/** One thing that is wrong with a recipe. */
export interface Problem {
  /** Keys and indices from the top of the recipe to the place. */
  readonly path: readonly PropertyKey[];
  /** True when it is the last key itself that is wrong, not its value. */
  readonly onKey: boolean;
  /** "expected …, got …", with a suggestion when there is one, and ", at …" unless the place is the whole recipe. */
  readonly message: string;
}

/** Lists the problems: first the keys that do not exist, then the values. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], schema: z.core.$ZodType, value: unknown): Problem[] {
  const problems: Problem[] = [];
  const misspelt = new Set<string>();
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    const valid = keysAt(schema, issue.path);
    for (const key of issue.keys) {
      const meant = nearest(key, valid);
      misspelt.add([...issue.path, meant].join('.'));
      problems.push({
        path: [...issue.path, key],
        onKey: true,
        message: `expected ${oneOf(valid)}, got ${shown(key)}${suggestion(meant)}`,
      });
    }
  }
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') continue;
    const { path } = issue;
    const got = valueAt(value, path);
    if (issue.code === 'custom') problems.push({ path, onKey: false, message: issue.message });
    // A field that is there under a misspelt name is not missing as well.
    else if (got !== undefined || !misspelt.has(path.join('.')))
      problems.push({ path, onKey: false, message: explain(issue, got, schema) });
  }
  return distinct(problems.map(withPlace));
}

function withPlace(problem: Problem): Problem {
  const place = formatPath(problem.onKey ? problem.path.slice(0, -1) : problem.path);
  return place === '' ? problem : { ...problem, message: `${problem.message}, at ${place}` };
}

/** A path as it is written in JavaScript: variants[0].steps[1].prune. */
function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`),
    '',
  );
}

function explain(issue: z.core.$ZodIssue, got: unknown, schema: z.core.$ZodType): string {
  if (issue.code === 'invalid_value') {
    const texts = issue.values.filter((value) => typeof value === 'string');
    return `expected ${oneOf(issue.values)}, got ${shown(got)}${typeof got === 'string' ? suggestion(nearest(got, texts)) : ''}`;
  }
  if (issue.code === 'invalid_type' && issue.expected === 'object')
    return `expected keys and values (${keysAt(schema, issue.path).join(', ')}), got ${shown(got)}`;
  return `expected ${issue.message}, got ${shown(got)}`;
}

/** The keys that an object at `path` may have. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let at = unwrap(schema);
  for (const key of path) {
    if (at instanceof z.ZodObject) at = unwrap(at.shape[String(key)]);
    else if (at instanceof z.ZodArray) at = unwrap(at.element);
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe) return unwrap(schema.in);
  if (schema instanceof z.ZodExactOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  return schema;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );
}

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? shown(values[0]) : `one of ${values.map(shown).join(', ')}`;
}

function suggestion(meant: string | undefined): string {
  return meant === undefined ? '' : ` (did you mean '${meant}'?)`;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'keys and values';
  return typeof value === 'string' ? `'${printable(value)}'` : String(value);
}

/** Cut to a length that fits a message, with control characters (which could rewrite a terminal's line) escaped. */
function printable(text: string): string {
  const cut = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return cut.replace(/\p{Cc}/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Two checks of one field can fail together and say the same. */
function distinct(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ path, message }) => {
    const key = JSON.stringify([path, message]);
    return !seen.has(key) && seen.add(key);
  });
}
