import { timerDelay } from './clock.js';

/**
 * Resolves after `delay` ms.
 * @param hold whether it keeps the host alive until then
 */
export function rest(delay: number, hold = false): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timerDelay(delay));
    if (!hold) timer.unref();
  });
}
