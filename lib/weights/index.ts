export { BlockSparse } from './block-sparse';
export { Dense } from './dense';
export { type Descriptor, descriptorSchema } from './descriptor';
export {
  DEFAULT_OBSERVER,
  type InputPrecision,
  type InputQuantization,
  type ObserverOptions,
  type StaticInput,
} from './input';
export { LowRank } from './low-rank';
export type { BlockPattern, SparsityPattern } from './pattern';
export { type ProductCodes, ProductQuantized } from './product-quantized';
export { Quantized, quantizeMatrix } from './quantized';
export { restoreWeight } from './restore';
export type { QuantizationScheme, WeightRange } from './scheme';
export { SemiStructured } from './semi-structured';
export { Sparse } from './sparse';
export { Sum } from './sum';
export { TrainableLowRank, TrainableMatrix } from './trainable';
export { TrainableSum } from './trainable-sum';
export type { LinearOperator, MatmulOptions, StoredWeight, TrainableWeight, Weight } from './weight';
