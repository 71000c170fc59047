import { TersorError } from '../errors';
import { nearest } from '../nearest';

/**
 * Names that a step's patterns select, in the model's order; '*' stands for any characters.
 *
 * @param names of the weights that can be compressed, biases left out
 * @throws ERR_TERSOR_RECIPE when a pattern matches nothing
 */
export function matchWeights(patterns: readonly string[], names: readonly string[], where: string): string[] {
  const selected = new Set<string>();
  for (const pattern of patterns) {
    const matches = names.filter((name) => matchesGlob(name, pattern));
    if (matches.length === 0) {
      const meant = nearest(pattern, names);
      throw new TersorError(
        'ERR_TERSOR_RECIPE',
        `expected the name of a weight other than a bias (${names.join(', ')}), got '${pattern}', at ${where}` +
          (meant === undefined ? '' : ` (did you mean '${meant}'?)`),
      );
    }
    for (const name of matches) selected.add(name);
  }
  return names.filter((name) => selected.has(name));
}

/** In time proportional to both lengths, unlike a regular expression with many stars: the leftmost place of each part will do. */
function matchesGlob(name: string, pattern: string): boolean {
  const [head, ...parts] = pattern.split('*') as [string, ...string[]];
  const tail = parts.pop();
  if (tail === undefined) return name === head;
  if (!name.startsWith(head) || !name.endsWith(tail)) return false;
  let at = head.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at + tail.length <= name.length;
}
