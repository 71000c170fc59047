import { TersorError } from '../errors';

/**
 * Canonical Huffman coding of bytes, as the last stage of Deep Compression (Han, Mao and Dally 2016) stores its indices.
 *
 * Layout: the largest symbol that occurs (1 byte), the code length of every symbol up to it (4 bits each, 0 = absent, first symbol
 * in the low half of a byte), then the codes, each from its most significant bit, filling bytes from the least significant bit.
 */

const LENGTH_LIMIT = 15;
const SYMBOLS = 256;

/** Encodes at least one symbol. */
export function huffmanEncode(symbols: Uint8Array): Uint8Array {
  const lengths = codeLengths(symbols);
  const codes = canonicalCodes(lengths);
  const last = lengths.findLastIndex((length) => length > 0);
  const head = headBytes(last);
  const bits = symbols.reduce((sum, symbol) => sum + (lengths[symbol] as number), 0);
  const bytes = new Uint8Array(head + Math.ceil(bits / 8));
  bytes[0] = last;
  for (let symbol = 0; symbol <= last; symbol++) {
    bytes[1 + (symbol >> 1)]! |= (lengths[symbol] as number) << (4 * (symbol & 1));
  }
  let at = head * 8;
  for (const symbol of symbols) {
    const code = codes[symbol] as number;
    for (let bit = (lengths[symbol] as number) - 1; bit >= 0; bit--, at++) {
      bytes[at >> 3]! |= ((code >> bit) & 1) << (at & 7);
    }
  }
  return bytes;
}

/**
 * Decodes symbols until `accept` answers false for one, or the bytes end.
 *
 * @param accept takes each symbol; false stops
 * @returns bytes that were used
 * @throws ERR_TERSOR_CORRUPT_FILE when the bytes are no Huffman code, or end before `accept` has had enough
 */
export function huffmanDecode(bytes: Uint8Array, accept: (symbol: number) => boolean, where: string): number {
  const corrupt = (expected: string, got: string) =>
    new TersorError('ERR_TERSOR_CORRUPT_FILE', `expected ${expected}, got ${got}, at ${where}`);
  const last = bytes[0] ?? 0;
  const head = headBytes(last);
  if (bytes.length < head) throw corrupt(`at least ${head} bytes of a Huffman code`, `${bytes.length}`);
  const lengths = Uint8Array.from({ length: SYMBOLS }, (_, symbol) =>
    symbol <= last ? ((bytes[1 + (symbol >> 1)] as number) >> (4 * (symbol & 1))) & 15 : 0,
  );
  const { first, offset, ordered } = canonicalTable(lengths);
  let at = head * 8;
  for (;;) {
    let code = 0;
    let length = 0;
    let rank = -1;
    while (rank < 0) {
      if (at >= bytes.length * 8) throw corrupt('more Huffman codes', 'the end of the bytes');
      if (length === LENGTH_LIMIT) throw corrupt('a Huffman code', 'unassigned bits');
      code = (code << 1) | (((bytes[at >> 3] as number) >> (at & 7)) & 1);
      at++;
      length++;
      const candidate = code - (first[length] as number);
      const count = (offset[length + 1] as number) - (offset[length] as number);
      if (candidate >= 0 && candidate < count) rank = (offset[length] as number) + candidate;
    }
    if (!accept(ordered[rank] as number)) return Math.ceil(at / 8);
  }
}

function headBytes(lastSymbol: number): number {
  return 1 + Math.ceil((lastSymbol + 1) / 2);
}

/**
 * Optimal code lengths of at most 15 bits, by package-merge (Larmore and Hirschberg 1990): of every symbol's 15 coins, take the
 * cheapest 2n − 2 packages; a symbol's length is how often it is in them.
 */
function codeLengths(symbols: Uint8Array): Uint8Array {
  const counts = new Float64Array(SYMBOLS);
  for (const symbol of symbols) counts[symbol]!++;
  const lengths = new Uint8Array(SYMBOLS);
  const coins = [...counts.keys()]
    .filter((symbol) => (counts[symbol] as number) > 0)
    .map((symbol) => ({ weight: counts[symbol] as number, symbols: [symbol] }))
    .sort((a, b) => a.weight - b.weight);
  if (coins.length === 1) {
    lengths[(coins[0] as (typeof coins)[number]).symbols[0] as number] = 1;
    return lengths;
  }
  let packages = coins;
  for (let level = 1; level < LENGTH_LIMIT; level++) {
    const pairs = [];
    for (let i = 0; i + 1 < packages.length; i += 2) {
      const [a, b] = packages.slice(i, i + 2) as [(typeof coins)[number], (typeof coins)[number]];
      pairs.push({ weight: a.weight + b.weight, symbols: [...a.symbols, ...b.symbols] });
    }
    packages = [...coins, ...pairs].sort((a, b) => a.weight - b.weight);
  }
  for (const { symbols: members } of packages.slice(0, 2 * coins.length - 2)) {
    for (const symbol of members) lengths[symbol]!++;
  }
  return lengths;
}

/** Symbols in the order of their codes, where each length's begin in it, and the first code of each length. */
function canonicalTable(lengths: Uint8Array) {
  const ordered = [...lengths.keys()]
    .filter((symbol) => (lengths[symbol] as number) > 0)
    .sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  const offset = new Uint16Array(LENGTH_LIMIT + 2);
  for (const symbol of ordered) offset[(lengths[symbol] as number) + 1]!++;
  for (let length = 1; length <= LENGTH_LIMIT + 1; length++) offset[length]! += offset[length - 1] as number;
  const first = new Float64Array(LENGTH_LIMIT + 1);
  for (let length = 1; length <= LENGTH_LIMIT; length++) {
    const shorter = (offset[length] as number) - (offset[length - 1] as number);
    first[length] = 2 * ((first[length - 1] as number) + shorter);
  }
  return { first, offset, ordered };
}

function canonicalCodes(lengths: Uint8Array): Uint16Array {
  const { first, offset, ordered } = canonicalTable(lengths);
  const codes = new Uint16Array(SYMBOLS);
  ordered.forEach((symbol, rank) => {
    const length = lengths[symbol] as number;
    codes[symbol] = (first[length] as number) + rank - (offset[length] as number);
  });
  return codes;
}
