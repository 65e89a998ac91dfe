import { messageOf } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import { turnsOfEventLoop } from '../runtime/event-loop.js';
import { quoted } from '../runtime/quoted.js';
import type { Activity, CheckedServer } from './checked-server.js';
import type { Signs } from './verdict.js';

/** CPU time from which on a process works, ms: more than some ticks of the kernel, and than this share of the time. */
const WORK = { least: 50, share: 0.01 } as const;
/** The same of bytes: more than what the pool has sent it, and than 1 KB a second, which a log or a timer of it may take. */
const IO = { least: 4_096, share: 1 } as const;
/** A timer that is later than this share of its time shows that the host itself had no time. */
const LATE = 0.25;

/** What the processes of a server had used. */
export interface Look extends Activity {
  /** Clock time, ms. */
  readonly at: number;
}

/** What is kept of the check before. */
export interface LastCheck {
  /** Messages that the server had sent. */
  readonly heard: number;
  /** Undefined when that was not looked at. */
  readonly activity: Look | undefined;
}

export interface CheckDeps {
  readonly clock: Clock;
  /** Why the machine has no time for its processes; undefined when it has. */
  overload(): string | undefined;
}

/**
 * Checks a server once. Its activity is looked at only when half of the time is over, since most servers answer at once.
 */
export async function checkOnce(
  server: CheckedServer,
  { heard: heardBefore, activity: activityBefore }: LastCheck,
  { clock, overload }: CheckDeps,
  stopped: AbortSignal,
): Promise<Signs & Pick<LastCheck, 'activity'>> {
  const process = server.process();
  const hasSpoken = server.heard !== heardBefore;
  const { isObserved } = server.way;
  const before = { process, hasSpoken, isObserved, heardAt: undefined, ...server.requests(), ...NOTHING };
  if (process !== 'running') return { ...before, answer: 'missed', how: 'it cannot answer' };
  if (hasSpoken && server.way.countsMessages)
    return { ...before, heardAt: server.heardAt, answer: 'answered', how: 'it has sent messages' };
  if (!server.way.isDue()) return { ...before, answer: 'quiet', how: 'it owes no answer' };
  const asked = new Asked(server, clock, stopped);
  const { how, isAnswered, lateness } = await asked.outcome;
  if (isAnswered) return { ...before, answer: 'answered', how };
  const [first, last] = [await asked.halfway, await lookAt(server, clock, stopped)];
  return {
    heardAt: undefined,
    answer: 'missed',
    how,
    process: server.process(),
    isObserved,
    activity: last,
    hasStoppedHelper: last?.hasStopped ?? false,
    hasSpoken: server.heard !== heardBefore,
    // A server may work in bursts: the time between two checks counts, too.
    moves: asked.hasHeard || moved(first, last) || moved(activityBefore, last),
    isOnNetwork: last?.isOnNetwork ?? false,
    ...server.requests(),
    overload:
      lateness > server.timeout * LATE
        ? `the event loop of the host was late by ${Math.round(lateness)} ms`
        : overload(),
  };
}

const NOTHING = {
  activity: undefined,
  hasStoppedHelper: false,
  moves: false,
  isOnNetwork: false,
  overload: undefined,
} as const;

/** A server that could not be checked. */
export function unknownSigns(why: string): Signs & Pick<LastCheck, 'activity'> {
  const unasked = { process: 'running', hasSpoken: false, isObserved: false, heardAt: undefined } as const;
  return { ...unasked, ...NOTHING, answer: 'unknown', how: quoted(why), open: 0, wanted: 0 };
}

interface Outcome {
  readonly how: string;
  readonly isAnswered: boolean;
  /** How much later than it should the time was over, ms. */
  readonly lateness: number;
}

/** One question to a server, until it is answered or its time is over. */
class Asked {
  readonly outcome: Promise<Outcome>;
  /** What its processes had used when half of the time was over. */
  halfway: Promise<Look | undefined> = Promise.resolve(undefined);
  readonly #server: CheckedServer;
  readonly #heard: number;

  constructor(server: CheckedServer, clock: Clock, stopped: AbortSignal) {
    this.#server = server;
    this.#heard = server.heard;
    this.outcome = this.#run(clock, stopped);
  }

  /** Whether it has sent a message since it was asked. */
  get hasHeard(): boolean {
    return this.#server.heard !== this.#heard;
  }

  async #run(clock: Clock, stopped: AbortSignal): Promise<Outcome> {
    const { timeout, way } = this.#server;
    const over = new AbortController();
    const end = () => over.abort(new Error('the check was ended'));
    stopped.addEventListener('abort', end);
    const due = clock.now() + timeout;
    let lateness = 0;
    const half = clock.after(timeout / 2, () => {
      this.halfway = lookAt(this.#server, clock, stopped);
    });
    const timer = clock.after(timeout, () => {
      lateness = clock.now() - due;
      // The host may have been busy: what the server has written by now is read first.
      void turnsOfEventLoop(1).then(() => over.abort(new Error(`it did not answer within ${timeout} ms`)));
    });
    try {
      return { how: await way.ask(over.signal), isAnswered: true, lateness };
    } catch (error) {
      // What a check throws may be long, and have any characters.
      const how = quoted(messageOf(over.signal.aborted ? over.signal.reason : error));
      return { how, isAnswered: false, lateness };
    } finally {
      half.cancel();
      timer.cancel();
      stopped.removeEventListener('abort', end);
      over.abort();
    }
  }
}

/** What cannot be looked at now, or not in the time of a check, shows no activity. */
function lookAt(server: CheckedServer, clock: Clock, stopped: AbortSignal): Promise<Look | undefined> {
  const at = clock.now();
  if (stopped.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const timer = clock.after(server.timeout, () => end());
    const end = (activity?: Activity) => {
      timer.cancel();
      stopped.removeEventListener('abort', giveUp);
      resolve(activity && { ...activity, at });
    };
    const giveUp = () => end();
    stopped.addEventListener('abort', giveUp);
    void activityOf(server).then(end, giveUp);
  });
}

async function activityOf(server: CheckedServer): Promise<Activity | undefined> {
  return server.activity?.();
}

/** Whether it has done more in the time between them than what does nothing. */
function moved(first: Look | undefined, last: Look | undefined): boolean {
  if (first === undefined || last === undefined) return false;
  const isMore = (amount: number, { least, share }: typeof WORK | typeof IO) =>
    amount >= Math.max(least, share * (last.at - first.at));
  // The end of a process takes its bytes out of the sum: that moves, too.
  const io = Math.abs((last.ioBytes ?? 0) - (first.ioBytes ?? 0));
  return isMore(last.cpuTime - first.cpuTime, WORK) || isMore(io, IO);
}
