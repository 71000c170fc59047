/**
 * Tersor compresses trained search and recommendation models: prune, quantize, distil, factorize, retrain, measure, ship.
 *
 * @packageDocumentation
 */
import * as ops from './autograd';
import * as metrics from './evaluate/metrics';
import * as search from './search';

export { noGrad, valueAndGradients } from './autograd/tape';
export * from './compress';
export * from './data';
export { type ErrorCode, TersorError } from './errors';
export { measureLatency } from './evaluate/latency';
export { type MetricValues, mean, type PooledMetric, type RelevantRanks, type ScoredItems } from './evaluate/metrics';
export { classificationProtocol, leaveOneOutProtocol, type Protocol } from './evaluate/protocol';
export { type Interval, pairedBootstrap, pairedBootstrapPooled } from './evaluate/significance';
export { sqnrDb } from './evaluate/sqnr';
export { readSafetensors, type TensorEntry, writeSafetensors } from './formats/safetensors';
export * from './models';
export { parseRecipe, readRecipe, validateRecipe } from './recipe/parse';
export { type RunOptions, type RunProgress, type RunResult, runRecipe } from './recipe/runner';
export type { Recipe } from './recipe/schema';
export { renderHtml } from './report/html';
export { type Measurement, type MeasureOptions, measureModel } from './report/measure';
export { createProgress, type Progress } from './report/progress';
export { parseReport, type Report, type Stage, serializeReport } from './report/schema';
export { renderTable } from './report/terminal';
export { SparsePattern } from './sparse/pattern';
export * from './tensor';
export * from './train';
export * from './weights';
export { metrics, ops, search };
