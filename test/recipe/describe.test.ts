import { expect } from 'chai';
import { describeRecipe } from '../../lib/recipe/describe';
import { validateRecipe } from '../../lib/recipe/parse';

describe('describeRecipe', () => {
  it('says what each step does, on one line each', () => {
    const recipe = validateRecipe({
      recipe: 1,
      steps: [
        {
          prune: {
            weights: ['a', 'b'],
            sparsity: 0.8,
            schedule: { kind: 'cubic' },
            retrain: { epochs: 10, distill: {} },
          },
        },
        { prune: { weights: ['*'], threshold: 0.01 } },
        { quantize: { weights: ['*'], method: 'gptq', bits: 4, granularity: 'group', groupSize: 64 } },
        {
          quantize: {
            weights: ['*'],
            bits: 8,
            activations: { bits: 8 },
            retrain: { epochs: 1, optimizer: 'sgd', lrSchedule: 'constant' },
          },
        },
        { factorize: { weights: ['a'], rank: 32 } },
        { factorize: { weights: ['a'], energy: 0.955, retrain: { epochs: 2 } } },
        { retrain: { epochs: 3, batchSize: 128, learningRate: 0.01, optimizer: 'adamw', warmupSteps: 50 } },
        { quantize: { weights: ['*'], bits: 8, activations: { bits: 8, observer: 'percentile', percentile: 99.9 } } },
        { quantize: { weights: ['*'], method: 'gptq', bits: 3, correction: { rank: 8 } } },
        { quantize: { weights: ['*'], bits: 2, granularity: 'tensor', correction: { energy: 0.75 } } },
      ],
    });
    expect(describeRecipe(recipe)).to.deep.equal([
      '1. Prune a, b: remove the 80 % of smallest magnitude, in steps of 20 batches over the first 60 % of the retraining (cubic); ' +
        'retrain the rest for 10 epochs of adam, batches of 32, learning rate 0.001 (cosine), taught by the original model (temperature 2, alpha 0.5).',
      '2. Prune *: remove every element of magnitude up to 0.01, at once.',
      '3. Quantize * by GPTQ to 4 bits, symmetric, one scale per group of 64, after training.',
      '4. Quantize * to 8 bits, symmetric, one scale per channel, inputs to 8 bits (ema); ' +
        'retrain with the rounding for 1 epoch of sgd, batches of 32, learning rate 0.001 (constant).',
      '5. Factorize a by SVD to rank 32.',
      '6. Factorize a by SVD to the rank that keeps 95.5 % of the energy; retrain the factors for 2 epochs of adam, batches of 32, learning rate 0.001 (cosine).',
      '7. Retrain: 3 epochs of adamw, batches of 128, learning rate 0.01 (cosine after 50 steps of warm-up).',
      '8. Quantize * to 8 bits, symmetric, one scale per channel, inputs to 8 bits (percentile 99.9), after training.',
      '9. Quantize * by GPTQ to 3 bits, symmetric, one scale per channel, after training; add the error by SVD to rank 8.',
      '10. Quantize * to 2 bits, symmetric, one scale per tensor, after training; add the error by SVD to the rank that holds 75 % of its energy.',
    ]);
  });

  it('heads the steps of each of several variants with its name', () => {
    const step = { factorize: { weights: ['a'], rank: 1 } };
    const recipe = validateRecipe({
      recipe: 1,
      variants: [
        { name: 'x', steps: [step] },
        { name: 'y', steps: [step, step] },
      ],
    });
    const line = 'Factorize a by SVD to rank 1.';
    expect(describeRecipe(recipe)).to.deep.equal(['x:', `  1. ${line}`, 'y:', `  1. ${line}`, `  2. ${line}`]);
  });
});
