/** The hash of hashed features. */

const rotate = (word: number, bits: number) => (word << bits) | (word >>> (32 - bits));
const mix = (word: number) => Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);

/**
 * MurmurHash3_x86_32 of a text's UTF-8 bytes.
 *
 * Source: Appleby, https://github.com/aappleby/smhasher (public domain); scikit-learn's FeatureHasher uses it too.
 *
 * @param seed - 32 bits. Default 0.
 * @returns 0..2³²−1
 */
export function murmur3(text: string, seed = 0): number {
  const bytes = Buffer.from(text, 'utf8');
  const whole = bytes.length & ~3;
  let hash = seed | 0;
  for (let at = 0; at < whole; at += 4) {
    hash = (Math.imul(rotate(hash ^ mix(bytes.readInt32LE(at)), 13), 5) + 0xe6546b64) | 0;
  }
  if (whole < bytes.length) hash ^= mix(bytes.readUIntLE(whole, bytes.length - whole));
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
