import { EventEmitter } from 'eventemitter3';
import type { Outbox } from './runtime/outbox.js';

/** What every emitter also tells: an error that a listener threw, or rejected with. */
export interface ListenerError {
  readonly event: string;
  readonly error: unknown;
}

type Listeners<E> = { [K in keyof E]: [payload: E[K]] };
type Names<E> = EventEmitter.EventNames<Listeners<E>>;
type Listener<E, K extends Names<E>> = EventEmitter.EventListener<Listeners<E>, K>;
type Guard = (this: unknown, payload: unknown) => void;

/**
 * An EventEmitter (of eventemitter3) whose listeners cannot break the one that emits: what a listener throws, or rejects
 * with, becomes a `listener:error` event, and the other listeners are called all the same.
 *
 * `E` names the events with the payload of each.
 */
export class SafeEmitter<E extends { 'listener:error': ListenerError }> extends EventEmitter<Listeners<E>> {
  /** Event → listener → its guarded form, so that `off` finds what `on` has added. */
  readonly #guards = new Map<PropertyKey, WeakMap<object, Guard>>();
  readonly #outbox: Outbox | undefined;

  /** @param outbox delivers the events, when the operation that caused them is complete; without it they are delivered at once */
  constructor(outbox?: Outbox) {
    super();
    this.#outbox = outbox;
  }

  override emit<K extends Names<E>>(event: K, ...args: EventEmitter.EventArgs<Listeners<E>, K>): boolean {
    if (this.#outbox === undefined || this.listenerCount(event) === 0) return super.emit(event, ...args);
    this.#outbox.push(() => void super.emit(event, ...args));
    return true;
  }

  override on<K extends Names<E>>(event: K, listener: Listener<E, K>, context?: unknown): this {
    return super.on(event, this.#guarded(event, listener), context ?? this);
  }

  override once<K extends Names<E>>(event: K, listener: Listener<E, K>, context?: unknown): this {
    return super.once(event, this.#guarded(event, listener), context ?? this);
  }

  override off<K extends Names<E>>(event: K, listener?: Listener<E, K>, context?: unknown, once?: boolean): this {
    // The base class itself takes a guard off, once it has called one that was added with `once`.
    const guard = listener && (this.#guards.get(event)?.get(listener) as Listener<E, K> | undefined);
    return super.off(event, guard ?? listener, context, once);
  }

  override addListener<K extends Names<E>>(event: K, listener: Listener<E, K>, context?: unknown): this {
    return this.on(event, listener, context);
  }

  override removeListener<K extends Names<E>>(
    event: K,
    listener?: Listener<E, K>,
    context?: unknown,
    once?: boolean,
  ): this {
    return this.off(event, listener, context, once);
  }

  /** Guards one listener; the same listener on the same event always gets the same guard. */
  #guarded<L extends object>(event: PropertyKey, listener: L): L {
    const guards = this.#guards.get(event) ?? new WeakMap<object, Guard>();
    this.#guards.set(event, guards);
    const report = (error: unknown) => this.#report(String(event), error);
    const guard: Guard =
      guards.get(listener) ??
      function (this: unknown, payload) {
        try {
          const result: unknown = (listener as unknown as Guard).call(this, payload);
          if (result instanceof Promise) result.catch(report);
        } catch (error) {
          report(error);
        }
      };
    guards.set(listener, guard);
    return guard as unknown as L;
  }

  #report(event: string, error: unknown): void {
    // A listener of `listener:error` that throws itself has nobody left to tell.
    if (event === 'listener:error') return;
    const emitter: EventEmitter = this as unknown as EventEmitter;
    emitter.emit('listener:error', { event, error });
  }
}
