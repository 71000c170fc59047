import { CommanderError } from 'commander';
import { TersorError } from '../errors';
import { ioError } from '../formats/io';
import { createProgress } from '../report/progress';
import { type Result, UsageError } from './command';
import { createProgram } from './program';

/**
 * Runs one command line: the result on standard output, everything else on standard error.
 *
 * @param args - The words after `tersor`.
 * @returns The exit code: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
 */
export async function run(args: readonly string[]): Promise<number> {
  const asJson = args.includes('--json');
  const interrupt = new AbortController();
  // Once: the second Ctrl-C meets no handler and ends the process as it stands.
  process.once('SIGINT', () => {
    process.stderr.write('\nstopping (Ctrl-C again: at once)\n');
    interrupt.abort(new TersorError('ERR_TERSOR_CANCELLED', 'expected to finish, got Ctrl-C'));
  });
  process.stdout.on('error', failToPrint);
  const context = { signal: interrupt.signal, progress: createProgress() };
  try {
    const program = createProgram(async (work) => print(await work(context), asJson));
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Help and version end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    report(error, asJson);
    if (interrupt.signal.aborted && error === interrupt.signal.reason) return 130;
    return error instanceof CommanderError || error instanceof UsageError ? 2 : 1;
  }
}

function print({ json, text }: Result, asJson: boolean): void {
  process.stdout.write(`${asJson ? JSON.stringify(json, null, 2) : text}\n`);
}

function report(error: unknown, asJson: boolean): void {
  const { code, message } = explain(error);
  if (asJson) process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`);
  // Commander has printed its own errors already.
  else if (!(error instanceof CommanderError)) process.stderr.write(`error: ${message}\ncode: ${code}\n`);
  if (process.env.TERSOR_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

function explain(error: unknown): { code: string; message: string } {
  if (error instanceof CommanderError)
    return { code: 'ERR_TERSOR_INVALID_ARGUMENT', message: error.message.replace(/^error: /, '') };
  if (error instanceof UsageError) return { code: 'ERR_TERSOR_INVALID_ARGUMENT', message: error.message };
  const known = ioError('use', 'a file', error);
  if (known instanceof TersorError) return known;
  return { code: 'ERR_TERSOR_INTERNAL', message: error instanceof Error ? error.message : String(error) };
}

/** A reader that has seen enough (`tersor … | head`) is no failure; a full disk is. */
function failToPrint(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`error: expected to print the result, got ${error.message}\ncode: ERR_TERSOR_IO\n`);
  process.exitCode = 1;
}
