/** What all samplers of negatives have in common. */

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
