/** Typed arrays whose length is known only at the end. */
type Numbers = Int32Array | Float32Array | Float64Array;

/** Collects numbers in a typed array that doubles when it is full. */
export class Growing<T extends Numbers> {
  #values: T;
  #length = 0;
  readonly #make: (length: number) => T;

  constructor(make: (length: number) => T) {
    this.#make = make;
    this.#values = make(1024);
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const longer = this.#make(2 * this.#length);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.#length++] = value;
  }

  /** A copy of its own length. */
  values(): T {
    return this.#values.slice(0, this.#length) as T;
  }
}
