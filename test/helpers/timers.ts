/** A timer, and the stack of the call that has set it. */
interface SetTimer {
  readonly timer: NodeJS.Timeout;
  readonly delay: number | undefined;
  readonly where: Error;
}

const running = new Set<SetTimer>();

/**
 * Records the timers that are set from now on. The list of active resources of Node is not enough: it lacks unref'd timers,
 * and contains those of vitest (which uses the original functions, so this does not record them).
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

/** Where the running timers were set: all timers of `src/`, and of other code those that keep the process alive. */
export function runningTimers(): string[] {
  forgetEnded();
  const found: string[] = [];
  for (const { timer, where, delay } of running) {
    const frames = where.stack?.split('\n').slice(2) ?? [];
    // A timer of this check itself.
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
