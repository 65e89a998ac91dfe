import {
  about,
  describeValue,
  type Field,
  type Given,
  isPlainObject,
  type JsonSchema,
  oneOf,
  type Resolved,
} from './fields.js';
import { noShorter, noShorterOrNever, shareOfLimit } from './number-fields.js';

/** What a function that checks a server gets. */
export interface HealthContext {
  /** Name of the server. */
  readonly name: string;
  /** The instance that is checked; alone, the id that `health.add()` got. */
  readonly instanceId: string;
  /**
   * Sends a request to the server, past `maxInFlight`. Rejects with the error of the server, and where nothing can be sent: of a
   * `dedicated` server, or of what was added to a monitor without a pool.
   */
  request(method: string, params?: unknown): Promise<unknown>;
  /** Aborted when the time is over. */
  readonly signal: AbortSignal;
}

/** Checks a server. What it throws, or rejects with, is a missed check. */
export type HealthFunction = (server: HealthContext) => unknown;

/**
 * How a server is checked.
 *
 * - `auto`: as `ping`. A server that answers no ping, but lists its tools, prompts or resources, is well. A `dedicated` server is
 *   only observed: its process, and whether it answers what its client has asked.
 * - `ping`: the ping of the protocol; a refusal is an answer, too.
 * - `{ url }`: a GET request; a status below 400 is an answer.
 * - a function: it returns, or what it returns resolves.
 * - `false`: not at all.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/ping
 */
export type HealthCheck = 'auto' | 'ping' | { readonly url: string } | HealthFunction | false;

/** A check that is asked alone, without a pool: by its own means. */
export type OwnCheck = { readonly url: string } | HealthFunction;

/** Less was most likely meant in seconds. */
const LEAST = 100;

const ADDRESS: JsonSchema = {
  type: 'object',
  properties: { url: { type: 'string', pattern: '^[Hh][Tt][Tt][Pp][Ss]?:' } },
  required: ['url'],
  additionalProperties: false,
};

/** How the health of a server is checked, and what is done when it does not answer. */
export const healthFields = {
  /** How it is checked. Default: `auto`. */
  check: about(
    "how it is asked: `'auto'`, `'ping'`, `false` (not at all), `{ url }`, or a function ([more](health.md#what-is-asked))",
    check(),
  ),
  /** Time between two checks, in milliseconds, at least 100. Default: 30,000. */
  interval: about('time between two checks, at least 100', noShorter(30_000, LEAST)),
  /** How long a check may take, in milliseconds, at least 100; then it is missed. Default: 10,000. */
  timeout: about('how long a check may take, at least 100; then it is missed', noShorter(10_000, LEAST)),
  /**
   * A server that has shown no sign of life for this time is unhealthy, in milliseconds, not below interval and timeout together: neither a message nor,
   * while it works on a call, CPU time or I/O. So it is after three missed checks. Default: 180,000.
   */
  unhealthyAfter: about('time without any sign of life after which it is unhealthy', noShorter(180_000, LEAST)),
  /**
   * What is done with an unhealthy server. `restart` (default): it ends as after a crash (`onCrash`); while a client waits for an
   * answer, only after `unhealthyAfter` without any sign of life. `report`: nothing but the event.
   */
  onUnhealthy: about(
    "what is done when it does not answer: `'restart'`, or `'report'`: nothing but the event",
    oneOf('restart', 'restart', 'report'),
  ),
  /** Most instances of the server that may be restarted for this at once, in percent, but at least one. Default: 50. */
  maxUnavailablePercent: about(
    'most instances of a server that are restarted for this at once, at least 1',
    shareOfLimit(50),
  ),
  /**
   * Time after which something that does not end is reported as `stuck:detected`, in milliseconds: an open request, a lease
   * without a message, a start, the end of a process. `Infinity`: never. Default: 300,000.
   */
  stuckAfter: about(
    'time after which `stuck:detected` reports something; `Infinity`: never',
    noShorterOrNever(300_000, LEAST),
  ),
};

/** How the health of a server is checked. */
export type HealthOptions = Given<typeof healthFields>;

/** The same, with every default filled in. */
export type ResolvedHealth = Resolved<typeof healthFields>;

function check(): Field<HealthCheck> {
  const what = "'auto', 'ping', false, a function, or { url } with the address of an HTTP server";
  return {
    default: 'auto',
    check(value) {
      if (value === 'auto' || value === 'ping' || value === false) return undefined;
      return problemOf(value, what);
    },
    schema: { anyOf: [{ enum: ['auto', 'ping', false] }, ADDRESS] },
  };
}

/** A check by the means of the host: a function or an address. */
export function ownCheck(): Field<OwnCheck | undefined> {
  const what = 'a function, or { url } with the address of an HTTP server';
  return { default: undefined, check: (value) => problemOf(value, what), schema: ADDRESS };
}

function problemOf(value: unknown, what: string): string | undefined {
  if (typeof value === 'function') return undefined;
  if (!isPlainObject(value)) return `${what}, got ${describeValue(value)}`;
  const { url, ...more } = value;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) return `${what}; '${unknown}' is not known there`;
  // The address may hold a secret, so it is not shown.
  if (typeof url !== 'string' || !URL.canParse(url)) return `${what}; url is no address`;
  return ['http:', 'https:'].includes(new URL(url).protocol)
    ? undefined
    : `${what}; url must begin with http: or https:`;
}
