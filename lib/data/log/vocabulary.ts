/** Ids of a file as numbers 0..n−1, and back. */
import { TersorError } from '../../errors';

/** Distinct tokens in the order in which they first came, each with its number. */
export class Vocabulary {
  readonly #tokens: string[] = [];
  readonly #ids = new Map<string, number>();

  /** @throws TersorError ERR_TERSOR_DATA for a token that comes twice */
  constructor(tokens: Iterable<string> = []) {
    for (const token of tokens) {
      if (this.#ids.has(token)) fail('distinct tokens', `'${token}' twice`, 'vocabulary');
      this.add(token);
    }
  }

  /** Number of tokens. */
  get size(): number {
    return this.#tokens.length;
  }

  /** All tokens; token i has the id i. A copy. */
  tokens(): string[] {
    return [...this.#tokens];
  }

  /** Id of a token, which gets the next one if it is new. */
  add(token: string): number {
    const known = this.#ids.get(token);
    if (known !== undefined) return known;
    const id = this.#tokens.length;
    this.#ids.set(token, id);
    this.#tokens.push(token);
    return id;
  }

  /** Id of a token; undefined for one that is not in the vocabulary. */
  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** Token of an id. @throws TersorError ERR_TERSOR_OUT_OF_RANGE for an id outside 0..size−1 */
  token(id: number): string {
    const token = this.#tokens[id];
    if (token !== undefined) return token;
    throw new TersorError('ERR_TERSOR_OUT_OF_RANGE', `expected an id in 0..${this.size - 1}, got ${id}, at vocabulary`);
  }

  /** The tokens, which the constructor takes again. */
  toJSON(): string[] {
    return this.tokens();
  }
}

function fail(expected: string, got: string, where: string): never {
  throw new TersorError('ERR_TERSOR_DATA', `expected ${expected}, got ${got}, at ${where}`);
}
