import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { TersorError } from '../errors';

const MODEL = 'model.safetensors';

/**
 * The file behind a path given by a user: the file itself, or the model in a folder that `tersor compress` wrote.
 *
 * @throws TersorError ERR_TERSOR_INVALID_ARGUMENT for a folder without a model or with several
 */
export function modelFile(given: string): string {
  if (!statSync(given, { throwIfNoEntry: false })?.isDirectory()) return given;
  const file = path.join(given, MODEL);
  if (existsSync(file)) return file;
  const variants = readdirSync(given).filter((name) => existsSync(path.join(given, name, MODEL)));
  const got =
    variants.length === 0 ? 'none' : `several variants: ${variants.map((name) => path.join(given, name)).join(', ')}`;
  throw new TersorError('ERR_TERSOR_INVALID_ARGUMENT', `expected one ${MODEL} in the folder, got ${got}, at ${given}`);
}
