import type { AlertNotification, UndeliveredAlert } from '../../config/alert.js';
import type { ResolvedAlerts } from '../../config/alert-options.js';
import { messageOf } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import { cut } from '../../runtime/cut.js';
import { type Due, type DueTimes, newDue } from '../../runtime/due-times.js';
import { quoted } from '../../runtime/quoted.js';

/** How long a call may take, ms. */
const LONGEST_CALL = 30_000;
/** How many calls of one tier are under way at once. */
const MOST_CALLS = 5;
/** Pause after the first failure of a notification, ms; it doubles. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 600_000;
/** After so many calls, which take about seven hours, a notification is given up. */
const MOST_ATTEMPTS = 50;
/** How many alerts may wait for one tier. */
const MOST_WAITING = 1_000;
/** What is read of the message of an error, in characters. */
const LONGEST_ERROR = 2_000;

type Notify = ResolvedAlerts['tiers'][number]['notify'];

/** One thing that the tier is to be told. */
interface Notice {
  readonly notification: AlertNotification;
  attempts: number;
  isUnderWay: boolean;
  /** Why the last call has failed; empty when none has. */
  error: string;
}

export interface NotifyDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  /** Runs what changes anything after a call has ended. */
  run(task: () => void): void;
  /** Runs what calls the host, when nothing is half done. */
  call(task: () => void): void;
  /** The host must learn that the tier does not. */
  onError(error: unknown): void;
}

/**
 * Tells one tier, in order for each alert, and a few at once. What fails, or does not answer, is told again after pauses that
 * grow, and holds up no other alert. So a tier learns everything, or the host learns that it has not. A call that was late, but
 * had an effect, is made twice.
 */
export class NotifyLine {
  readonly #notify: Notify;
  readonly #deps: NotifyDeps;
  /** By alert. The first of each is told next, or just now. */
  readonly #notices = new Map<string, Notice[]>();
  /** The alerts whose first notice may be told now, in order. */
  #ready: string[] = [];
  #calls = 0;
  /** Whether the last call has failed: one event is enough until one succeeds. */
  #isFailing = false;
  #isClosed = false;

  constructor(notify: Notify, deps: NotifyDeps) {
    this.#notify = notify;
    this.#deps = deps;
  }

  push(notification: AlertNotification): void {
    const { id } = notification.alert;
    const notice = { notification, attempts: 0, isUnderWay: false, error: '' };
    const waiting = this.#notices.get(id);
    if (waiting !== undefined) return append(waiting, notice);
    if (this.#notices.size >= MOST_WAITING) return this.#lose(notice, `${MOST_WAITING} other alerts wait for it`);
    this.#notices.set(id, [notice]);
    this.#ready.push(id);
    this.#next();
  }

  /** What of an alert could not be told yet; undefined when nothing has failed. */
  failureOf(id: string): Omit<UndeliveredAlert, 'tier'> | undefined {
    const notice = this.#notices.get(id)?.[0];
    return notice?.error ? { attempts: notice.attempts, error: notice.error } : undefined;
  }

  /**
   * What waits is told once more, now and at once: calls that are under way may never end. No timer is set any more, and what
   * fails then is lost.
   */
  close(): void {
    this.#isClosed = true;
    this.#ready = [...this.#notices].flatMap(([id, [first]]) => (first?.isUnderWay ? [] : [id]));
    this.#next();
  }

  #next(): void {
    while (this.#isClosed || this.#calls < MOST_CALLS) {
      const id = this.#ready.shift();
      if (id === undefined) return;
      const notice = this.#notices.get(id)?.[0];
      if (notice !== undefined) this.#begin(id, notice);
    }
  }

  #begin(id: string, notice: Notice): void {
    const { call, clock, dueTimes } = this.#deps;
    this.#calls += 1;
    notice.attempts += 1;
    notice.isUnderWay = true;
    const abort = new AbortController();
    const end = this.#onceEnded(notice, () => dueTimes.delete(late));
    const fail = (error: unknown) => end(() => this.#failed(id, notice, error));
    const late: Due = newDue(() => {
      abort.abort();
      fail(new Error(`notify has not answered within ${LONGEST_CALL} ms`));
    });
    dueTimes.set(late, clock.now() + LONGEST_CALL);
    const tell = () => this.#notify(notice.notification, abort.signal);
    call(() => callHost(tell, () => end(() => this.#told(id)), fail));
  }

  /** The call may end late, after it was given up: only the first end counts. */
  #onceEnded(notice: Notice, ended: () => void): (settle: () => void) => void {
    let isOver = false;
    return (settle) => {
      if (isOver) return;
      isOver = true;
      this.#deps.run(() => {
        ended();
        this.#calls -= 1;
        notice.isUnderWay = false;
        settle();
        this.#next();
      });
    };
  }

  #told(id: string): void {
    this.#isFailing = false;
    this.#forgetFirst(id);
  }

  #failed(id: string, notice: Notice, error: unknown): void {
    const { clock, dueTimes, onError } = this.#deps;
    notice.error = textOf(error);
    if (this.#isClosed) {
      this.#lose(notice, notice.error);
      this.#forgetFirst(id);
    } else if (notice.attempts >= MOST_ATTEMPTS) {
      this.#lose(notice, `${notice.attempts} calls have failed, the last one with: ${notice.error}`);
      this.#forgetFirst(id);
    } else {
      if (!this.#isFailing) onError(error);
      const pause = Math.min(FIRST_PAUSE * 2 ** (notice.attempts - 1), LONGEST_PAUSE);
      dueTimes.set(
        newDue(() => this.#again(id)),
        clock.now() + pause,
      );
    }
    this.#isFailing = true;
  }

  #again(id: string): void {
    this.#ready.push(id);
    this.#next();
  }

  #forgetFirst(id: string): void {
    const waiting = this.#notices.get(id);
    waiting?.shift();
    if (waiting?.length) this.#ready.push(id);
    else this.#notices.delete(id);
  }

  #lose({ notification: { reason, alert } }: Notice, why: string): void {
    this.#deps.onError(new Error(`it was not told that ${alert.id} (${alert.kind}) was ${reason}: ${why}`));
  }
}

/** Of repetitions that wait only the last one is told, with the counts of all: so few notices of an alert can wait. */
function append(waiting: Notice[], notice: Notice): void {
  const { notification } = notice;
  const last = waiting.length > 1 ? waiting.at(-1)?.notification : undefined;
  if (last?.reason !== 'repeated' || notification.reason !== 'repeated') {
    waiting.push(notice);
    return;
  }
  const suppressed = last.suppressed + notification.suppressed;
  waiting.splice(-1, 1, { ...notice, notification: { ...notification, suppressed } });
}

/** What the host throws, or rejects with, breaks nothing. */
function callHost(call: () => unknown, onDone: () => void, onError: (error: unknown) => void): void {
  try {
    // Also what is no promise of this realm, or of this class, may reject.
    Promise.resolve(call()).then(onDone, onError);
  } catch (error) {
    onError(error);
  }
}

/** In an address: the password before its host, and all that follows its host, such as the key of a webhook. */
const SECRET_PARTS = /([a-z][\w+.-]*:\/\/)(?:[^\s/@]*@)?([^\s/?#]*)\S*/gi;

function textOf(error: unknown): string {
  return quoted(cut(messageOf(error), LONGEST_ERROR).replace(SECRET_PARTS, '$1$2/…')) || 'an error without a message';
}
