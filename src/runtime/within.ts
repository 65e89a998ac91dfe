import type { Clock } from './clock.js';

/** The same result, or an error when that takes longer than `time` ms. What is late is dropped. */
export function within<T>(clock: Clock, time: number, result: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(time, () => reject(new Error(`no answer within ${time} ms`)));
    result.then(resolve, reject).finally(() => timer.cancel());
  });
}
