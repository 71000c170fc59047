import { type NativeOperations, native } from '../native';

/** Options of everything that runs on Tersor's own threads. */
export interface AsyncOptions {
  /** Aborting it stops the work within milliseconds (an svd: when it is done); the promise then rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Runs a native operation on Tersor's own threads. Its tensors stay allocated until the promise settles; until then the
 * outputs may not be used and the inputs may only be read (ERR_TERSOR_INVALID_ARGUMENT). After a failure or an abort the
 * outputs are unspecified.
 *
 * @param args the operation's arguments, tensors by their `handle`
 * @throws `signal.reason` when aborted, also when it was before the call; else the operation's own error
 * @example
 * const a = tersor.tensor([[3, 0], [0, 4]]), u = tersor.empty([2, 2]), s = tersor.empty([2]), vt = tersor.empty([2, 2])
 * await tersor.runAsync('svd', [a.handle, u.handle, s.handle, vt.handle], { signal: AbortSignal.timeout(1000) })
 * console.log(s.toArray()) // 4, 3
 */
export async function runAsync<K extends keyof NativeOperations>(
  operation: K,
  args: Readonly<Parameters<NativeOperations[K]>>,
  { signal }: AsyncOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const token = native.createCancelToken();
  const cancel = () => native.cancel(token);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    await native.run(operation, args, token);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
  signal?.throwIfAborted();
}
