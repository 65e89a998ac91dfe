import { inspect } from 'node:util';

export interface UntilOptions {
  /** Time until it fails, in milliseconds. Default: 60,000, which only ends what hangs. */
  readonly timeout?: number;
  /** Time between two calls of `condition`, in milliseconds. Default: 5. */
  readonly interval?: number;
}

type Truthy<T> = Exclude<T, undefined | null | false | 0 | ''>;

/**
 * Calls `condition` until it returns a truthy value, and returns that. Fails with `what` and the last value when the time is
 * over. Tests wait in no other way for a state without an event.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeout = 60_000, interval = 5 }: UntilOptions = {},
): Promise<Truthy<T>> {
  const end = performance.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value) return value as Truthy<T>;
    if (performance.now() > end) {
      throw new Error(`not within ${timeout} ms: ${what} (last value: ${inspect(value, { depth: 3 })})`);
    }
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
}

/** Lets everything run that is ready: promises, ticks, and streams without a descriptor. */
export async function flush(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The outcome of a promise; `pending` when everything that was ready has run and it has none. */
export async function outcome<T>(promise: Promise<T>): Promise<'pending' | 'resolved' | 'rejected'> {
  let state: 'pending' | 'resolved' | 'rejected' = 'pending';
  promise.then(
    () => {
      state = 'resolved';
    },
    () => {
      state = 'rejected';
    },
  );
  await flush();
  return state;
}

/** The error that `promise` rejects with; fails when it resolves, or hangs: does neither within 60 s. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('expected a rejection within 60 s, but it is pending')), 60_000);
  });
  const settled = promise.then(
    () => Promise.reject(new Error('expected a rejection, but it resolved')),
    (reason: unknown) => reason,
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}
