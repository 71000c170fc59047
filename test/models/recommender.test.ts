import { expect } from 'chai';
import { runRecipe, validateRecipe } from '../../lib';
import { readLeaveOneOut } from '../../lib/data/interactions';
import { mean } from '../../lib/evaluate/metrics';
import { leaveOneOutProtocol, type Protocol } from '../../lib/evaluate/protocol';
import { loadModel, type Model, saveModel } from '../../lib/models';
import { temporaryFolder } from '../data/temporary-folder';
import { withShared } from '../support/shared';

/** HR@10 and NDCG@10 of row-wise asymmetric embeddings, as others measured them. */
const ROWS = [
  { bits: 8, hitRate: 0.6358, ndcg: 0.3667 },
  { bits: 4, hitRate: 0.6306, ndcg: 0.3642 },
  { bits: 2, hitRate: 0.5868, ndcg: 0.3265 },
] as const;

describe('a recommender trained by others (GMF on MovieLens-1M)', () => {
  const folder = temporaryFolder();
  const loaded: { model: Model; protocol: Protocol }[] = [];

  before(() => {
    withShared(['data', 'ncf-ml-1m', 'gmf.safetensors'], (file) => {
      const beside = (name: string) => file.replace('gmf.safetensors', name);
      const data = readLeaveOneOut(beside('ml-1m.test.rating'), beside('ml-1m.test.negative'));
      loaded.push({ model: loadModel(file, { kind: 'gmf' }), protocol: leaveOneOutProtocol(data) });
    });
  });
  after(() => {
    for (const { model } of loaded) model.dispose();
  });

  it('ranks as it does elsewhere: HR@10 .6356, NDCG@10 .3667', async () => {
    for (const { model, protocol } of loaded) {
      await expectMetrics(model, protocol, { hitRate: 0.6356, ndcg: 0.3667, within: 3e-4 });
    }
  });

  for (const { bits, ...expected } of ROWS) {
    it(`ranks as elsewhere with rows of ${bits} bits, also from its file`, async () => {
      for (const { model, protocol } of loaded) {
        const quantize = { weights: ['*_embedding.weight'], bits, scheme: 'asymmetric', granularity: 'row' };
        const { models } = await runRecipe(model, validateRecipe({ recipe: 1, steps: [{ quantize }] }));
        const compressed = models.get('compressed') as Model;
        const file = folder.path('rows.safetensors');
        const fileBytes = saveModel(compressed, file);
        compressed.dispose();
        const again = loadModel(file);
        await expectMetrics(again, protocol, { ...expected, within: 1e-3 });
        // 8 columns of codes, a scale and an offset for each of the 6,040 users and 3,706 items; 9 numbers in f32.
        expect(again.bytes()).to.equal((6040 + 3706) * (bits + 8) + 4 * 9);
        expect(fileBytes - again.bytes()).to.be.below(2000);
        again.dispose();
      }
    });
  }
});

async function expectMetrics(
  model: Model,
  protocol: Protocol,
  { hitRate, ndcg, within }: { hitRate: number; ndcg: number; within: number },
): Promise<void> {
  const metrics = await protocol.measure(model);
  expect(metrics.map(({ name }) => name)).to.deep.equal(['hr@10', 'ndcg@10']);
  const [hr, gain] = metrics.map(({ values }) => mean(values));
  expect(hr, 'HR@10').to.be.closeTo(hitRate, within);
  expect(gain, 'NDCG@10').to.be.closeTo(ndcg, within);
}
