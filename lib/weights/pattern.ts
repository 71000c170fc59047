import { TersorError } from '../errors';

/**
 * Where a weight may differ from zero: 'N:M' keeps at most N of every M consecutive columns of a row, 1 ≤ N ≤ M ≤ 16 (2:4 and its
 * kin: Mishra et al. 2021). The last group of a row may be shorter.
 */
export type SparsityPattern = `${number}:${number}`;

/** A {@link SparsityPattern} in numbers. */
export interface KeptPerGroup {
  /** N. */
  readonly keep: number;
  /** M. */
  readonly group: number;
}

const LARGEST_GROUP = 16;

/** Whether a text is a {@link SparsityPattern}. */
export function isPattern(text: string): text is SparsityPattern {
  const { keep = 0, group = 0 } = numbersOf(text);
  return keep >= 1 && keep <= group && group <= LARGEST_GROUP;
}

/** @throws ERR_TERSOR_INVALID_ARGUMENT for a text that is no pattern */
export function parsePattern(text: string): KeptPerGroup {
  if (isPattern(text)) return numbersOf(text) as KeptPerGroup;
  throw new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    `expected a pattern 'N:M' with 1 <= N <= M <= ${LARGEST_GROUP}, such as '2:4', got '${text}'`,
  );
}

function numbersOf(text: string): Partial<KeptPerGroup> {
  const match = /^([1-9]\d?):([1-9]\d?)$/.exec(text);
  return match === null ? {} : { keep: Number(match[1]), group: Number(match[2]) };
}

/** Blocks, rows x columns, that are zero as a whole; the kernels take those with more rows fastest. */
export const BLOCK_PATTERNS = ['32x1', '32x4', '16x1', '16x4'] as const;
export type BlockPattern = (typeof BLOCK_PATTERNS)[number];

/** A {@link BlockPattern} in numbers. */
export interface BlockSize {
  readonly rows: number;
  readonly columns: number;
}

/** @throws ERR_TERSOR_INVALID_ARGUMENT for a text that is no pattern */
export function parseBlock(text: string): BlockSize {
  if (!(BLOCK_PATTERNS as readonly string[]).includes(text)) {
    throw new TersorError(
      'ERR_TERSOR_INVALID_ARGUMENT',
      `expected blocks of ${BLOCK_PATTERNS.join(', ')}, got '${text}'`,
    );
  }
  const [rows, columns] = text.split('x').map(Number) as [number, number];
  return { rows, columns };
}
