import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Root of the project. */
export const root = path.join(__dirname, '../..');

/** A project in a temporary folder that has the built package among its dependencies. */
export interface Consumer {
  readonly folder: string;
  /** Writes a file of the project and returns its path. */
  write(name: string, text: string): string;
  /** Runs a Node program in the project and returns what it prints; throws with its errors when it fails. */
  run(...args: string[]): string;
  remove(): void;
}

/**
 * Makes a consumer of the built package.
 *
 * @param options.addon false: of a copy without any binary
 */
export function consumer({ addon = true } = {}): Consumer {
  if (!existsSync(path.join(root, 'dist/index.mjs')))
    throw new Error("expected the built package, got no dist; type 'npm run build'");
  const folder = mkdtempSync(path.join(tmpdir(), 'tersor-consumer-'));
  const installed = path.join(folder, 'node_modules/tersor');
  if (addon) {
    mkdirSync(path.dirname(installed));
    symlinkSync(root, installed);
  } else {
    mkdirSync(installed, { recursive: true });
    for (const part of ['package.json', 'dist'])
      cpSync(path.join(root, part), path.join(installed, part), { recursive: true });
    symlinkSync(path.join(root, 'node_modules'), path.join(installed, 'node_modules'));
  }
  const write = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  write('package.json', '{ "name": "consumer", "private": true, "type": "module" }\n');
  return {
    folder,
    write,
    run: (...args) =>
      execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe', timeout: 60_000 }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
