import { SingleBar } from 'cli-progress';

/** Shows how far a run is, one stage after another. */
export interface Progress {
  /** Begins a stage of `total` units of work; one that is still open is stopped. */
  start(total: number, label: string): void;
  /** `done` units are finished; `info` is a short remark such as the loss. */
  update(done: number, info?: string): void;
  /** Ends the stage; also to be called when it fails, so that the terminal gets its cursor back. */
  stop(): void;
}

/** The part of a terminal stream that a progress display needs. */
export type ProgressStream = NodeJS.WritableStream & { isTTY?: boolean };

function terminalBar(stream: ProgressStream): Progress {
  let bar: SingleBar | undefined;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    start(total, label) {
      stop();
      bar = new SingleBar({
        stream,
        format: '{label} {bar} {value}/{total}  {info}',
        barCompleteChar: '\u2501',
        barIncompleteChar: ' ',
        barsize: 24,
        fps: 10,
        hideCursor: true,
        gracefulExit: false, // signals belong to the program, which stops the bar itself
      });
      bar.start(total, 0, { label: label.padEnd(28), info: '' });
    },
    update(done, info) {
      bar?.update(done, info === undefined ? {} : { info });
    },
    stop,
  };
}

function logLines(stream: ProgressStream, now: () => number): Progress {
  let stage: { label: string; total: number; done: number; info: string; started: number } | undefined;
  const stop = (): void => {
    if (stage === undefined) return;
    const { label, total, done, info, started } = stage;
    const seconds = ((now() - started) / 1000).toFixed(1);
    stream.write(`${label}: ${done}/${total}${info === '' ? '' : `, ${info}`} (${seconds} s)\n`);
    stage = undefined;
  };
  return {
    start(total, label) {
      stop();
      stage = { label, total, done: 0, info: '', started: now() };
    },
    update(done, info) {
      if (stage === undefined) return;
      stage.done = done;
      if (info !== undefined) stage.info = info;
    },
    stop,
  };
}

/**
 * Progress on standard error: a bar on a terminal; in a log one line per stage, written when it ends.
 *
 * @param stream default: standard error, so that standard output stays clean for results
 * @param now clock in milliseconds, for the seconds in the log
 *
 * @example
 * const progress = createProgress();
 * progress.start(epochs, 'train');
 * try {
 *   for (let epoch = 1; epoch <= epochs; epoch++) progress.update(epoch, `loss ${await runEpoch()}`);
 * } finally {
 *   progress.stop();
 * }
 */
export function createProgress(
  stream: ProgressStream = process.stderr,
  now: () => number = () => performance.now(),
): Progress {
  return stream.isTTY === true ? terminalBar(stream) : logLines(stream, now);
}
