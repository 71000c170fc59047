/** What all samplers of negatives have in common. */
import type { RandomStream } from '../../random';
import { dataStream } from '../streams';
import { checkCount, type Positives } from './positives';

/** How negatives are drawn. */
export interface NegativeDraw {
  /** Negatives of each user in the list. Default 1. */
  readonly count?: number;
  readonly seed: number | bigint;
  /**
   * Which epoch, from 0, or which step when every batch draws its own: the negatives depend on seed, epoch and the list of users alone, so
   * that a resumed run sees the same ones.
   */
  readonly epoch: number;
}

/**
 * Draws items that a user has not interacted with.
 *
 * @param users - [n] users, each as often as it needs negatives; one per positive in pairwise training.
 * @returns [n, count] items
 */
export type NegativeSampler = (users: Int32Array, draw: NegativeDraw) => Int32Array;

/** A sampler whose draws of a user do not depend on each other. @param name of its stream of random numbers */
export function oneByOne(
  positives: Positives,
  name: Parameters<typeof dataStream>[1],
  draw: (user: number, random: RandomStream) => number,
): NegativeSampler {
  return (users, { count = 1, seed, epoch }) => {
    checkCount(count, 'count');
    const random = dataStream(seed, name, epoch);
    const negatives = new Int32Array(users.length * count);
    for (let i = 0; i < users.length; i++) {
      const user = users[i] as number;
      positives.check(user, 1);
      for (let j = i * count; j < (i + 1) * count; j++) negatives[j] = draw(user, random);
    }
    return negatives;
  };
}
