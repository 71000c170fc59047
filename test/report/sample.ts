import type { Report, Stage } from '../../lib/report/schema';

const BASELINE: Stage = {
  name: 'fp32',
  metrics: { accuracy: 0.973 },
  bytes: 437_992,
  parameters: 109_386,
  nonzeros: 109_386,
  macs: 109_184,
  latencyMs: { batch1: { p50: 0.0214, p99: 0.0391 }, batch128: { p50: 0.482, p99: 0.713 } },
  weights: [
    { name: 'layers.0.weight', representation: 'f32', bytes: 401_408, sqnrDb: null },
    { name: 'layers.1.weight', representation: 'f32', bytes: 32_768, sqnrDb: null },
    { name: 'layers.2.weight', representation: 'f32', bytes: 2560, sqnrDb: null },
  ],
};

/** A made-up report of the usual size: a baseline, a control and three variants; every kind of row occurs in it. */
export function sampleReport(): Report {
  return structuredClone({
    schemaVersion: 1,
    seed: 0,
    environment: {
      tersor: '0.1.0',
      node: '20.20.2',
      platform: 'linux',
      arch: 'x64',
      cpu: 'Example CPU @ 2.0 GHz',
      cores: 2,
      threads: 2,
      device: 'cpu',
      isa: 'avx512_vnni',
      date: '2025-01-02T03:04:05.678Z',
    },
    baseline: BASELINE,
    stages: [
      {
        ...BASELINE,
        name: 'fp32 (control)',
        metrics: { accuracy: 0.9755 },
        comparisons: {
          accuracy: { against: 'fp32', difference: 0.0025, low: -0.0005, high: 0.0055, confidence: 0.95 },
        },
      },
      {
        name: 'pruned-int8',
        metrics: { accuracy: 0.9775 },
        comparisons: { accuracy: { against: 'fp32', difference: 0.0045, low: 0.0005, high: 0.0085, confidence: 0.95 } },
        bytes: 31_204,
        parameters: 109_386,
        nonzeros: 22_557,
        macs: 22_355,
        latencyMs: { batch1: { p50: 0.0187, p99: 0.0302 }, batch128: { p50: 0.301, p99: 0.466 } },
        weights: [
          {
            name: 'layers.0.weight',
            representation: 'int8 symmetric per channel, 80.0 % sparse, int8 inputs',
            bytes: 25_320,
            sqnrDb: 38.41,
          },
          {
            name: 'layers.1.weight',
            representation: 'int8 symmetric per channel, 80.0 % sparse, int8 inputs',
            bytes: 2104,
            sqnrDb: 37.02,
          },
          {
            name: 'layers.2.weight',
            representation: 'int8 symmetric per channel, int8 inputs',
            bytes: 680,
            sqnrDb: 42.9,
            skipped: 'prune: no pattern matches it',
          },
        ],
      },
      {
        name: 'svd-16',
        metrics: { accuracy: 0.9615 },
        comparisons: {
          accuracy: { against: 'fp32', difference: -0.0115, low: -0.017, high: -0.006, confidence: 0.95 },
        },
        bytes: 95_800,
        parameters: 23_626,
        nonzeros: 23_626,
        macs: 23_424,
        latencyMs: { batch1: { p50: 0.0159, p99: 0.0271 }, batch128: { p50: 0.155, p99: 0.26 } },
        weights: [
          { name: 'layers.0.weight', representation: 'rank 16 (f32)', bytes: 58_368, sqnrDb: 9.73 },
          {
            name: 'layers.1.weight',
            representation: 'f32',
            bytes: 32_768,
            sqnrDb: null,
            skipped: 'factorize: no pattern matches it',
          },
          {
            name: 'layers.2.weight',
            representation: 'f32',
            bytes: 2560,
            sqnrDb: null,
            skipped: 'factorize: no pattern matches it',
          },
        ],
      },
    ],
  });
}
