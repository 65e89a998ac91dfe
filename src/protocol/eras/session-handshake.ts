import { type Answer, copyOf, property } from '../json-rpc.js';
import { answerVersion, type InitializeResult } from './handshake.js';
import { undeclaredCapabilities } from './undeclared.js';

/** Answers the `initialize` of each session: with what the latest process answered to the `initialize` of the pool. */
export class SessionHandshake {
  readonly #shared: boolean;
  readonly #onUndeclared: (capabilities: readonly string[]) => void;
  #result: InitializeResult | undefined;
  /** The client capabilities that the pool declared to that process. */
  #declared: Readonly<Record<string, unknown>> = {};

  /** @param onUndeclared called when a client declares capabilities that the pool did not declare to the server */
  constructor(shared: boolean, onUndeclared: (capabilities: readonly string[]) => void) {
    this.#shared = shared;
    this.#onUndeclared = onUndeclared;
  }

  connect(result: InitializeResult, declared: Readonly<Record<string, unknown>>): void {
    this.#result = result;
    this.#declared = declared;
  }

  /** Whether the server has log levels. */
  get hasLevels(): boolean {
    return this.#result?.capabilities.logging !== undefined;
  }

  answer(params: unknown): Answer {
    const result = this.#result as InitializeResult;
    const undeclared = undeclaredCapabilities(property(params, 'capabilities'), this.#declared, this.#shared);
    if (undeclared.length > 0) this.#onUndeclared(undeclared);
    const protocolVersion = answerVersion(property(params, 'protocolVersion'), result.protocolVersion);
    return { result: { ...copyOf(result), protocolVersion } };
  }
}
