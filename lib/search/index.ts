export { type IndexKind, type IndexOptions, SearchIndex, type Similarity } from './search-index';
export { type SearchResult, type TopKOptions, topK } from './top-k';
