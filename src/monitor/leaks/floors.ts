/** A window has this many floors: with a window of one hour, each stands for five minutes. */
export const FLOORS_PER_WINDOW = 12;
/** Floors are judged in parts of this many: a garbage collector gives back at least once in most of them. */
export const FLOORS_PER_PART = 3;
export const PARTS_PER_WINDOW = FLOORS_PER_WINDOW / FLOORS_PER_PART;

/** So many windows are kept. */
const WINDOWS = 6;
/** The mean of each of these is one candidate for the floor: a floor does not fall because samples come more often. */
const SLICES_PER_FLOOR = 5;

/** The least that an instance used in a short time. */
export interface Floor {
  /** Its place in time: floors without a sample are left out. */
  readonly index: number;
  readonly memoryMB: number;
  /** Requests that came in that time; undefined: not known. */
  readonly requests: number | undefined;
}

/**
 * Condenses the samples of hours into a bounded number of floors. The least of each short time counts, since what is above
 * it the garbage collector gives back.
 */
export class FloorSeries {
  readonly #length: number;
  readonly #floors: Floor[] = [];
  /** When the first sample was taken. */
  #begin: number | undefined;
  #index = 0;
  #slice = 0;
  #sum = 0;
  #count = 0;
  #least = Infinity;
  #requests: number | undefined;
  #requestsBefore: number | undefined;

  /** @param window in ms */
  constructor(window: number) {
    this.#length = window / FLOORS_PER_WINDOW;
  }

  /** Oldest first. */
  get floors(): readonly Floor[] {
    return this.#floors;
  }

  /**
   * Takes a sample, and returns whether it is the first one after a part that is now complete. Each must be later than the one
   * before it.
   *
   * @param at in ms
   * @param requests of the whole life of the instance; undefined: not known
   */
  add(at: number, memoryMB: number, requests: number | undefined): boolean {
    this.#begin ??= at;
    const slice = Math.floor(((at - this.#begin) / this.#length) * SLICES_PER_FLOOR);
    const index = Math.floor(slice / SLICES_PER_FLOOR);
    const completes = partOf(index) > partOf(this.#index);
    if (slice !== this.#slice) this.#endSlice(slice);
    if (index !== this.#index) this.#endFloor(index);
    this.#sum += memoryMB;
    this.#count += 1;
    this.#countRequests(requests);
    return completes;
  }

  #endSlice(next: number): void {
    if (this.#count > 0) this.#least = Math.min(this.#least, this.#sum / this.#count);
    this.#slice = next;
    this.#sum = 0;
    this.#count = 0;
  }

  #endFloor(next: number): void {
    if (this.#least < Infinity) {
      this.#floors.push({ index: this.#index, memoryMB: this.#least, requests: this.#requests });
      if (this.#floors.length > WINDOWS * FLOORS_PER_WINDOW) this.#floors.shift();
    }
    this.#index = next;
    this.#least = Infinity;
    this.#requests = undefined;
  }

  #countRequests(total: number | undefined): void {
    const before = this.#requestsBefore;
    this.#requestsBefore = total;
    if (total === undefined || before === undefined) return;
    // A counter that fell has begun again.
    this.#requests = (this.#requests ?? 0) + (total >= before ? total - before : total);
  }
}

/** The part that a floor belongs to. */
export function partOf(index: number): number {
  return Math.floor(index / FLOORS_PER_PART);
}
