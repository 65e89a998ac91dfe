import { SPARE } from '../instances/lease-scope.js';
import { Lease } from './lease.js';

const ID = /^lease-(\d+)-(\d+)$/;

/**
 * The leases that are held, each in a place of its own, by which it is found. Places are used again; the number in the id is
 * not. A Map of leases that come and go would be built anew every few calls, which costs as much as a warm call.
 */
export class LeaseTable {
  readonly #places: (Lease | undefined)[] = [];
  readonly #free: number[] = [];
  /**
   * V8 drops the optimized code of a class when a full collection finds no object of it: the next thousands of calls would
   * cost twice as much. So one object is kept, which is no lease.
   */
  readonly specimen = new Lease(undefined as never, -1, undefined as never, SPARE, 0.5, undefined);

  get size(): number {
    return this.#places.length - this.#free.length;
  }

  /** A place for the next lease. */
  reserve(): number {
    return this.#free.pop() ?? this.#places.push(undefined) - 1;
  }

  set(lease: Lease): void {
    this.#places[lease.place] = lease;
  }

  delete({ place }: Lease): void {
    this.#places[place] = undefined;
    this.#free.push(place);
  }

  find(id: string): Lease | undefined {
    const [, number, place] = ID.exec(String(id)) ?? [];
    const lease = this.#places[Number(place)];
    return lease?.number === Number(number) ? lease : undefined;
  }

  /** Oldest first. */
  list(): Lease[] {
    return this.#places.filter((lease) => lease !== undefined).sort((a, b) => a.number - b.number);
  }
}
