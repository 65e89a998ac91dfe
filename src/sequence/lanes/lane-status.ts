import { setTimeout as pause } from 'node:timers/promises';
import { timerDelay } from '../../runtime/clock.js';
import { type LaneMember, readMember } from './lane-files.js';
import type { LaneFolder } from './lane-folder.js';
import { type Link, linkTo } from './lane-socket.js';
import { type Ticket, ticketName, ticketsIn } from './ticket.js';

/** Who is in a lane. */
export interface LaneStatus {
  readonly lane: string;
  /** Undefined when the lane is free. */
  readonly holder: LaneMember | undefined;
  /** Those that wait, the next one first. `position`: 1 is the next. */
  readonly queue: readonly (LaneMember & { readonly position: number })[];
}

type OpenLink = Exclude<Link, string>;

/** Those that are in the lane now, with connections that show their end; the caller closes them. */
export interface LaneLook {
  readonly status: LaneStatus;
  readonly links: readonly OpenLink[];
}

/** Looks at the lane. Takes no place in it, and changes nothing. */
export async function lookAt(folder: LaneFolder, lane: string): Promise<LaneLook> {
  const found = await Promise.all(ticketsIn(folder.list()).map((ticket) => memberAt(folder, ticket)));
  const members = found.filter((one) => one !== undefined);
  const [holder, ...queue] = members.map(({ member }) => member);
  return {
    status: { lane, holder, queue: queue.map((member, index) => ({ position: index + 1, ...member })) },
    links: members.flatMap(({ link }) => link ?? []),
  };
}

async function memberAt(
  folder: LaneFolder,
  ticket: Ticket,
): Promise<{ member: LaneMember; link: OpenLink | undefined } | undefined> {
  // An error of the system says nothing about it.
  const found = await linkTo(folder.file(ticketName(ticket)), () => {}).catch(() => 'busy' as const);
  if (found === 'dead' || found === 'gone') return undefined;
  // One that is too busy to be asked is there: a holder that is stopped (Ctrl-Z) is when it was asked some hundred times.
  const link = found === 'busy' ? undefined : found;
  const member = readMember(folder, ticket.id);
  if (member !== undefined) return { member, link };
  link?.close();
  return undefined;
}

export interface WatchOptions {
  readonly signal: AbortSignal | undefined;
  /** Ms between two looks at the names in the folder. */
  readonly interval: number;
}

/** The status now, and after each change. */
export async function* watchLane(
  folder: LaneFolder,
  lane: string,
  { signal, interval }: WatchOptions,
): AsyncGenerator<LaneStatus, void, void> {
  const isAborted = () => signal?.aborted === true;
  let told: string | undefined;
  while (!isAborted()) {
    // Before the look: what changes during the look brings the next one.
    const names = folder.list().join();
    const { status, links } = await lookAt(folder, lane);
    const left = { isSeen: false };
    for (const { closed } of links) {
      void closed.then(() => {
        left.isSeen = true;
      });
    }
    try {
      const text = JSON.stringify(status);
      if (text !== told) yield status;
      told = text;
      while (!left.isSeen && !isAborted() && folder.list().join() === names) {
        // It ends early when the watch is aborted.
        await pause(timerDelay(interval), undefined, { signal }).catch(() => {});
      }
    } finally {
      for (const link of links) link.close();
    }
  }
}
