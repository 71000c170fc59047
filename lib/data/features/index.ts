export type { EncodedFeature, FeatureEncoder } from './encoder';
export { loadFeatures, saveFeatures } from './file';
export { fitFeatures } from './fit';
export type {
  BinnedFeature,
  CategoricalFeature,
  FeatureSpec,
  FittedFeature,
  FittedFeatures,
  HashedFeature,
  NumericFeature,
} from './spec';
