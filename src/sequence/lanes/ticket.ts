// The order of a lane, as names of files. Nothing here reads or writes.

/**
 * The place of one participant in the queue of a lane. It is the name of its socket. No name is used twice, so a name
 * that was read a while ago still means the same participant, or none.
 */
export interface Ticket {
  readonly number: number;
  /** 24 random hexadecimal digits. */
  readonly id: string;
}

const NAME = /^([1-9][0-9]{0,14})\.([0-9a-f]{24})$/;

export function ticketName({ number, id }: Ticket): string {
  return `${number}.${id}`;
}

/** The tickets among the names in a folder, first come first. */
export function ticketsIn(names: readonly string[]): Ticket[] {
  const tickets: Ticket[] = [];
  for (const name of names) {
    const [, number, id] = NAME.exec(name) ?? [];
    if (number !== undefined && id !== undefined) tickets.push({ number: Number(number), id });
  }
  return tickets.sort((a, b) => (isBefore(a, b) ? -1 : 1));
}

/** Two participants that arrive at the same time may take the same number. */
export function isBefore(a: Ticket, b: Ticket): boolean {
  return a.number === b.number ? a.id < b.id : a.number < b.number;
}

/** The ticket to claim behind all that are there. Numbers begin anew when the queue is empty. */
export function ticketBehind(tickets: readonly Ticket[], id: string): Ticket {
  return { number: (tickets.at(-1)?.number ?? 0) + 1, id };
}

/**
 * Whether a claim holds. `seen`: the tickets that were there *after* it was made visible.
 *
 * Between the look that gave it its number and the claim, others may have come, and left again; then this number may be
 * below that of a participant which has never seen it. So a claim holds only if no ticket is behind it. Of two claims
 * that hold, the earlier one has not seen the later one, so the later one was made after that look, and its own look has
 * seen the earlier one: it waits.
 */
export function holds(claim: Ticket, seen: readonly Ticket[]): boolean {
  return seen.every((other) => other.id === claim.id || isBefore(other, claim));
}

/** The participant to wait for: when it is gone, the next one before it, until there is none. */
export function predecessorOf(own: Ticket, tickets: readonly Ticket[]): Ticket | undefined {
  return tickets.filter((other) => isBefore(other, own)).at(-1);
}
