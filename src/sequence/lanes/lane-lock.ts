import { randomBytes } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { errnoOf, messageOf, PoolError, type UnmetRequirement } from '../../errors.js';
import type { Clock, Timer } from '../../runtime/clock.js';
import { rest } from '../../runtime/rest.js';
import { type LaneMember, readMember, removeFile, removeInfo, socketName, writeInfo } from './lane-files.js';
import type { LaneFolder } from './lane-folder.js';
import { LaneSocket, linkTo } from './lane-socket.js';
import { holds, isBefore, predecessorOf, type Ticket, ticketBehind, ticketName, ticketsIn } from './ticket.js';

/**
 * The lock of a lane, without a daemon: a queue in a folder. Each participant listens on a socket of its own, whose name
 * is its place in the queue, and is connected to the one before it. The kernel closes that connection when the one before
 * has left or died; so nothing is polled, and no pid, time or file says which ones live.
 */
export class LaneTurn {
  readonly ticket: Ticket;
  readonly #folder: LaneFolder;
  readonly #socket: LaneSocket;
  #hasLeft = false;

  constructor(folder: LaneFolder, ticket: Ticket, socket: LaneSocket) {
    this.#folder = folder;
    this.ticket = ticket;
    this.#socket = socket;
  }

  get id(): string {
    return this.ticket.id;
  }

  /** Tells those behind it that something has changed before them. */
  tell(): void {
    this.#socket.tell();
  }

  /** Leaves the lane: the next one has its turn. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    try {
      removeInfo(this.#folder, this.id);
      // Before the socket is closed: so those behind it need not find out that it has no listener.
      removeFile(this.#folder, ticketName(this.ticket));
    } catch {
      // EMFILE, EROFS. Those behind it find a socket without a listener.
    }
    this.#socket.close();
    this.#folder.removeIfEmpty();
  }
}

/** What a participant learns while it waits. */
export interface QueuePlace {
  /** 1: the next after the holder. 0: it is the holder, and waits for the host to have what it `requires`. */
  readonly position: number;
  /** Undefined for a moment, while one that has died is removed. */
  readonly holder: LaneMember | undefined;
  /** With position 0: what the host lacks. */
  readonly unmet?: readonly UnmetRequirement[] | undefined;
}

export interface WaitOptions {
  readonly clock: Clock;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Called when it waits, and each time its place or the holder has changed. Must not throw. */
  onPlace(place: QueuePlace): void;
}

/** Changes that come in quick succession are told once in this time, ms: in a long queue each of them wakes everybody. */
const NEWS_PAUSE = 250;
/** Ms until the same participant is tried again, at first and at most. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 1_000;

/**
 * Takes a place behind all that are in the lane.
 * @throws PoolError `LANE_UNAVAILABLE`
 */
export async function takeTicket(folder: LaneFolder, member: LaneMember): Promise<LaneTurn> {
  for (let tries = 1; ; tries++) {
    const turn = await tryClaim(folder, member);
    if (turn !== undefined) return turn;
    // Others come at the same moment. At random, so that they do not meet again and again.
    await rest(Math.random() * Math.min(tries, 20), true);
  }
}

/** Undefined when the claim does not hold: see {@link holds}. */
async function tryClaim(folder: LaneFolder, member: LaneMember): Promise<LaneTurn | undefined> {
  const id = randomBytes(12).toString('hex');
  let socket: LaneSocket | undefined;
  try {
    folder.make();
    socket = new LaneSocket(folder.file(socketName(id)));
    if (!socket.isListening) throw await socket.failure;
    writeInfo(folder, id, member);
    const ticket = ticketBehind(ticketsIn(folder.list()), id);
    // It listens already, so a process that finds the ticket can connect.
    renameSync(folder.file(socketName(id)), folder.file(ticketName(ticket)));
    const turn = new LaneTurn(folder, ticket, socket);
    if (holds(ticket, ticketsIn(folder.list()))) return turn;
    turn.leave();
    return undefined;
  } catch (error) {
    socket?.close();
    attempt(() => removeInfo(folder, id));
    if (error instanceof PoolError || errnoOf(error) === undefined) throw error;
    // The last one that was in the lane has removed the folder.
    if (errnoOf(error) === 'ENOENT' || !existsSync(folder.path)) return undefined;
    folder.removeIfEmpty();
    return folder.refuse(`${folder.path}: ${messageOf(error)}`, error);
  }
}

/**
 * Resolves when no other one is before it any more.
 * @throws the reason of the signal, when that is aborted
 * @throws PoolError `LANE_UNAVAILABLE` when the folder cannot be read any more, or has lost the ticket
 */
export async function waitForTurn(folder: LaneFolder, turn: LaneTurn, options: WaitOptions): Promise<void> {
  const wait = new Wait(folder, turn, options);
  try {
    await wait.run();
  } finally {
    wait.end();
  }
}

/** One participant while it waits. */
class Wait {
  readonly #folder: LaneFolder;
  readonly #turn: LaneTurn;
  readonly #options: WaitOptions;
  #toldAt = -Infinity;
  #timer: Timer | undefined;
  /** What was told last. */
  #told: string | undefined;

  constructor(folder: LaneFolder, turn: LaneTurn, options: WaitOptions) {
    this.#folder = folder;
    this.#turn = turn;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    let last: string | undefined;
    let pause = 0;
    for (;;) {
      signal.throwIfAborted();
      const before = this.#predecessor();
      if (before === undefined) return;
      // One that takes a connection and closes it at once has no descriptor left.
      pause = before.id === last ? Math.min(Math.max(FIRST_PAUSE, pause * 2), LONGEST_PAUSE) : 0;
      last = before.id;
      if (pause > 0) await Promise.race([rest(pause), aborted]);
      await this.#waitFor(before, aborted);
    }
  }

  /** Nothing is told any more. */
  end(): void {
    this.#timer?.cancel();
  }

  #predecessor(): Ticket | undefined {
    const { ticket } = this.#turn;
    const tickets = ticketsIn(this.#folder.list());
    // Those that have come after that do not see this one, so it must not go on.
    if (!tickets.some(({ id }) => id === ticket.id)) {
      this.#folder.refuse(`${this.#folder.path}: somebody has removed the files of those that wait`);
    }
    return predecessorOf(ticket, tickets);
  }

  async #waitFor(before: Ticket, aborted: Promise<void>): Promise<void> {
    const link = await this.#link(before);
    if (link === 'dead') {
      // Its ticket last: as long as that is there, the rest is found.
      attempt(() => removeInfo(this.#folder, before.id));
      attempt(() => removeFile(this.#folder, ticketName(before)));
    }
    if (link === 'dead' || link === 'gone') return;
    this.#changed();
    if (link === 'busy') return;
    await Promise.race([link.closed, aborted]);
    link.close();
  }

  async #link(before: Ticket) {
    try {
      return await linkTo(this.#folder.file(ticketName(before)), () => this.#changed());
    } catch (error) {
      return this.#folder.refuse(`${this.#folder.path}: ${messageOf(error)}`, error);
    }
  }

  #changed(): void {
    const { clock } = this.#options;
    if (this.#timer !== undefined) return;
    const left = this.#toldAt + NEWS_PAUSE - clock.now();
    if (left <= 0) return this.#tell();
    this.#timer = clock.after(left, () => {
      this.#timer = undefined;
      this.#tell();
    });
  }

  #tell(): void {
    this.#toldAt = this.#options.clock.now();
    this.#turn.tell();
    let place: QueuePlace;
    try {
      place = placeOf(this.#folder, this.#turn.ticket);
    } catch {
      // EMFILE. The next change tells it.
      return;
    }
    if (place.position === 0 || JSON.stringify(place) === this.#told) return;
    this.#told = JSON.stringify(place);
    this.#options.onPlace(place);
  }
}

function placeOf(folder: LaneFolder, own: Ticket): QueuePlace {
  const before = ticketsIn(folder.list()).filter((other) => isBefore(other, own));
  const [first] = before;
  return { position: before.length, holder: first && readMember(folder, first.id) };
}

function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // The next one that finds it tries again.
  }
}
