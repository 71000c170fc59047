import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Context, Result } from './command';

/** Runs a command's work and prints what it returns. */
export type Run = (work: (context: Context) => Result | Promise<Result>) => Promise<void>;

// The commands are loaded when they are called: help must work, and quickly, also where the native addon is missing.
const load = {
  compress: () => require('./compress') as typeof import('./compress'),
  devices: () => require('./devices') as typeof import('./devices'),
  evaluate: () => require('./evaluate') as typeof import('./evaluate'),
  inspect: () => require('./inspect') as typeof import('./inspect'),
};

const KINDS = 'mlp, gmf or ncf-mlp; needed when the file does not say';

/** The command line: names, arguments, options, help. */
export function createProgram(run: Run): Command {
  const program = new Command('tersor')
    .description(
      'Compresses trained search and recommendation models: prune, quantize, distil, factorize, retrain, measure, export.',
    )
    .version(readVersion())
    .exitOverride()
    .showHelpAfterError('(--help shows what is possible)')
    .addHelpText(
      'after',
      examples(
        'tersor inspect model.safetensors --model gmf',
        'tersor compress model.safetensors --model gmf --recipe rows-int4.yaml -o out/',
        'tersor evaluate out/ --protocol leave-one-out --ratings test.rating --negatives test.negative',
        'tersor devices --json',
      ) +
        '\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.' +
        '\nTERSOR_ISA forces an instruction set, TERSOR_THREADS a number of threads, TERSOR_DEBUG=1 shows stacks of errors.',
    );

  program
    .command('compress')
    .description('Run a recipe on a model; write the compressed model, report.json and report.html.')
    .argument('<model>', 'safetensors file, or a folder that compress wrote')
    .option('--model <kind>', KINDS)
    .requiredOption('--recipe <file>', 'YAML or JSON file that says what to do (docs/recipes.md)')
    .option('-o, --out <folder>', 'where to write; must be new or empty')
    .addOption(
      dataOption(
        'training and test examples: a safetensors file with train.inputs, train.labels, test.inputs, test.labels',
      ),
    )
    .option('--seed <n>', "seed of everything random, in place of the recipe's", wholeNumber)
    .option('--dry-run', 'check the recipe against the model and say what it would do')
    .addOption(
      new Option('--resume', 'continue an interrupted run of the same recipe, model and data').conflicts('force'),
    )
    .option('--force', 'write into a folder that is not empty')
    .addOption(protocolOption())
    .option('--ratings <file>', 'leave-one-out: held-out items, one line per case (user, item, …)')
    .option('--negatives <file>', 'leave-one-out: items to rank each of them among')
    .option('--metrics <names>', metricsHelp())
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      examples(
        'tersor compress digits.safetensors --recipe digits.yaml --data digits-data.safetensors -o out/',
        'tersor compress gmf.safetensors --model gmf --recipe rows-int4.yaml -o out/ \\\n' +
          '      --protocol leave-one-out --ratings test.rating --negatives test.negative --metrics hr@10,ndcg@10',
        'tersor compress digits.safetensors --recipe digits.yaml --data digits-data.safetensors --dry-run',
        'tersor compress digits.safetensors --recipe digits.yaml --data digits-data.safetensors -o out/ --resume',
      ),
    )
    .action((model, options) => run((context) => load.compress().compress(model, options, context)));

  program
    .command('evaluate')
    .description('Score a model on test data, and measure its size and speed.')
    .argument('<model>', 'safetensors file, or a folder that compress wrote')
    .option('--model <kind>', KINDS)
    .addOption(protocolOption())
    .option('--ratings <file>', 'leave-one-out: held-out items, one line per case (user, item, …)')
    .option('--negatives <file>', 'leave-one-out: items to rank each of them among')
    .addOption(dataOption('classification: a safetensors file whose test.inputs and test.labels are used'))
    .option('--metrics <names>', metricsHelp())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        'tersor evaluate gmf.safetensors --model gmf --protocol leave-one-out \\\n' +
          '      --ratings test.rating --negatives test.negative --metrics hr@10,ndcg@10',
        'tersor evaluate out/ --protocol classification --data digits-data.safetensors --metrics accuracy --json',
      ),
    )
    .action((model, options) => run((context) => load.evaluate().evaluate(model, options, context)));

  program
    .command('inspect')
    .description(
      'List the weights of a model: representation, shape, bits, bytes, parameters, nonzeros; and the metadata.',
    )
    .argument('<model>', 'safetensors file, or a folder that compress wrote')
    .option('--model <kind>', 'mlp, gmf or ncf-mlp; a file that does not say is listed tensor by tensor')
    .option('--json', 'print the list as JSON')
    .addHelpText('after', examples('tersor inspect out/', 'tersor inspect gmf.safetensors --model gmf --json'))
    .action((model, options) => run(() => load.inspect().inspect(model, options)));

  program
    .command('devices')
    .description('Show the devices and kernels that this machine uses, and why the others were passed over.')
    .option('--json', 'print the list as JSON')
    .addHelpText('after', examples('tersor devices', 'TERSOR_ISA=scalar tersor devices --json'))
    .action(() => run(() => load.devices().showDevices()));

  return program;
}

function protocolOption(): Option {
  return new Option('--protocol <name>', 'how to score').choices(['leave-one-out', 'classification']);
}

function dataOption(help: string): Option {
  return new Option('--data <file>', help);
}

function metricsHelp(): string {
  return 'separated by commas: accuracy, or hr@k and ndcg@k (default: accuracy, or hr@10,ndcg@10)';
}

function examples(...commands: readonly string[]): string {
  return `\nExamples:\n${commands.map((command) => `  $ ${command}`).join('\n')}`;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('Expected a whole number of 0 or more.');
  return value;
}

function readVersion(): string {
  // Two levels up from lib/cli and from dist/cli alike.
  const file = path.join(__dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
