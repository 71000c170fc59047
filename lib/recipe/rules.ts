import type { z } from 'zod';
import { nearest } from '../nearest';

/** A condition that ties fields of one object together. */
export interface Rule<T> {
  /** The fields it reads. It is not judged while one of them is misspelt: that would only repeat the error. */
  readonly keys: readonly (keyof T & string)[];
  /** The whole sentence about a value that breaks it. A field whose own check failed still holds what was given. */
  readonly broken: (value: T) => string | false;
  /** What is wrong, within the object; left out means the object. */
  readonly path?: (value: T) => PropertyKey[];
}

/** Adds rules to an object's schema; unlike zod's own refinements they are judged beside errors in other fields, so that one run shows all. */
export function withRules<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  rules: readonly Rule<z.output<typeof schema>>[],
): z.ZodObject<Shape, z.core.$strict> {
  const valid = Object.keys(schema.shape);
  return schema.superRefine(
    (value, context) => {
      const meant = new Set(context.issues.flatMap(unknownKeys).map((key) => nearest(key, valid)));
      for (const { keys, broken, path } of rules) {
        const message = !keys.some((key) => meant.has(key)) && broken(value);
        if (message) context.addIssue({ code: 'custom', message, path: path?.(value) ?? [] });
      }
    },
    { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
  );
}

function unknownKeys(issue: z.core.$ZodRawIssue): string[] {
  const isHere = issue.path === undefined || issue.path.length === 0;
  return issue.code === 'unrecognized_keys' && isHere ? (issue.keys as string[]) : [];
}
