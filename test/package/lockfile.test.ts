import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';

interface LockedPackage {
  version: string;
  resolved?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

const root = path.join(__dirname, '../..');
const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, LockedPackage>;
};

/** Where Node looks from `place`, nearest first. */
function isLocked(name: string, place: string): boolean {
  for (let folder = place; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (packages[`${folder ? `${folder}/` : ''}node_modules/${name}`]) return true;
    if (folder === '') return false;
  }
}

describe('package-lock.json', () => {
  it('holds no download addresses, so that it works with any registry', () => {
    for (const [place, { resolved }] of Object.entries(packages)) expect(resolved, place).to.equal(undefined);
  });

  it('locks every dependency, those of other platforms too: npm ci refuses it otherwise', () => {
    for (const [place, { dependencies, optionalDependencies }] of Object.entries(packages)) {
      for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
        expect(isLocked(name, place), `${name} of ${place || 'the project'}`).to.equal(true);
      }
    }
  });
});
