export { type BestItems, hardNegatives } from './hard';
export { inBatchNegatives, logFrequencies } from './in-batch';
export { popularityNegatives } from './popularity';
export type { NegativeDraw, NegativeSampler } from './sampler';
export { uniformNegatives } from './uniform';
