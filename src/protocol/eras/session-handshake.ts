import { type Answer, copyOf, property } from '../json-rpc.js';
import { answerVersion, type InitializeResult } from './handshake.js';

/** Capabilities of a client that let the server ask it something. */
const ASKING = ['roots', 'sampling', 'elicitation'];

/** Answers the `initialize` of each session with what the process that was connected last has answered to that of the pool. */
export class SessionHandshake {
  readonly #shared: boolean;
  readonly #onUndeclared: (capabilities: readonly string[]) => void;
  #result: InitializeResult | undefined;
  /** What the pool declared to that process. */
  #declared: Readonly<Record<string, unknown>> = {};

  /** @param onUndeclared called when a client counts on capabilities that the pool did not declare */
  constructor(shared: boolean, onUndeclared: (capabilities: readonly string[]) => void) {
    this.#shared = shared;
    this.#onUndeclared = onUndeclared;
  }

  connect(result: InitializeResult, declared: Readonly<Record<string, unknown>>): void {
    this.#result = result;
    this.#declared = declared;
  }

  get hasLevels(): boolean {
    return this.#result?.capabilities.logging !== undefined;
  }

  answer(params: unknown): Answer {
    const result = this.#result as InitializeResult;
    const counted = property(params, 'capabilities');
    const undeclared = ASKING.filter(
      (name) => property(counted, name) !== undefined && (this.#shared || !(name in this.#declared)),
    );
    if (undeclared.length > 0) this.#onUndeclared(undeclared);
    const protocolVersion = answerVersion(property(params, 'protocolVersion'), result.protocolVersion);
    return { result: { ...copyOf(result), protocolVersion } };
  }
}
