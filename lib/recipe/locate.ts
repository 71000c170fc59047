/** Where in a YAML document things are. Offsets count characters from the start of the text. */
import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  Parser,
  visit,
} from 'yaml';
import type { Problem } from './problems';

/** Aliases of a document: where each is, and those whose anchor does not come before them. */
export interface Aliases {
  readonly offsets: readonly number[];
  readonly unresolved: readonly { readonly name: string; readonly offset: number }[];
}

/** The offset at which a text is nested more than `limit` levels deep, if it is: the composer, which recurses, must not see it. */
export function tooDeepAt(text: string, limit: number): number | undefined {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    Array.from(parser.next(lexeme));
    if (parser.stack.length > limit) return parser.offset;
  }
  return undefined;
}

/** Looks at every alias once. (Resolving them one by one would take a time that grows with the square of their number.) */
export function aliasesOf(document: Document): Aliases {
  const anchors = new Set<string>();
  const unresolved: { name: string; offset: number }[] = [];
  const offsets: number[] = [];
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) {
        const offset = startOf(node) ?? 0;
        offsets.push(offset);
        if (!anchors.has(node.source)) unresolved.push({ name: node.source, offset });
      } else if (node.anchor !== undefined) anchors.add(node.anchor);
    },
  });
  return { offsets, unresolved };
}

/**
 * The offset that shows a problem best: the value if it stands in one place, else the key it belongs to, and for something that is
 * missing the key of what it is missing from.
 */
export function offsetOf(document: Document, { path, onKey }: Pick<Problem, 'path' | 'onKey'>): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, key] of path.entries()) {
    if (isAlias(node)) node = (node as Alias).resolve(document);
    if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = startOf(node) ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (pair === undefined) return offset;
      node = pair.value;
      const atKey = startOf(pair.key) ?? offset;
      const spreads = isCollection(node) && node.flow !== true;
      const isEmpty = isScalar(node) && node.source === '';
      const useKey = spreads || isEmpty || (onKey && depth === path.length - 1);
      offset = useKey ? atKey : (startOf(node) ?? atKey);
    } else return offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
