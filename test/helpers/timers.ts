/** A timer that was set, and where. */
interface SetTimer {
  readonly timer: NodeJS.Timeout;
  readonly delay: number | undefined;
  readonly where: Error;
}

const running = new Set<SetTimer>();

/**
 * Watches the timers that are set from now on. Node's list of active resources does not know those that are unref'd, and
 * holds those of vitest, which has kept the original functions for itself.
 */
export function watchTimers(): void {
  for (const name of ['setTimeout', 'setInterval'] as const) {
    const original = globalThis[name];
    const watched = (task: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) => {
      const timer = original(task, delay, ...args);
      running.add({ timer, delay, where: new Error('set here') });
      if (running.size % 1_000 === 0) forgetEnded();
      return timer;
    };
    globalThis[name] = Object.assign(watched, original) as typeof setTimeout & typeof setInterval;
  }
}

/** Where timers were set that still run: all of `src/`, and of others those that keep the process alive. */
export function runningTimers(): string[] {
  forgetEnded();
  const found: string[] = [];
  for (const { timer, where, delay } of running) {
    const frames = where.stack?.split('\n').slice(2) ?? [];
    // The wait of this very check.
    if (frames.some((frame) => frame.includes('/helpers/until.ts'))) continue;
    const ours = frames.find((frame) => frame.includes('/src/') && !frame.includes('node_modules'));
    if (ours === undefined && !timer.hasRef()) continue;
    found.push(`${(ours ?? frames[0] ?? 'somewhere').trim().replace(/^at /, '')}, ${delay} ms`);
  }
  return found.sort();
}

function forgetEnded(): void {
  for (const set of running) if ('_destroyed' in set.timer && set.timer._destroyed === true) running.delete(set);
}
