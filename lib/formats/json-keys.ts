/**
 * Finds the first object key that occurs twice in one object; JSON.parse would silently keep the last.
 *
 * @param text - JSON that JSON.parse accepts.
 * @returns The key, or undefined when every object's keys are distinct.
 */
export function duplicateKey(text: string): string | undefined {
  /** Keys seen so far in each open object; null for an array. */
  const open: (Set<string> | null)[] = [];
  let lastString: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const end = closingQuote(text, at);
      lastString = text.slice(at, end + 1);
      at = end;
    } else if (character === '{') open.push(new Set());
    else if (character === '[') open.push(null);
    else if (character === '}' || character === ']') open.pop();
    else if (character === ':' && lastString !== undefined) {
      const key: string = JSON.parse(lastString);
      const seen = open.at(-1);
      if (seen?.has(key)) return key;
      seen?.add(key);
    }
  }
  return undefined;
}

function closingQuote(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
