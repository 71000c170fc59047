/** HTML that is safe to insert as it is; made by {@link html} and {@link verbatim} only. */
export interface Markup {
  readonly markup: string;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function insert(value: string | number | Markup | readonly Markup[]): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return value.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
  return 'markup' in value ? value.markup : value.map((part) => part.markup).join('');
}

/**
 * Template tag that escapes every inserted text, so that no name from a file can become an element or an attribute.
 *
 * @example
 * html`<td title="${name}">${name}</td>`.markup
 */
export function html(
  strings: TemplateStringsArray,
  ...values: readonly (string | number | Markup | readonly Markup[])[]
): Markup {
  return { markup: strings.reduce((text, part, i) => text + insert(values[i - 1]!) + part) };
}

/** Text that is inserted as it is: for our own styles and scripts, never for data. */
export function verbatim(text: string): Markup {
  return { markup: text };
}

/**
 * JSON that may stand inside a script element: `<` could end the element or begin a comment, U+2028 and U+2029 end a line
 * of older JavaScript.
 *
 * @example
 * embeddableJson({ name: '</script>' }) === '{"name":"\\u003c/script>"}'
 */
export function embeddableJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
