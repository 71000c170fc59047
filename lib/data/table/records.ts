/** Records of a delimited file: fields between separators, quoted as in RFC 4180. */
import { RECORD_LIMIT } from './lines';

/** How fields are written. */
export interface RecordSyntax {
  readonly separator: string;
  /** A field that starts with `"` goes on to the closing one, over separators and line ends; `""` stands for `"`. */
  readonly quotes: boolean;
  /** Spaces around a field do not belong to it. */
  readonly trim: boolean;
}

/** A record, or why there is none. */
export interface RawRecord {
  /** Line it starts on, from 1. */
  readonly line: number;
  /** Its fields, or what was expected and got instead. */
  readonly fields: readonly string[] | string;
}

type Lines = readonly (string | undefined)[];
/** Fields and the index of the line after them; or that the lines ended within quotes. */
type Parsed = { readonly fields: readonly string[] | string; readonly next: number } | 'unclosed';

/** Turns blocks of lines into records; call `read` with every block in order. Empty lines are no records. */
export function recordReader(syntax: RecordSyntax): { read(lines: Lines, last: boolean): RawRecord[] } {
  let carried: Lines = [];
  let lineNumber = 1;
  return {
    read(lines, last) {
      const all = carried.length === 0 ? lines : [...carried, ...lines];
      const records: RawRecord[] = [];
      let at = 0;
      carried = [];
      while (at < all.length) {
        const text = all[at];
        if (text === '') {
          at++;
          continue;
        }
        const parsed = parseRecord(all, at, syntax);
        if (parsed !== 'unclosed') {
          records.push({ line: lineNumber + at, fields: parsed.fields });
          at = parsed.next;
          continue;
        }
        if (!last && textLength(all, at) <= RECORD_LIMIT) {
          carried = all.slice(at);
          break;
        }
        // The line with the stray quote is lost, those after it are not.
        records.push({ line: lineNumber + at, fields: 'a closing quote, got none' });
        at++;
      }
      lineNumber += at;
      return records;
    },
  };
}

function textLength(lines: Lines, from: number): number {
  let length = 0;
  for (let at = from; at < lines.length; at++) length += (lines[at]?.length ?? 0) + 1;
  return length;
}

function parseRecord(lines: Lines, at: number, syntax: RecordSyntax): Parsed {
  const text = lines[at];
  if (text === undefined) return { fields: 'text in UTF-8, got other bytes', next: at + 1 };
  if (syntax.quotes && text.includes('"')) return parseQuoted(lines, at, syntax);
  const fields = text.split(syntax.separator);
  return { fields: syntax.trim ? fields.map((field) => field.trim()) : fields, next: at + 1 };
}

function parseQuoted(lines: Lines, first: number, { separator, trim }: RecordSyntax): Parsed {
  const fields: string[] = [];
  let line = first;
  let text = lines[line] as string;
  let start = 0;
  for (;;) {
    let open = start;
    while (trim && text[open] === ' ') open++;
    if (text[open] !== '"') {
      const end = text.indexOf(separator, start);
      const field = text.slice(start, end < 0 ? text.length : end);
      fields.push(trim ? field.trim() : field);
      if (end < 0) return { fields, next: line + 1 };
      start = end + separator.length;
      continue;
    }
    let value = '';
    let from = open + 1;
    for (;;) {
      const quote = text.indexOf('"', from);
      if (quote < 0) {
        value += `${text.slice(from)}\n`;
        line++;
        if (line === lines.length) return 'unclosed';
        const following = lines[line];
        if (following === undefined) return { fields: 'text in UTF-8, got other bytes', next: line + 1 };
        text = following;
        from = 0;
        continue;
      }
      value += text.slice(from, quote);
      from = quote + 1;
      if (text[from] !== '"') break;
      value += '"';
      from++;
    }
    fields.push(value);
    while (trim && text[from] === ' ') from++;
    if (from >= text.length) return { fields, next: line + 1 };
    if (!text.startsWith(separator, from)) {
      return { fields: `a separator after the closing quote, got ${JSON.stringify(text[from])}`, next: first + 1 };
    }
    start = from + separator.length;
  }
}
