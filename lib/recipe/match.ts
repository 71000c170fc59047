import { TersorError } from '../errors';
import { nearest } from '../nearest';

/**
 * Names that a step's patterns select, in the model's order; '*' stands for any characters.
 *
 * @throws ERR_TERSOR_RECIPE when a pattern matches nothing
 */
export function matchWeights(patterns: readonly string[], names: readonly string[], where: string): string[] {
  const selected = new Set<string>();
  for (const pattern of patterns) {
    const matches = names.filter((name) => globToRegExp(pattern).test(name));
    if (matches.length === 0) {
      const meant = nearest(pattern, names);
      throw new TersorError(
        'ERR_TERSOR_RECIPE',
        `expected the name of a weight (${names.join(', ')}), got '${pattern}', at ${where}` +
          (meant === undefined ? '' : ` (did you mean '${meant}'?)`),
      );
    }
    for (const name of matches) selected.add(name);
  }
  return names.filter((name) => selected.has(name));
}

function globToRegExp(pattern: string): RegExp {
  const escaped = pattern.split('*').map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`);
}
