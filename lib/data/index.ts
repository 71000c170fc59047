export { batches } from './batches';
export { type ClassificationData, type ClassificationSets, selectExamples } from './classification';
export { loadClassification, saveClassification } from './classification-file';
export * from './features';
export { type LeaveOneOutData, readLeaveOneOut } from './interactions';
export * from './log';
export * from './negatives';
export { type Split, splitIndices } from './split';
export {
  type ClickBatch,
  type SyntheticClicks,
  type SyntheticClicksOptions,
  syntheticClicks,
} from './synthetic-clicks';
export * from './table';
