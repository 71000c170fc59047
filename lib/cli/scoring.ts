import { loadClassification } from '../data/classification-file';
import { readLeaveOneOut } from '../data/interactions';
import { classificationProtocol, leaveOneOutProtocol, type Protocol } from '../evaluate/protocol';
import { UsageError } from './command';

/** Options that say how a model is scored. */
export interface ScoringOptions {
  readonly protocol?: 'leave-one-out' | 'classification';
  readonly ratings?: string;
  readonly negatives?: string;
  readonly data?: string;
  readonly metrics?: string;
}

const FILES = {
  'leave-one-out': ['ratings', 'negatives'],
  classification: ['data'],
} as const;

/**
 * The protocol that the options describe; --data alone means classification, --ratings and --negatives alone mean leave-one-out.
 *
 * @returns undefined when there are no such options
 * @throws UsageError when a file that the protocol needs is missing or one is given that it does not read; what reading them throws
 */
export function protocolOf(options: ScoringOptions): Protocol | undefined {
  const given = (['ratings', 'negatives', 'data'] as const).filter((name) => options[name] !== undefined);
  const name =
    options.protocol ?? (given.includes('data') ? 'classification' : given.length > 0 ? 'leave-one-out' : undefined);
  if (name === undefined) {
    if (options.metrics !== undefined) throw new UsageError('expected --protocol beside --metrics, got none');
    return undefined;
  }
  const wanted: readonly string[] = FILES[name];
  const missing = wanted.find((file) => !given.some((other) => other === file));
  if (missing !== undefined) throw new UsageError(`expected --${missing} <file> for the ${name} protocol, got none`);
  const surplus = given.find((file) => !wanted.includes(file));
  if (surplus !== undefined)
    throw new UsageError(`expected no --${surplus} for the ${name} protocol, got '${options[surplus]}'`);
  if (options.data !== undefined) return classificationProtocol(loadClassification(options.data).test, options.metrics);
  return leaveOneOutProtocol(readLeaveOneOut(options.ratings ?? '', options.negatives ?? ''), options.metrics);
}
