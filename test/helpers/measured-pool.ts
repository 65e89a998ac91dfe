import { expect, onTestFinished } from 'vitest';
import type { PoolEvents, PoolOptions } from '../../src/index.js';
import { MCPServerPool } from '../../src/index.js';
import { MONITOR_EVENTS } from '../../src/pool/events.js';
import type { LaunchSpec, ProcessHandlers } from '../../src/process/launcher.js';
import type { TreeUsage } from '../../src/process/usage/tree-usage.js';
import { ManualClock } from './clock.js';
import { type Automatic, FakeLauncher, type FakeServer } from './fake-launcher.js';
import { UNCHECKED } from './fake-pool.js';
import { flush } from './until.js';

/** What a fake server uses. A function is asked at each sample. */
export interface Load {
  readonly memoryMB?: number;
  /** Percent of one core. */
  readonly cpuPercent?: number;
  readonly processes?: number;
}

/** A fake server that uses what the test says. */
export interface LoadedServer extends FakeServer {
  load: Load;
  /** What the measurement rejects with. */
  failure: Error | undefined;
  /** Whether the measurement does not answer. */
  isMute: boolean | undefined;
  usage(): Promise<TreeUsage | undefined>;
}

class MeasuredLauncher extends FakeLauncher {
  readonly #clock: ManualClock;

  readonly #endTakes: number;

  constructor(clock: ManualClock, auto: Partial<Automatic>, endTakes: number) {
    super({ ...auto, ...(endTakes > 0 && { end: false }) });
    this.#clock = clock;
    this.#endTakes = endTakes;
  }

  override launch(spec: LaunchSpec, handlers: ProcessHandlers): FakeServer {
    const server = super.launch(spec, handlers) as LoadedServer;
    const started = this.#clock.now();
    let [cpuTime, last] = [0, started];
    server.load = {};
    const usage = async (): Promise<TreeUsage | undefined> => {
      if (server.failure) throw server.failure;
      if (server.isMute) return new Promise(() => {});
      if (!server.alive) return undefined;
      const at = this.#clock.now();
      const { memoryMB = 10, cpuPercent = 0, processes = 1 } = server.load;
      cpuTime += ((at - last) * cpuPercent) / 100;
      last = at;
      const uptime = at - started;
      return { at, memoryMB, residentMB: memoryMB * 2, cpuTime, processes, zombies: 0, threads: processes, uptime };
    };
    if (this.#endTakes > 0) this.#endSlowly(server);
    return Object.assign(server, { usage });
  }

  /** As a real server, that needs its graces. SIGKILL ends it at once. */
  #endSlowly(server: FakeServer): void {
    const end = server.end.bind(server);
    server.end = async (options) => {
      const timer = this.#clock.after(options.mode === 'emergency' ? 0 : this.#endTakes, () => server.exit());
      const report = await end(options);
      timer.cancel();
      return report;
    };
    server.killNow = () => server.exit({ signal: 'SIGKILL' });
  }
}

/**
 * A pool of fake servers that can be measured; the clock is advanced by the test, sample by sample.
 *
 * @param auto with `end: false` a server ends when the test lets it `exit()`
 * @param endTakes how long a server takes to end when it is asked to, ms
 */
export function setUpMeasured(options: PoolOptions, auto: Partial<Automatic> = {}, endTakes = 0) {
  const clock = new ManualClock();
  const launcher = new MeasuredLauncher(clock, auto, endTakes);
  // The memory of the machine that runs the test must not matter.
  const monitoring = { hostMemoryPercent: 100, ...options.monitoring };
  const pool = new MCPServerPool(
    { ...options, defaults: options.defaults ?? { health: UNCHECKED }, monitoring },
    { clock, launcher },
  );
  const events: { event: string; payload: never }[] = [];
  for (const event of [...MONITOR_EVENTS, 'server:starting', 'server:stopping', 'limit:reached'] as const) {
    pool.on(event, (payload: PoolEvents[typeof event]) => void events.push({ event, payload: payload as never }));
  }
  onTestFinished(async () => {
    for (const one of launcher.living) one.auto = { ...one.auto, end: true };
    const closing = pool.shutdown({ mode: 'emergency' });
    for (const one of launcher.living) one.exit();
    await closing;
    expect(clock.pending).toBe(0);
  });
  /** Lets so much time pass, sample by sample. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      await clock.advance(Math.min(left, 500));
      await flush();
    }
  };
  const of = <K extends keyof PoolEvents>(event: K) =>
    events.filter((one) => one.event === event).map(({ payload }) => payload as PoolEvents[K]);
  const server = (index: number) => launcher.servers[index] as LoadedServer;
  return { clock, launcher, pool, pass, of, server };
}
