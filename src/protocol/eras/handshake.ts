import { LEGACY_VERSIONS } from '../../config/handshake-options.js';
import type { ResolvedDefinition } from '../../config/options.js';
import type { PoolError } from '../../errors.js';
import { cut } from '../../runtime/cut.js';
import { type Answer, NO_CLIENT, property } from '../json-rpc.js';

/** Version of this package, as the `clientInfo` of every handshake says it. A test compares it with package.json. */
const VERSION = '1.0.0-rc.1';

const VERSIONS: readonly string[] = LEGACY_VERSIONS;

/** How much of a server's own error message an error quotes, in characters. */
const LONGEST_QUOTE = 300;
/** How much of an error is searched for protocol versions, in characters. */
const LONGEST_SEARCH = 10_000;

/** What the server answered to `initialize`. Each client that initializes gets a copy of it. */
export interface InitializeResult {
  readonly protocolVersion: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly serverInfo: unknown;
  readonly instructions?: string;
}

/** What the pool says in the handshake. */
export type HandshakeOptions = Pick<ResolvedDefinition, 'protocolVersion' | 'clientCapabilities' | 'clientInfo'>;

/**
 * Makes the pool's own handshake with a process (2025-11-25, basic/lifecycle). While the server refuses a protocol version,
 * the next older one is offered: a server that has refused `initialize` was not initialized.
 * @param onDone called with the last answer, and the versions that were offered; not called if the server does not answer
 */
export function initialize(
  request: (method: string, params: object, onAnswer: (answer: Answer | undefined) => void) => void,
  { protocolVersion, clientCapabilities: capabilities, clientInfo }: HandshakeOptions,
  onDone: (answer: Answer, offered: readonly string[]) => void,
): void {
  const offer = (version: string, before: readonly string[]) => {
    const info = clientInfo ?? { name: 'mcp-server-pool', version: VERSION };
    request('initialize', { protocolVersion: version, capabilities, clientInfo: info }, (answer) => {
      if (answer === undefined) return;
      const offered = [...before, version];
      const older = answer.error === undefined ? undefined : olderVersion(answer.error, version);
      if (older === undefined) onDone(answer, offered);
      else offer(older, offered);
    });
  };
  offer(protocolVersion, []);
}

/**
 * The protocol version to offer after the server has refused `offered`: the newest older one that the error names, in its
 * `data.supported` or anywhere else; the next older one if the error only says that the version is the reason.
 */
export function olderVersion(error: unknown, offered: string): string | undefined {
  const text = `${textOf(property(error, 'message'))} ${textOf(property(error, 'data'))}`;
  const older = VERSIONS.filter((version) => version < offered);
  const named = older.filter((version) => text.includes(version)).at(-1);
  if (named !== undefined || !/version/i.test(text)) return named;
  // It names versions, but only others: newer ones, or older ones that the pool does not know.
  const others = (text.match(/\d{4}-\d{2}-\d{2}/g) ?? []).filter((version) => version !== offered);
  return others.length > 0 ? undefined : older.at(-1);
}

/** What a part of an error says, as far as it is searched. Empty if it is nested too deeply to be written. */
function textOf(part: unknown): string {
  try {
    return (typeof part === 'string' ? part : (JSON.stringify(part) ?? '')).slice(0, LONGEST_SEARCH);
  } catch {
    return '';
  }
}

/**
 * @param refusal makes the error of which this is the end of the message
 * @throws PoolError `HANDSHAKE_FAILED` when the answer is an error, or not a result of `initialize`
 */
export function readInitializeResult(
  answer: Answer,
  offered: readonly string[],
  refusal: (why: string) => PoolError,
): InitializeResult {
  const refuse = (why: string) => {
    throw refusal(why);
  };
  if (answer.error !== undefined) {
    const message = property(answer.error, 'message');
    const code = property(answer.error, 'code');
    // A command like `cat` repeats the request, and then the refusal that this request gets.
    if (message === NO_CLIENT) refuse('writes back what it is sent; check that command and args start an MCP server');
    const words = typeof message === 'string' ? cut(message, LONGEST_QUOTE) : 'it did not say why';
    const versions = `protocol version ${offered.join(', then ')}`;
    refuse(`refused to be initialized with ${versions}: ${words}${typeof code === 'number' ? ` (code ${code})` : ''}`);
  }
  const result = answer.result;
  const version = property(result, 'protocolVersion');
  const capabilities = property(result, 'capabilities');
  if (typeof version !== 'string' || typeof capabilities !== 'object' || capabilities === null) {
    refuse(
      'answered initialize with something that is not a result of it; check that command and args start an MCP server',
    );
  } else if (!VERSIONS.includes(version)) {
    refuse(`speaks protocol version '${cut(version, 40)}', which is none of ${VERSIONS.join(', ')}`);
  }
  return result as InitializeResult;
}

/**
 * The version to answer a client with. An older version that the client asks for is confirmed, because legacy versions only
 * add to each other. Any other client gets the version that the instance speaks.
 */
export function answerVersion(asked: unknown, instance: string): string {
  return typeof asked === 'string' && VERSIONS.includes(asked) && asked < instance ? asked : instance;
}
