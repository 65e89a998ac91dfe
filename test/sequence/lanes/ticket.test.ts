import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  holds,
  predecessorOf,
  type Ticket,
  ticketBehind,
  ticketName,
  ticketsIn,
} from '../../../src/sequence/lanes/ticket.js';

/** What the folder of a lane shows, and who lives. */
class FakeFolder {
  readonly #names = new Set<string>();
  readonly living = new Set<string>();

  look(): Ticket[] {
    return ticketsIn([...this.#names]);
  }

  add(ticket: Ticket): void {
    this.#names.add(ticketName(ticket));
  }

  remove(ticket: Ticket): void {
    this.#names.delete(ticketName(ticket));
  }
}

/** One participant, whose steps a test mixes with those of others; each is atomic, as a call of the file system is. */
class FakeParticipant {
  isHolder = false;
  isDone = false;
  /** When its place was sure, and when it began to come. */
  arrivedAt = Infinity;
  cameAt = Infinity;
  #ids: string[];
  #ticket: Ticket | undefined;
  #step: 'look' | 'claim' | 'verify' | 'wait' | 'hold' = 'look';
  readonly #folder: FakeFolder;

  constructor(folder: FakeFolder, ids: string[]) {
    this.#folder = folder;
    this.#ids = ids;
  }

  get id(): string {
    return this.#ids[0] ?? '';
  }

  step(time: number): void {
    if (this.isDone) return;
    if (this.#step === 'look') {
      this.cameAt = Math.min(this.cameAt, time);
      this.#ticket = ticketBehind(this.#folder.look(), this.id);
      this.#step = 'claim';
    } else if (this.#step === 'claim') {
      this.#folder.living.add(this.id);
      this.#folder.add(this.#own);
      this.#step = 'verify';
    } else if (this.#step === 'verify') {
      if (holds(this.#own, this.#folder.look())) {
        this.arrivedAt = time;
        this.#step = 'wait';
      } else {
        // Another socket, another id.
        this.#leave();
        this.#ids = this.#ids.slice(1);
        this.#step = 'look';
      }
    } else if (this.#step === 'wait') this.#wait();
    else this.die('properly');
  }

  /** It may be killed at any step; only a participant that leaves properly removes its ticket. */
  die(how?: 'properly'): void {
    if (this.#ticket !== undefined && how) this.#leave();
    this.#folder.living.delete(this.id);
    this.isHolder = false;
    this.isDone = true;
  }

  get #own(): Ticket {
    return this.#ticket as Ticket;
  }

  #wait(): void {
    const before = predecessorOf(this.#own, this.#folder.look());
    if (before === undefined) {
      this.isHolder = true;
      this.#step = 'hold';
    } else if (!this.#folder.living.has(before.id)) this.#folder.remove(before);
  }

  #leave(): void {
    this.#folder.remove(this.#own);
    this.#folder.living.delete(this.id);
  }
}

/** Ids in any order: the first of a participant may be the last of all. */
const idOf = (participant: number, attempt: number) =>
  ((participant * 7_919 + attempt * 104_729) % 1_000_003).toString(16).padStart(24, '0');

const PARTICIPANTS = 5;

describe('the tickets of a lane', () => {
  it('[LANE-16] let one participant hold the lane at a time, in the order of arrival, whatever happens at the same moment', () => {
    const action = fc.record({
      who: fc.nat(PARTICIPANTS - 1),
      isKilled: fc.integer({ min: 0, max: 19 }).map((number) => number === 0),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 150 }), (actions) => {
        const folder = new FakeFolder();
        const all = Array.from({ length: PARTICIPANTS }, (_, index) => {
          const ids = Array.from({ length: 200 }, (_id, attempt) => idOf(index + 1, attempt));
          return new FakeParticipant(folder, ids);
        });
        const order: FakeParticipant[] = [];
        let time = 0;
        const advance = (one: FakeParticipant, isKilled: boolean) => {
          const wasHolder = one.isHolder;
          if (isKilled) one.die();
          else one.step(++time);
          if (one.isHolder && !wasHolder) order.push(one);
          expect(all.filter(({ isHolder }) => isHolder).length).toBeLessThanOrEqual(1);
        };
        for (const { who, isKilled } of actions) advance(all[who] as FakeParticipant, isKilled);
        // Nobody waits for ever: in turn, all come to their end.
        for (let round = 0; all.some(({ isDone }) => !isDone); round++) {
          expect(round).toBeLessThan(1_000);
          for (const one of all) if (!one.isDone) for (let step = 0; step <= round % 4; step++) advance(one, false);
        }
        for (const [index, first] of order.entries()) {
          for (const later of order.slice(index + 1)) expect(later.arrivedAt).toBeGreaterThan(first.cameAt);
        }
        expect(folder.living.size).toBe(0);
      }),
    );
  });

  it('[LANE-16] are recognized by their names, and only they', () => {
    const id = 'a'.repeat(24);
    const names = [`10.${id}`, `9.${id}`, `0.${id}`, `01.${id}`, `1.${id}x`, `1.${'A'.repeat(24)}`, `${id}.info`, '..'];
    expect(ticketsIn(names)).toEqual([
      { number: 9, id },
      { number: 10, id },
    ]);
  });
});
