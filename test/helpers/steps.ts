import { expect, onTestFinished } from 'vitest';
import {
  type SequenceEvents,
  SequenceManager,
  type SequenceOptions,
  type SequenceReport,
  type SequenceStep,
} from '../../src/index.js';
import { deferred } from '../../src/runtime/deferred.js';
import { ManualClock } from './clock.js';

/** What a step without a process does. */
export interface FakeStep extends Partial<Omit<SequenceStep, 'id' | 'start' | 'ready' | 'stop' | 'healthy'>> {
  /** How long each takes, ms. Default: 0; `ready` and `healthy`: there is none. `Infinity`: until it is aborted. */
  readonly starts?: number;
  readonly readies?: number;
  readonly heals?: number;
  readonly stops?: number;
  /** How many attempts fail at the end of `start()`; of `ready()`; of `healthy()`. */
  readonly fails?: number;
  readonly unready?: number;
  readonly unhealthy?: number;
  /** How many calls of `stop()` fail. */
  readonly unstopped?: number;
  /** The functions that do not look at their signal. */
  readonly deaf?: readonly ('start' | 'stop')[];
  /** What it resolves with. */
  readonly result?: unknown;
}

/** Steps without processes, by a clock that the test advances; what was done with them, when, and what is there. */
export class FakeSteps {
  readonly clock = new ManualClock();
  readonly #origin = this.clock.now();
  readonly log: string[] = [];
  /** The ids of those that are there, and how many are starting. */
  readonly living = new Map<string, (error?: unknown) => void>();
  readonly starting = new Set<string>();
  mostStarting = 0;
  /** Called with each line of the log. */
  onLine: (what: string, id: string) => void = () => {};

  get now(): number {
    return this.clock.now() - this.#origin;
  }

  write(what: string, id: string): void {
    this.log.push(`${this.now} ${what} ${id}`);
    this.onLine(what, id);
  }

  /** The lines since the last call. */
  take(): string[] {
    return this.log.splice(0);
  }

  /** A step ends by itself. */
  exit(id: string, error?: unknown): void {
    const end = this.living.get(id);
    expect(end, `${id} is there`).toBeDefined();
    this.living.delete(id);
    this.starting.delete(id);
    this.write('exit', id);
    end?.(error);
  }

  step(id: string, fake: FakeStep = {}): SequenceStep {
    const {
      starts = 0,
      readies,
      heals,
      stops = 0,
      fails = 0,
      unready = 0,
      unhealthy = 0,
      unstopped = 0,
      ...others
    } = fake;
    const { deaf = [], result, ...rest } = others;
    const left = { fails, unready, unhealthy, unstopped };
    const fail = (what: keyof typeof left) => {
      if (left[what] > 0) {
        left[what] -= 1;
        throw new Error(`${id}: ${what}`);
      }
    };
    return {
      id,
      ...rest,
      start: async (signal) => {
        this.write('start', id);
        this.starting.add(id);
        this.mostStarting = Math.max(this.mostStarting, this.starting.size);
        try {
          await this.pause(starts, deaf.includes('start') ? undefined : signal);
          fail('fails');
        } catch (error) {
          this.starting.delete(id);
          this.write(signal.aborted ? 'aborted' : 'failed', id);
          throw error;
        }
        if (readies === undefined) this.starting.delete(id);
        const exited = deferred<void>();
        this.living.set(id, (error) => (error === undefined ? exited.resolve() : exited.reject(error)));
        this.write('up', id);
        return result ?? { exited: exited.promise };
      },
      ...(readies === undefined
        ? {}
        : {
            ready: async (signal) => {
              try {
                await this.pause(readies, signal);
                fail('unready');
                this.write('ready', id);
              } finally {
                // It may be starting again.
                if (!signal.aborted) this.starting.delete(id);
              }
            },
          }),
      ...(heals === undefined
        ? {}
        : {
            healthy: async (signal) => {
              await this.pause(heals, signal);
              fail('unhealthy');
              this.write('healthy', id);
            },
          }),
      stop: async ({ mode, signal }) => {
        this.write(mode === 'emergency' ? 'kill' : 'stop', id);
        if (mode !== 'emergency' || deaf.includes('stop'))
          await this.pause(stops, deaf.includes('stop') ? undefined : signal).catch(() => this.write('hurry', id));
        fail('unstopped');
        this.living.delete(id);
        this.starting.delete(id);
        this.write('gone', id);
      },
    };
  }

  /** Rejects when it is aborted. */
  pause(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new Error('aborted'));
      const timer = this.clock.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        timer.cancel();
        reject(new Error('aborted'));
      });
    });
  }
}

const EVENTS = ['waiting', 'starting', 'started', 'ready', 'failed', 'skipped', 'retrying', 'stopping', 'stopped'];
const OTHERS = ['exited', 'held', 'resumed'];
const SEQUENCE_EVENTS = [
  ...[...EVENTS, ...OTHERS].map((verb) => `step:${verb}`),
  ...['started', 'ready', 'degraded', 'failed', 'stopped'].map((verb) => `sequence:${verb}`),
  'listener:error',
] as (keyof SequenceEvents)[];

/** A manager of such steps, with a record of its events. When the test is over nothing may be due. */
export function setUpSequence(fakes: Readonly<Record<string, FakeStep>>, options: SequenceOptions = {}) {
  const world = new FakeSteps();
  const { clock } = world;
  const steps = Object.entries(fakes).map(([id, fake]) => world.step(id, fake));
  const manager = new SequenceManager(steps, options, clock);
  const events: { readonly event: keyof SequenceEvents; readonly payload: never }[] = [];
  for (const event of SEQUENCE_EVENTS)
    manager.on(event, ((payload: never) => void events.push({ event, payload })) as never);
  onTestFinished(() => {
    expect(of('listener:error')).toEqual([]);
    expect(clock.pending).toBe(0);
  });
  /** The payloads of an event so far. */
  const of = <K extends keyof SequenceEvents>(event: K) =>
    events.filter((one) => one.event === event).map(({ payload }) => payload as SequenceEvents[K]);
  /** The result of a call that takes no longer than so many ms by the clock. */
  const within = async <T>(ms: number, result: Promise<T>): Promise<T> => {
    const settled = result.then((value) => ({ value }));
    await clock.advanceAndFlush(ms);
    const outcome = await Promise.race([settled, clock.advanceAndFlush(0).then(() => undefined)]);
    if (outcome === undefined) throw new Error(`not within ${ms} ms`);
    return outcome.value;
  };
  return { world, clock, manager, events, of, within };
}

/** The state of each step of a report. */
export function statesOf({ steps }: Pick<SequenceReport, 'steps'>): Record<string, string> {
  return Object.fromEntries(
    steps.map(({ id, state, reason }) => [id, reason === undefined ? state : `${state}: ${reason}`]),
  );
}
