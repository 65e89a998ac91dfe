import { about, type Field, isPlainObject, jsonObject, oneOf } from './fields.js';

/** Protocol versions with an `initialize` handshake, oldest first. They are dates, so that they can be compared as strings. */
export const LEGACY_VERSIONS = ['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;

/** What the pool says that it is, to the server. Further fields of the specification (`title`, `icons`, …) may be added. */
export interface ClientInfo {
  readonly name: string;
  readonly version: string;
  readonly [field: string]: unknown;
}

const clientInfo = (): Field<ClientInfo | undefined> => ({
  default: undefined,
  check(value) {
    const problem = jsonObject().check(value);
    if (problem !== undefined) return problem;
    const wrong = ['name', 'version'].find((key) => {
      const text = isPlainObject(value) ? value[key] : undefined;
      return typeof text !== 'string' || text.trim() === '';
    });
    return wrong && `an object with name and version; ${wrong} is not a string, or empty`;
  },
  schema: {
    type: 'object',
    properties: { name: { type: 'string', pattern: '\\S' }, version: { type: 'string', pattern: '\\S' } },
    required: ['name', 'version'],
  },
});

/** What the pool says when it initializes a server. Without effect on dedicated servers: their clients initialize them. */
export const handshakeFields = {
  /**
   * The protocol version that the pool offers the server. When the server refuses it, the pool offers the newest older
   * version that the refusal names, or the next older one if the refusal only says that the version is the reason. Set an
   * older one for a server that does not answer newer ones. Default: `2025-11-25`.
   * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#version-negotiation
   */
  protocolVersion: about(
    'protocol version that the pool offers; an older one when the server asks for it',
    oneOf('2025-11-25', ...LEGACY_VERSIONS),
  ),
  /**
   * The client capabilities that the pool declares. Default: `{}`.
   * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#capability-negotiation
   */
  clientCapabilities: about('capabilities that the pool declares when it initializes the server', jsonObject()),
  /**
   * What the pool says that it is: `name`, `version` and further fields of the specification. Some servers behave according
   * to it. Default: name and version of this package.
   * @see https://modelcontextprotocol.io/specification/2025-11-25/schema#implementation
   */
  clientInfo: about('`{ name, version, … }` that the server sees; without it those of this package', clientInfo()),
};
