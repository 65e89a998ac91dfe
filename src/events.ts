import { inspect } from 'node:util';
import { EventEmitter } from 'eventemitter3';
import { readFunction, readLabel } from './config/arguments.js';
import { thrownAsJson } from './errors.js';
import type { Outbox } from './runtime/outbox.js';
import { type Inspect, shown } from './runtime/shown.js';

/** Payload of `listener:error`: a listener threw an error, or returned a promise that was rejected. */
export interface ListenerError {
  /** The event that the listener was called with. */
  readonly event: string;
  /** What it has thrown, or what its promise was rejected with. */
  readonly error: unknown;
}

type Listeners<E> = { [K in keyof E]: [payload: E[K]] };
type Names<E> = EventEmitter.EventNames<Listeners<E>>;
type Listener<E, K extends Names<E>> = EventEmitter.EventListener<Listeners<E>, K>;
/** A listener in a function that catches its errors. */
type SafeListener = (this: unknown, payload: unknown) => void;
/** Must not throw. */
type Tap = (event: never, payload: never) => void;

/**
 * Has `listener` called with these events, before the listeners of the host, which can neither see nor remove it; after those
 * that were given before it.
 */
export let tap: <E extends { 'listener:error': ListenerError }>(
  emitter: SafeEmitter<E>,
  events: readonly (keyof E & string)[],
  listener: (event: keyof E & string, payload: E[keyof E] & object) => void,
) => void;

/**
 * An EventEmitter (of eventemitter3) that survives its listeners: when one throws or rejects, the others are still called,
 * and the error is emitted as `listener:error`.
 *
 * `E` maps the name of each event to its payload.
 */
export class SafeEmitter<E extends { 'listener:error': ListenerError }> extends EventEmitter<Listeners<E>> {
  /** Event → listener → its safe form, so that `off` finds the function that `on` has added. */
  readonly #safe = new Map<PropertyKey, WeakMap<object, SafeListener>>();
  readonly #outbox: Outbox | undefined;
  /** By event. Undefined without any. */
  #taps: Map<PropertyKey, readonly Tap[]> | undefined;

  static {
    tap = (emitter, events, listener) => {
      emitter.#taps ??= new Map();
      for (const event of events) emitter.#taps.set(event, [...(emitter.#taps.get(event) ?? []), listener]);
    };
  }

  /** @param outbox delivers the events, when the operation that caused them is complete; without it they are delivered at once */
  constructor(outbox?: Outbox) {
    super();
    this.#outbox = outbox;
  }

  override emit<K extends Names<E>>(event: K, ...args: EventEmitter.EventArgs<Listeners<E>, K>): boolean {
    const isHeard = this.listenerCount(event) > 0;
    if (!isHeard && !this.isTapped(event)) return false;
    if (this.#outbox === undefined) this.forward(event, ...args);
    else this.#outbox.push(() => this.forward(event, ...args));
    return isHeard;
  }

  /** What `JSON.stringify` writes, and `console.log` shows. */
  toJSON(): object {
    return { events: this.eventNames() };
  }

  [inspect.custom](depth: number, options: object, show: Inspect): string {
    return shown(this.constructor.name, this.toJSON(), depth, options, show);
  }

  /** Emits what another emitter of the same outbox delivers just now: it has waited for its turn already. */
  protected forward<K extends Names<E>>(event: K, ...args: EventEmitter.EventArgs<Listeners<E>, K>): void {
    this.tell(event, args[0]);
    super.emit(event, ...args);
  }

  /** Whether something besides the listeners of the host hears an event. */
  protected isTapped(event: PropertyKey): boolean {
    return this.#taps?.has(event) === true;
  }

  /** Tells it what it hears, before the listeners. */
  protected tell(event: PropertyKey, payload: unknown): void {
    for (const hear of this.#taps?.get(event) ?? []) hear(event as never, payload as never);
  }

  /** @throws PoolError `INVALID_OPTIONS` when the event is no name, or the listener no function, as by `once` */
  override on<K extends Names<E>>(event: K, listener: Listener<E, K>, context?: unknown): this {
    return super.on(event, this.#safeForm(event, listener), context ?? this);
  }

  override once<K extends Names<E>>(event: K, listener: Listener<E, K>, context?: unknown): this {
    return super.once(event, this.#safeForm(event, listener), context ?? this);
  }

  /**
   * Removes a listener; `off(event)` removes all of this event. A listener that is undefined removes none.
   * @throws PoolError `INVALID_OPTIONS` when a listener is given that is no function
   */
  override off<K extends Names<E>>(
    event: K,
    ...given: [listener?: Listener<E, K>, context?: unknown, once?: boolean]
  ): this {
    const [listener, context, once] = given;
    readEvent(event, 'off()');
    if (given.length > 0) readFunction(listener, 'the listener', 'off()');
    // After a `once`, the base class calls this with the safe form itself: then there is none to be found.
    const safe = listener && (this.#safe.get(event)?.get(listener) as Listener<E, K> | undefined);
    return super.off(event, safe ?? listener, context, once);
  }

  override addListener<K extends Names<E>>(event: K, listener: Listener<E, K>, context?: unknown): this {
    return this.on(event, listener, context);
  }

  override removeListener<K extends Names<E>>(
    event: K,
    ...given: [listener?: Listener<E, K>, context?: unknown, once?: boolean]
  ): this {
    return this.off(event, ...given);
  }

  /**
   * Removes all listeners, or those of one event. An event that is undefined removes none.
   * @throws PoolError `INVALID_OPTIONS` when an event is given that is no name
   */
  override removeAllListeners(...given: [event?: Names<E>]): this {
    if (given.length > 0) readEvent(given[0], 'removeAllListeners()');
    return super.removeAllListeners(...given);
  }

  /** The same listener on the same event always gets the same safe form. */
  #safeForm<L extends object>(event: PropertyKey, listener: L): L {
    readEvent(event, 'on()');
    readFunction(listener, 'the listener', 'on()');
    const forms = this.#safe.get(event) ?? new WeakMap<object, SafeListener>();
    this.#safe.set(event, forms);
    const report = (error: unknown) => this.#report(String(event), error);
    const safe: SafeListener =
      forms.get(listener) ??
      function (this: unknown, payload) {
        try {
          const result: unknown = (listener as unknown as SafeListener).call(this, payload);
          // Also what is no promise of this realm, or of this class, may reject.
          if (isThenable(result)) Promise.resolve(result).catch(report);
        } catch (error) {
          report(error);
        }
      };
    forms.set(listener, safe);
    return safe as unknown as L;
  }

  #report(event: string, error: unknown): void {
    // An error of a listener of `listener:error` is dropped: to emit it would call the same listener again.
    if (event === 'listener:error') return;
    const emitter: EventEmitter = this as unknown as EventEmitter;
    emitter.emit('listener:error', listenerError(event, error));
  }
}

/** The payload of `listener:error`. Emit no other: this one can be written as JSON, whatever the host has thrown. */
export function listenerError(event: string, error: unknown): ListenerError {
  return new ThrownByListener(event, error);
}

class ThrownByListener implements ListenerError {
  readonly event: string;
  readonly error: unknown;

  constructor(event: string, error: unknown) {
    this.event = event;
    this.error = error;
  }

  toJSON(): object {
    return { event: this.event, error: thrownAsJson(this.error) };
  }
}

/** @throws PoolError `INVALID_OPTIONS` when it is no name of an event */
function readEvent(event: unknown, call: string): void {
  if (typeof event !== 'symbol') readLabel(event, 'event', call);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
