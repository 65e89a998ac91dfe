import { PoolError, type PoolErrorData } from '../../errors.js';
import { type Answer, property } from '../json-rpc.js';

/** Version of this package, as the `clientInfo` of every handshake says it. A test compares it with package.json. */
const VERSION = '0.1.0';

/** Protocol versions with an `initialize` handshake, oldest first. They are dates, so that they can be compared as strings. */
const LEGACY_VERSIONS = ['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];
const NEWEST_LEGACY_VERSION = '2025-11-25';

/** How much of a server's own error message an error quotes, in characters. */
const LONGEST_QUOTE = 300;

/** What the server answered to `initialize`. Each client that initializes gets a copy of it. */
export interface InitializeResult {
  readonly protocolVersion: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly serverInfo: unknown;
  readonly instructions?: string;
}

/** Parameters of the pool's own `initialize` (2025-11-25, basic/lifecycle). */
export function initializeParams(clientCapabilities: Readonly<Record<string, unknown>>): object {
  return {
    protocolVersion: NEWEST_LEGACY_VERSION,
    capabilities: clientCapabilities,
    clientInfo: { name: 'mcp-server-pool', version: VERSION },
  };
}

/** @throws PoolError `HANDSHAKE_FAILED` when the answer is an error, or not a result of `initialize` */
export function readInitializeResult(answer: Answer, data: PoolErrorData): InitializeResult {
  const refuse = (why: string) => {
    throw new PoolError('HANDSHAKE_FAILED', `server '${data.name}' ${why}`, data);
  };
  if (answer.error !== undefined) {
    const message = property(answer.error, 'message');
    const code = property(answer.error, 'code');
    const words = typeof message === 'string' ? message.slice(0, LONGEST_QUOTE) : 'it did not say why';
    refuse(`refused to be initialized: ${words}${typeof code === 'number' ? ` (code ${code})` : ''}`);
  }
  const result = answer.result;
  const version = property(result, 'protocolVersion');
  const capabilities = property(result, 'capabilities');
  if (typeof version !== 'string' || typeof capabilities !== 'object' || capabilities === null) {
    refuse(
      'answered initialize with something that is not a result of it; check that command and args start an MCP server',
    );
  } else if (!LEGACY_VERSIONS.includes(version)) {
    refuse(`speaks protocol version '${version.slice(0, 40)}', which is none of ${LEGACY_VERSIONS.join(', ')}`);
  }
  return result as InitializeResult;
}

/**
 * The version to answer a client with. An older version that the client asks for is confirmed, because legacy versions only
 * add to each other. Any other client gets the version that the instance speaks.
 */
export function answerVersion(asked: unknown, instance: string): string {
  return typeof asked === 'string' && LEGACY_VERSIONS.includes(asked) && asked < instance ? asked : instance;
}
