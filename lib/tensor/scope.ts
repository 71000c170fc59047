import './symbol-dispose';
import { TersorError } from '../errors';

const scopes: Set<Disposable>[] = [];

/** Registers something created now with the innermost {@link tidy}, which will dispose of it. */
export function track(created: Disposable): void {
  scopes.at(-1)?.add(created);
}

/**
 * Takes a tensor out of every {@link tidy} around it, so that it lives until `dispose()`.
 *
 * @example
 * const cache = new Map()
 * tersor.tidy(() => { cache.set('zeros', tersor.keep(tersor.zeros([2]))) })
 * console.log(cache.get('zeros').disposed) // false
 */
export function keep<T extends Disposable>(kept: T): T {
  for (const scope of scopes) scope.delete(kept);
  return kept;
}

/**
 * Runs `fn` and disposes of every tensor created inside, except those in its result and those given to {@link keep}.
 * The result is searched through arrays, maps, sets and objects (their own properties; `#private` fields cannot be seen).
 * Nested: what the inner one returns belongs to the outer one. When `fn` throws, everything is disposed of.
 *
 * @throws ERR_TERSOR_INVALID_ARGUMENT when `fn` is asynchronous: it would go on after its tensors are gone
 * @example
 * const mean = tersor.tidy(() => tersor.ops.scale(tersor.ops.sum(tersor.tensor([1, 2, 3])), 1 / 3))
 * console.log(mean.item(), tersor.memory().tensors) // 2, 1
 */
export function tidy<T>(fn: () => T): T {
  if (fn.constructor.name === 'AsyncFunction') throw asyncError();
  const scope = new Set<Disposable>();
  scopes.push(scope);
  let result: T;
  try {
    result = fn();
    if (isThenable(result)) {
      // It will most likely fail on the disposed tensors; the error below is the one to be seen.
      result.then(undefined, () => {});
      throw asyncError();
    }
    release(result, scope, scopes.at(-2));
  } finally {
    scopes.pop();
    for (const left of scope) left[Symbol.dispose]();
  }
  return result;
}

/** Moves what `value` reaches out of `scope`, into `parent` when there is one. */
function release(value: unknown, scope: Set<Disposable>, parent: Set<Disposable> | undefined): void {
  const seen = new Set<unknown>();
  const pending: unknown[] = [value];
  while (pending.length > 0 && scope.size > 0) {
    const item = pending.pop();
    if (typeof item !== 'object' || item === null || ArrayBuffer.isView(item) || seen.has(item)) continue;
    seen.add(item);
    const candidate = item as Disposable;
    if (scope.delete(candidate)) {
      parent?.add(candidate);
    } else if (item instanceof Map) {
      for (const entry of item) pending.push(...entry);
    } else {
      for (const element of Array.isArray(item) || item instanceof Set ? item : Object.values(item)) {
        pending.push(element);
      }
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function asyncError(): TersorError {
  return new TersorError(
    'ERR_TERSOR_INVALID_ARGUMENT',
    'expected a synchronous function, got an asynchronous one, at tidy; dispose of tensors yourself around an await',
  );
}
