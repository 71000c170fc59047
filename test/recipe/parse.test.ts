import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { TersorError } from '../../lib/errors';
import { parseRecipe, readRecipe, validateRecipe } from '../../lib/recipe/parse';
import type { RecipeInput } from '../../lib/recipe/schema';
import { errorOf, root, temporaryFolder } from '../formats/files';

const retrain = { epochs: 1 };

/** The message of the error, without the excerpts. */
function problemsIn(text: string): string[] {
  const error = errorOf(() => parseRecipe(text, 'r.yaml'));
  expect(error.code).to.equal('ERR_TERSOR_RECIPE');
  return error.message.split('\n').filter((line) => line.startsWith('r.yaml:'));
}

/** The problems of a recipe with this one step, given as an object. */
function problemsOfStep(step: unknown): string[] {
  const error = errorOf(() => validateRecipe({ recipe: 1, steps: [step] }));
  expect(error.code).to.equal('ERR_TERSOR_RECIPE');
  return error.message.split('\n');
}

describe('parseRecipe', () => {
  const folder = temporaryFolder();

  it('fills in the defaults and turns steps into one variant', () => {
    const text = `
recipe: 1
steps:
  - prune: { weights: [a], sparsity: 0.8, schedule: { kind: cubic }, retrain: { epochs: 4, distill: {} } }
  - quantize: { weights: ['*'], bits: 8, activations: { bits: 8 } }
  - factorize: { weights: [b], rank: 3 }
  - retrain: { epochs: 2, optimizer: sgd }
`;
    const trained = { batchSize: 32, learningRate: 0.001, weightDecay: 0, lrSchedule: 'cosine' };
    expect(parseRecipe(text)).to.deep.equal({
      recipe: 1,
      seed: 0,
      variants: [
        {
          name: 'compressed',
          steps: [
            {
              prune: {
                weights: ['a'],
                method: 'magnitude',
                sparsity: 0.8,
                schedule: { kind: 'cubic', end: 0.6, every: 20 },
                retrain: { ...trained, epochs: 4, optimizer: 'adam', distill: { temperature: 2, alpha: 0.5 } },
              },
            },
            {
              quantize: {
                weights: ['*'],
                method: 'nearest',
                bits: 8,
                scheme: 'symmetric',
                granularity: 'channel',
                activations: { bits: 8, scheme: 'asymmetric', observer: 'ema', momentum: 0.99 },
              },
            },
            { factorize: { weights: ['b'], method: 'svd', rank: 3 } },
            { retrain: { ...trained, epochs: 2, optimizer: 'sgd', momentum: 0 } },
          ],
        },
      ],
    });
  });

  it('takes JSON, tabs included, and gives the same recipe as YAML', () => {
    const recipe: RecipeInput = { recipe: 1, seed: 3, variants: [{ name: 'x', steps: [{ retrain }] }] };
    expect(parseRecipe(JSON.stringify(recipe, null, '\t'))).to.deep.equal(validateRecipe(recipe));
  });

  it('gives back unchanged what it returned', () => {
    const once = parseRecipe(
      'recipe: 1\nsteps: [{ retrain: { epochs: 1, optimizer: sgd } }, { quantize: { weights: [a], bits: 8, activations: { bits: 8 } } }]',
    );
    expect(validateRecipe(once)).to.deep.equal(once);
  });

  it('shows the line and the column, and suggests the nearest key and value', () => {
    const text = "recipe: 1\nsteps:\n  - prune:\n      weights: ['*']\n      sparcity: 0.8\n      method: magnitud\n";
    expect(errorOf(() => parseRecipe(text, 'r.yaml')).message).to.equal(
      "r.yaml:5:7: expected one of 'weights', 'method', 'sparsity', 'blocks', 'threshold', 'pattern', 'schedule', 'retrain', got 'sparcity' (did you mean 'sparsity'?), at steps[0].prune\n" +
        '  5 |       sparcity: 0.8\n' +
        '    |       ^\n' +
        "r.yaml:6:15: expected one of 'magnitude', 'sparsegpt', got 'magnitud' (did you mean 'magnitude'?), at steps[0].prune.method\n" +
        '  6 |       method: magnitud\n' +
        '    |               ^',
    );
  });

  it('reports every problem, in the order of the file', () => {
    const text = `recipe: 1
seed: -1.5
sedd: 2
variants:
  - name: a/b
    steps:
      - prune:
          weights: ['*']
          schedule: { kind: cubic }
      - prun: {}
      - quantize: { weights: [], bits: 5, granularity: group }
      - retrain:
  - name: x
    steps: []
  - name: X
    steps: [3, { factorize: { weights: [a], rank: 0, energy: 2 }, retrain: 8 }]
`;
    expect(problemsIn(text).map((line) => line.replace(/^r\.yaml:(\d+:\d+): .*?got (.*)$/, '$1 $2'))).to.deep.equal([
      '2:7 -1.5, at seed',
      "3:1 'sedd' (did you mean 'seed'?)",
      "5:11 'a/b', at variants[0].name",
      '7:9 none, at variants[0].steps[0].prune',
      '7:9 schedule alone, at variants[0].steps[0].prune',
      "10:9 'prun' (did you mean 'prune'?), at variants[0].steps[1]",
      '11:19 none, at variants[0].steps[2].quantize',
      '11:30 an empty list, at variants[0].steps[2].quantize.weights',
      '11:40 5, at variants[0].steps[2].quantize.bits',
      '12:9 nothing, at variants[0].steps[3].retrain',
      '14:12 an empty list, at variants[1].steps',
      "15:11 'X' again, at variants[2].name",
      '16:13 3, at variants[2].steps[0]',
      '16:16 factorize and retrain, at variants[2].steps[1]',
      '16:29 both, at variants[2].steps[1].factorize',
      '16:51 0, at variants[2].steps[1].factorize.rank',
      '16:62 2, at variants[2].steps[1].factorize.energy',
      '16:76 8, at variants[2].steps[1].retrain',
    ]);
  });

  it('stops listing after twenty problems and says how many more there are', () => {
    const error = errorOf(() => parseRecipe(`recipe: 1\nsteps: [${'3, '.repeat(25)}]`, 'r.yaml'));
    expect(error.message.match(/^r\.yaml:2:/gm)).to.have.length(20);
    expect(error.message).to.match(/… and 5 more$/);
  });

  it('reports files that are empty, of another kind or of another version', () => {
    expect(problemsIn('')).to.deep.equal([
      "r.yaml:1:1: expected a recipe ('recipe: 1', then steps or variants), got an empty file",
    ]);
    expect(problemsIn('# only a comment\n')[0]).to.include('got an empty file');
    expect(problemsIn('prune')).to.deep.equal([
      "r.yaml:1:1: expected keys and values (recipe, seed, steps, variants), got 'prune'",
    ]);
    expect(problemsIn('- prune: {}')[0]).to.include('got a list');
    expect(problemsIn('recipe: 2\nsteps: [{ retrain: { epochs: 1 } }]')).to.deep.equal([
      'r.yaml:1:9: expected 1, got 2, at recipe',
    ]);
    expect(problemsIn('steps: [{ retrain: { epochs: 1 } }]')).to.deep.equal([
      'r.yaml:1:1: expected 1, got nothing, at recipe',
    ]);
    expect(problemsIn('recipe: 1')[0]).to.include('expected either steps or variants, got neither');
    expect(
      problemsIn(
        'recipe: 1\nsteps: [{ retrain: { epochs: 1 } }]\nvariants: [{ name: a, steps: [{ retrain: { epochs: 1 } }] }]',
      )[0],
    ).to.include('got both');
  });

  it('reports YAML that cannot be parsed, repeated keys, tags and several documents at their place', () => {
    expect(problemsIn('recipe: 1\nsteps: [{ retrain: { epochs: 1 }').join()).to.match(
      /^r\.yaml:2:\d+: expected valid YAML/,
    );
    expect(problemsIn('recipe: 1\n\tsteps: []')[0]).to.match(/^r\.yaml:2:1: expected valid YAML, got: Tabs/);
    expect(problemsIn('recipe: 1\nseed: 1\nseed: 2\nsteps: [{ retrain: { epochs: 0 } }]')).to.deep.equal([
      'r.yaml:3:1: expected each key once, got this one again',
      'r.yaml:4:30: expected a whole number of 1 or more, got 0, at steps[0].retrain.epochs',
    ]);
    expect(problemsIn('recipe: !!js/function 1\nsteps: []')[0]).to.match(
      /^r\.yaml:1:9: expected valid YAML, got: Unresolved tag/,
    );
    expect(problemsIn('recipe: 1\n---\nrecipe: 1\n')[0]).to.include('multiple documents');
    expect(problemsIn('? { a: 1 }\n: 2\n')[0]).to.include('expected valid YAML');
  });

  it('takes aliases, and refuses those without an anchor, merge keys, circles and bombs', () => {
    const shared = parseRecipe('recipe: 1\nsteps: [{ retrain: &r { epochs: 2 } }, { retrain: *r }]');
    expect(shared.variants[0]?.steps[1]).to.deep.equal(shared.variants[0]?.steps[0]);
    expect(problemsIn('recipe: 1\nsteps: *all')).to.deep.equal([
      'r.yaml:2:8: expected an anchor &all before its alias, got none',
    ]);
    expect(problemsIn('recipe: 1\nsteps: [{ retrain: &r { epochs: 2 } }, { retrain: { <<: *r } }]').join()).to.include(
      "got '<<'",
    );
    expect(problemsIn('recipe: 1\nsteps: &s [{ retrain: *s }]')[0]).to.include('got a list');
    const bomb = `a0: &a0 [x, x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join('\n')}\nrecipe: 1\n`;
    expect(problemsIn(bomb)[0]).to.match(/^r\.yaml:2:10: expected aliases that stand for at most 100 values, got more/);
  });

  it('points into the anchored block when a mistake comes through an alias', () => {
    expect(
      problemsIn(
        'recipe: 1\nvariants:\n  - name: a\n    steps: &s\n      - retrain: { epochs: x }\n  - name: b\n    steps: *s\n',
      ),
    ).to.deep.equal([
      "r.yaml:5:28: expected a whole number of 1 or more, got 'x', at variants[0].steps[0].retrain.epochs",
      "r.yaml:5:28: expected a whole number of 1 or more, got 'x', at variants[1].steps[0].retrain.epochs",
    ]);
  });

  it('refuses input that is too long, too deep or has too many aliases, before it costs time', () => {
    expect(problemsIn(' '.repeat(2 ** 16 + 1))[0]).to.include('expected at most 65536 characters, got 65537');
    for (const nested of ['[', '- ', '? ', '{a: ']) {
      expect(problemsIn(nested.repeat(10000))[0]).to.match(
        /^r\.yaml:1:\d+: expected at most 64 levels of nesting, got more/,
      );
    }
    expect(problemsIn(`recipe: 1\nsteps: &s [${'*s,'.repeat(20000)}]`)[0]).to.include(
      'expected at most 100 aliases, got 20000',
    );
  });

  it('keeps the excerpt short and free of control characters', () => {
    const error = errorOf(() =>
      parseRecipe(`{ recipe: 1, ${' '.repeat(5000)}"se\\u001bd": "\u0007", steps: [] }`, 'r.yaml'),
    );
    for (const line of error.message.split('\n')) expect(line.length).to.be.below(250);
    expect(error.message.replaceAll('\n', '')).to.not.match(/\p{Cc}/u);
  });

  it('never throws anything but a recipe error, whatever the text', () => {
    const pieces = [
      'recipe: 1',
      '\n',
      '  ',
      '- ',
      'steps:',
      'prune:',
      '{',
      '}',
      '[',
      ']',
      '*a',
      '&a ',
      ': ',
      ',',
      '"',
      '0.5',
      'weights',
      '!!x ',
      '? ',
      '|',
      '\t',
      '<<',
      '#',
      "'",
    ];
    const anyText = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(anyText, (text) => {
        try {
          parseRecipe(text, 'r.yaml');
        } catch (error) {
          expect(error).to.be.instanceOf(TersorError).with.property('code', 'ERR_TERSOR_RECIPE');
          expect((error as TersorError).message).to.match(/^r\.yaml:\d+:\d+: expected /);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('reads files, and reports those that are missing or not text', () => {
    const file = path.join(folder, 'r.yaml');
    expect(errorOf(() => readRecipe(file))).to.have.property('code', 'ERR_TERSOR_IO');
    writeFileSync(file, '\uFEFFrecipe: 1\nsteps: [{ retrain: { epochs: 1 } }]');
    expect(readRecipe(file).variants).to.have.length(1);
    writeFileSync(file, Buffer.from([0xff, 0xfe, 0x41]));
    expect(errorOf(() => readRecipe(file))).to.have.property('code', 'ERR_TERSOR_CORRUPT_FILE');
  });
});

describe('validateRecipe', () => {
  it('names the place of each problem', () => {
    expect(problemsOfStep({ prune: { weights: ['*'], sparsity: 1 }, extra: 1 })).to.deep.equal([
      "expected one of 'prune', 'quantize', 'factorize', 'productQuantize', 'retrain', got 'extra', at steps[0]",
      'expected a number between 0 and 1, got 1, at steps[0].prune.sparsity',
    ]);
    expect(errorOf(() => validateRecipe(undefined)).message).to.equal(
      'expected keys and values (recipe, seed, steps, variants), got nothing',
    );
  });

  const base = { weights: ['*'] };
  const refused: [name: string, step: unknown, message: string][] = [
    [
      'sparsity beside threshold',
      { prune: { ...base, sparsity: 0.5, threshold: 0.1 } },
      'one of sparsity, threshold and pattern, got sparsity and threshold',
    ],
    ['sparsity 0', { prune: { ...base, sparsity: 0 } }, 'a number between 0 and 1, got 0'],
    ['sparsity NaN', { prune: { ...base, sparsity: Number.NaN } }, 'a number between 0 and 1, got NaN'],
    ['a negative threshold', { prune: { ...base, threshold: -1 } }, 'a number of 0 or more, got -1'],
    ['an infinite threshold', { prune: { ...base, threshold: Number.POSITIVE_INFINITY } }, 'got Infinity'],
    [
      'a schedule without retraining',
      { prune: { ...base, sparsity: 0.5, schedule: { kind: 'cubic' } } },
      'expected retrain beside schedule',
    ],
    [
      'a schedule for a threshold',
      { prune: { ...base, threshold: 0.5, schedule: { kind: 'cubic' }, retrain } },
      'expected sparsity beside schedule',
    ],
    [
      'an unknown schedule',
      { prune: { ...base, sparsity: 0.5, schedule: { kind: 'cubik' }, retrain } },
      "expected 'cubic', got 'cubik' (did you mean 'cubic'?)",
    ],
    ['5 bits', { quantize: { ...base, bits: 5 } }, 'one of 1, 2, 3, 4, 8, got 5'],
    ['bits as text', { quantize: { ...base, bits: '8' } }, "one of 1, 2, 3, 4, 8, got '8'"],
    [
      'groups without a size',
      { quantize: { ...base, bits: 4, granularity: 'group' } },
      'groupSize beside granularity group, got none',
    ],
    [
      'a group size without groups',
      { quantize: { ...base, bits: 4, groupSize: 32 } },
      'groupSize only with granularity group, got it with channel',
    ],
    [
      'activations of 4 bits',
      { quantize: { ...base, bits: 8, activations: { bits: 4 } } },
      'expected 8, got 4, at steps[0].quantize.activations.bits',
    ],
    [
      'activations beside 4-bit weights',
      { quantize: { ...base, bits: 4, activations: { bits: 8 } } },
      'expected bits: 8 beside activations',
    ],
    [
      'a threshold for SparseGPT',
      { prune: { weights: ['*'], method: 'sparsegpt', threshold: 0.1 } },
      'only sparsity beside method sparsegpt',
    ],
    [
      'retraining beside SparseGPT',
      { prune: { weights: ['*'], method: 'sparsegpt', sparsity: 0.5, retrain: { epochs: 1 } } },
      'no retrain beside method sparsegpt',
    ],
    [
      'retraining beside GPTQ',
      { quantize: { ...base, method: 'gptq', bits: 4, retrain: { epochs: 1 } } },
      'no retrain beside method gptq',
    ],
    [
      'activations beside GPTQ',
      { quantize: { ...base, method: 'gptq', bits: 8, activations: { bits: 8 } } },
      'no activations beside method gptq',
    ],
    [
      'retraining beside a correction',
      { quantize: { ...base, bits: 4, correction: { rank: 2 }, retrain: { epochs: 1 } } },
      'no retrain beside correction',
    ],
    [
      'a correction of rank and energy',
      { quantize: { ...base, bits: 4, correction: { rank: 2, energy: 0.5 } } },
      'either rank or energy, got both, at steps[0].quantize.correction',
    ],
    [
      'a correction of neither',
      { quantize: { ...base, bits: 4, correction: {} } },
      'either rank or energy, got neither',
    ],
    [
      'a misspelt rank of a correction',
      { quantize: { ...base, bits: 4, correction: { ranc: 2 } } },
      "expected one of 'rank', 'energy', got 'ranc' (did you mean 'rank'?), at steps[0].quantize.correction",
    ],
    [
      'activations beside asymmetric weights',
      { quantize: { ...base, bits: 8, scheme: 'asymmetric', activations: { bits: 8 } } },
      'scheme: symmetric beside activations',
    ],
    [
      'activations beside groups',
      { quantize: { ...base, bits: 8, granularity: 'group', groupSize: 8, activations: { bits: 8 } } },
      'beside activations, got granularity group',
    ],
    [
      'momentum of dynamic inputs',
      { quantize: { ...base, bits: 8, activations: { bits: 8, observer: 'dynamic', momentum: 0.5 } } },
      'momentum only with observer ema, got it with dynamic',
    ],
    [
      'momentum of a min-max observer',
      { quantize: { ...base, bits: 8, activations: { bits: 8, observer: 'min-max', momentum: 0.5 } } },
      'momentum only with observer ema',
    ],
    [
      'percentile of a histogram observer',
      { quantize: { ...base, bits: 8, activations: { bits: 8, observer: 'histogram', percentile: 99 } } },
      'percentile only with observer percentile, got it with histogram',
    ],
    [
      'a percentile below 50',
      { quantize: { ...base, bits: 8, activations: { bits: 8, observer: 'percentile', percentile: 0.999 } } },
      'a number from 50 to 100, got 0.999',
    ],
    ['rank beside energy', { factorize: { ...base, rank: 3, energy: 0.5 } }, 'either rank or energy, got both'],
    ['neither rank nor energy', { factorize: base }, 'either rank or energy, got neither'],
    ['rank 1.5', { factorize: { ...base, rank: 1.5 } }, 'a whole number of 1 or more, got 1.5'],
    ['energy 0', { factorize: { ...base, energy: 0 } }, 'a number above 0 and up to 1, got 0'],
    ['no epochs', { retrain: {} }, 'a whole number of 1 or more, got nothing, at steps[0].retrain.epochs'],
    ['a learning rate of 0', { retrain: { ...retrain, learningRate: 0 } }, 'a number above 0, got 0'],
    ['momentum for adam', { retrain: { ...retrain, momentum: 0.9 } }, 'momentum only with optimizer sgd'],
    ['momentum for lamb', { retrain: { ...retrain, optimizer: 'lamb', momentum: 0.9 } }, 'sgd, got it with lamb'],
    ['a warm-up of 0', { retrain: { ...retrain, warmupSteps: 0 } }, 'a whole number of 1 or more, got 0'],
    ['momentum 1', { retrain: { ...retrain, optimizer: 'sgd', momentum: 1 } }, 'a number from 0 to below 1, got 1'],
    ['temperature 0', { retrain: { ...retrain, distill: { temperature: 0 } } }, 'a number above 0, got 0'],
    ['alpha above 1', { retrain: { ...retrain, distill: { alpha: 1.1 } } }, 'a number from 0 to 1, got 1.1'],
    ['an epoch count beyond exact integers', { retrain: { epochs: 2 ** 60 } }, 'a whole number of 1 or more'],
    [
      'one weight name that is no list',
      { quantize: { weights: '*', bits: 8 } },
      "weight names, such as ['*_embedding.weight'], got '*'",
    ],
    ['an empty weight name', { quantize: { weights: [''], bits: 8 } }, "got '', at steps[0].quantize.weights[0]"],
    ['a step of two kinds', { retrain, quantize: { ...base, bits: 8 } }, 'got quantize and retrain, at steps[0]'],
    ['an empty step', {}, 'got none, at steps[0]'],
    ['snake case', { retrain: { ...retrain, batch_size: 8 } }, "got 'batch_size' (did you mean 'batchSize'?)"],
  ];
  for (const [name, step, message] of refused) {
    it(`refuses ${name}`, () => {
      const problems = problemsOfStep(step);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.include(message);
    });
  }

  it('refuses variant names that are not safe as folders, and names that differ only by case', () => {
    const named = (...names: unknown[]) =>
      errorOf(() => validateRecipe({ recipe: 1, variants: names.map((name) => ({ name, steps: [{ retrain }] })) }))
        .message;
    for (const name of ['', '.', '..', 'a/b', 'a\\b', '-a', 'a b', 'é', 'x'.repeat(65), 'report.json', 7])
      expect(named(name)).to.include('expected letters, digits');
    expect(named('a', 'b', 'A')).to.equal(
      "expected each variant name once (in any letter case), got 'A' again, at variants[2].name",
    );
  });
});

describe('docs/recipes.md', () => {
  const page = readFileSync(path.join(root, 'docs', 'recipes.md'), 'utf8');
  const snippets = [...page.matchAll(/```(?:yaml|json)\n(.*?)```/gs)].map((match) => match[1] as string);

  it('has an example of every kind of step, and all of them are valid', () => {
    const kinds = new Set(
      snippets.flatMap((text) =>
        parseRecipe(text, 'docs/recipes.md').variants.flatMap(({ steps }) => steps.flatMap(Object.keys)),
      ),
    );
    expect([...kinds].sort()).to.deep.equal(['factorize', 'productQuantize', 'prune', 'quantize', 'retrain']);
  });

  it('shows the message that a mistake gets', () => {
    const shown = /```text\n(.*?)\n```/s.exec(page)?.[1] as string;
    const text = "recipe: 1\nsteps:\n  - prune:\n      weights: ['*']\n      sparcity: 0.8\n";
    expect(errorOf(() => parseRecipe(text, 'recipe.yaml')).message).to.equal(shown);
  });
});
