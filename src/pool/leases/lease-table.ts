import { SPARE } from '../instances/lease-scope.js';
import { Lease } from './lease.js';

const ID = /^lease-(\d+)-(\d+)$/;

/**
 * The leases that are held. The id of a lease holds its index in an array, and a number that is never used again. A Map would
 * be rebuilt every few calls while leases come and go, which costs as much as a warm call.
 */
export class LeaseTable {
  readonly #places: (Lease | undefined)[] = [];
  readonly #free: number[] = [];
  /**
   * An unused object. Without any object of a class, V8 drops its optimized code at a full garbage collection, and the next
   * thousands of calls cost twice as much.
   */
  readonly specimen = new Lease(undefined as never, -1, undefined as never, SPARE, 0.5, undefined);

  get size(): number {
    return this.#places.length - this.#free.length;
  }

  /** An index for the next lease. */
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
