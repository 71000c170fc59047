import type { Progress } from '../report/progress';

/** What a command may use of the process it runs in. */
export interface Context {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** On standard error. */
  readonly progress: Progress;
}

/** What a command has to say, in both forms; one of them is printed on standard output. */
export interface Result {
  /** With --json. */
  readonly json: unknown;
  readonly text: string;
}

/** A command line that cannot be understood: exit code 2. */
export class UsageError extends Error {}
