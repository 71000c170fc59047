/** Codes of `bits` bits each, packed LSB first into a little-endian bit stream; the last byte is padded with zeros. */
export function packBits(codes: ArrayLike<number>, bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  let buffer = 0;
  let filled = 0;
  let next = 0;
  for (let i = 0; i < codes.length; i++) {
    buffer |= (codes[i] as number) << filled;
    for (filled += bits; filled >= 8; filled -= 8) {
      bytes[next++] = buffer & 255;
      buffer >>>= 8;
    }
  }
  if (filled > 0) bytes[next] = buffer;
  return bytes;
}

/** The first `count` codes of a stream written by {@link packBits}; bits past the end read as zero. */
export function unpackBits(bytes: Uint8Array, bits: number, count: number): Uint16Array {
  const codes = new Uint16Array(count);
  let buffer = 0;
  let filled = 0;
  let next = 0;
  for (let i = 0; i < count; i++) {
    for (; filled < bits; filled += 8) buffer |= (bytes[next++] ?? 0) << filled;
    codes[i] = buffer & (2 ** bits - 1);
    buffer >>>= bits;
    filled -= bits;
  }
  return codes;
}
