import { messageOf } from '../../errors.js';
import type { Clock, Timer } from '../../runtime/clock.js';
import { atExit, notAtExit } from './at-exit.js';
import type { AuditDoor } from './audit-door.js';
import { AuditFile, type AuditPlace } from './audit-file.js';
import { auditRecord } from './audit-record.js';
import { LineQueue } from './line-queue.js';

/** The audit trail cannot be written, or will not be able to rotate. */
export interface AuditFailure {
  /** The file of the option `audit`. */
  readonly path: string;
  /** Why, and what becomes of the lines. */
  readonly problem: string;
}

export interface AuditDependencies {
  readonly clock: Clock;
  /** Ms since 1970. Default: the time of the system. */
  readonly now?: () => number;
  readonly door?: AuditDoor;
}

/** Until the next attempt after a failure, ms; it doubles. */
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 30_000;
/** How long the disk may take to answer before that is a failure, ms. */
const PATIENCE = 10_000;
/** How long it may take before the exit of the host does without it, ms. */
const SILENCE = 500;
/** How long `close()` waits for the disk, ms. */
const CLOSE_GRACE = 1_000;

/**
 * Writes what a pool does, one line of JSON each, in order. Nothing waits for the disk: lines wait in a queue with a limit, and
 * a failure is reported once, until it works again. It keeps no host alive; what waits when the host exits is written then.
 */
export class AuditTrail {
  readonly #path: string;
  readonly #file: AuditFile;
  readonly #onFailed: (failure: AuditFailure) => void;
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #queue = new LineQueue();
  #isWriting = false;
  /** Resolves when the last writing is over. */
  #written: Promise<void> = Promise.resolve();
  #retry: Timer | undefined;
  #delay = FIRST_RETRY;
  #isFailing = false;
  /** Whether the disk does not answer just now. */
  #isSilent = false;
  #closing: Promise<void> | undefined;

  /** @param onFailed called once for each failure, with the reason */
  constructor(
    place: AuditPlace,
    onFailed: (failure: AuditFailure) => void,
    { clock, now = Date.now, door }: AuditDependencies,
  ) {
    this.#path = place.path;
    this.#file = new AuditFile(place, (problem) => onFailed({ path: place.path, problem }), door);
    this.#onFailed = onFailed;
    this.#clock = clock;
    this.#now = now;
  }

  /** Adds the lines for an event. Never throws and never waits. Without effect after `close()`. */
  record(event: string, payload: object): void {
    if (this.#closing !== undefined) return;
    this.#queue.push(lineOf(auditRecord(event, payload, { now: this.#now(), host: process.pid })));
    if (this.#retry === undefined) this.#run();
  }

  /** Writes what waits, and closes the file. Resolves within a second; what the disk has not taken by then is lost. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Writes what waits, in this tick, for the exit of the host; unless the disk does not answer. @throws Error */
  flushNow(): void {
    if (!this.#isSilent) this.#file.appendNow(this.#queue.take(this.#notice, Infinity));
  }

  async #close(): Promise<void> {
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#run();
    const ended = this.#written.then(() => this.#file.close()).catch(() => {});
    await new Promise<void>((resolve) => {
      const late = this.#clock.after(CLOSE_GRACE, resolve);
      void ended.then(() => {
        late.cancel();
        resolve();
      });
    });
    this.#queue.clear();
    notAtExit(this);
  }

  #run(): void {
    if (this.#isWriting || this.#queue.isEmpty) return;
    this.#isWriting = true;
    atExit(this);
    this.#written = this.#write();
  }

  /** Until nothing waits, or the disk refuses. */
  async #write(): Promise<void> {
    while (!this.#queue.isEmpty) {
      const answered = this.#awaitDisk();
      const isWhole = await this.#writeNext().catch((error: unknown) => {
        this.#fail(messageOf(error));
        return false;
      });
      answered();
      if (isWhole) {
        this.#isFailing = false;
        this.#delay = FIRST_RETRY;
      } else if (this.#isFailing) {
        break;
      }
    }
    // In the tick that has found nothing more: a line that comes later is written by the next call.
    this.#isWriting = false;
    if (this.#queue.isEmpty) notAtExit(this);
    else this.#tryLater();
  }

  /** The disk has to answer from now on. Returns what is called when it has. */
  #awaitDisk(): () => void {
    // Two timers: in between a host that was blocked learns what the disk has answered meanwhile.
    let timer = this.#clock.after(SILENCE / 2, () => {
      timer = this.#clock.after(SILENCE / 2, () => {
        this.#isSilent = true;
        timer = this.#clock.after(PATIENCE - SILENCE, () => this.#fail(`the disk has not answered for ${PATIENCE} ms`));
      });
    });
    return () => {
      timer.cancel();
      this.#isSilent = false;
    };
  }

  /** False when the disk has taken a part only. */
  async #writeNext(): Promise<boolean> {
    const length = this.#queue.next;
    const write = await this.#file.prepare(length);
    // Not before: when the host exits, what is not taken yet is written by `flushNow`, and a write under way is completed.
    const lines = this.#queue.take(this.#notice, length);
    let written = 0;
    try {
      written = await write(lines);
    } finally {
      this.#queue.settle(written);
    }
    return written === lines.length;
  }

  #fail(problem: string): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    const hint = 'lines wait, and beyond 1 MB the oldest are dropped; it is tried again by itself';
    this.#onFailed({ path: this.#path, problem: `${problem}; ${hint}` });
  }

  #tryLater(): void {
    if (this.#closing !== undefined) return;
    this.#retry = this.#clock.after(this.#delay, () => {
      this.#retry = undefined;
      this.#run();
    });
    this.#delay = Math.min(this.#delay * 2, LONGEST_RETRY);
  }

  readonly #notice = (dropped: number): string =>
    lineOf({ at: new Date(this.#now()).toISOString(), host: process.pid, event: 'audit:dropped', lines: dropped });
}

function lineOf(record: object): string {
  return `${JSON.stringify(record)}\n`;
}
