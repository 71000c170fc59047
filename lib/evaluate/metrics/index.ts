export { accuracy } from './accuracy';
export {
  auc,
  averagePrecision,
  binaryPrecision,
  binaryRecall,
  calibration,
  f1,
  logLoss,
  normalizedEntropy,
} from './binary';
export { gradedNdcg } from './graded';
export { type MetricValues, mean } from './metric';
export type { PooledMetric } from './pooled';
export {
  averagePrecisionAt,
  fullRanking,
  hitRate,
  leaveOneOutRanks,
  ndcg,
  precision,
  type RelevantRanks,
  recall,
  reciprocalRank,
  type ScoredItems,
  singleRelevant,
} from './ranking';
export { pearson, perplexity, rmse, spearman } from './regression';
