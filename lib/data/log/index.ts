export {
  filterInteractions,
  type InteractionLog,
  type InteractionOptions,
  type ReadInteractions,
  readInteractions,
} from './interaction-log';
export { type KCoreOptions, kCore } from './k-core';
export { leaveOneOutSplit } from './leave-one-out-split';
export { type RandomSplitOptions, randomSplit } from './random-split';
export type { InteractionSplit, Ratios } from './split';
export { type TemporalSplitOptions, temporalSplit } from './temporal-split';
export { itemsOf, type UserItems } from './user-items';
export { Vocabulary } from './vocabulary';
