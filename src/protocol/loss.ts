import { PoolError } from '../errors.js';
import { deferred } from '../runtime/deferred.js';

/**
 * Why the server of a session was lost. A pipe that is closed is mostly the first sign of an exit; its code and stderr are
 * known a little later: the sender of a message that could not be written gets that error, not the one of the pipe.
 */
export class Loss {
  readonly #reason = deferred<PoolError | undefined>();

  /** @param reason undefined if the session has ended before the server was lost */
  set(reason: PoolError | undefined): void {
    this.#reason.resolve(reason);
  }

  /** The error for the sender of a message that was refused with `error`: at once, or when the loss is known. */
  async explain(error: unknown): Promise<unknown> {
    return isRefusal(error) ? error : ((await this.#reason.promise) ?? error);
  }
}

/** Whether the error concerns only the message, while the channel can be used as before. */
export function isRefusal(error: unknown): boolean {
  return !(error instanceof PoolError) || error.code === 'BUFFER_FULL' || error.code === 'INVALID_OPTIONS';
}
