import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { consumer, root } from '../package/consumer';

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`),
].filter((name) => name.endsWith('.md'));

/** The program blocks of a page: fenced as js. */
function programs(page: string): string[] {
  const text = readFileSync(path.join(root, page), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1] as string);
}

/** Lines that a program says it prints: `console.log(…) // → text`. */
function promised(program: string): string[] {
  return [...program.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1] as string);
}

describe('examples in the documentation', () => {
  for (const page of pages) {
    for (const [index, program] of programs(page).entries()) {
      it(`${page}, program ${index + 1}, runs against the built package and prints what it says`, function () {
        this.timeout(60_000);
        const project = consumer();
        try {
          const printed = project.run(project.write('program.mjs', program));
          expect(printed.trimEnd().split('\n')).to.deep.equal(promised(program));
        } finally {
          project.remove();
        }
      });
    }
  }

  it('are there: the README has a program', () => {
    expect(programs('README.md')).not.to.have.length(0);
  });

  it('link to files that exist', () => {
    for (const page of pages) {
      const text = readFileSync(path.join(root, page), 'utf8');
      for (const [, link] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
        const target = path.resolve(root, path.dirname(page), link as string);
        expect(existsSync(target), `${page}: ${link}`).to.equal(true);
      }
    }
  });
});
