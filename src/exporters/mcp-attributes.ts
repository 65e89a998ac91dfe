import type { Attributes } from '@opentelemetry/api';
import type { RequestEndMessage, RequestStartMessage } from '../index.js';
import { BoundedNames } from './bounded-names.js';
import { METHODS } from './method-label.js';
import { MOST_SERVERS, serverLabel } from './server-label.js';

/** A tool may have any name, and a client may ask for tools that do not exist. */
const MOST_TOOLS = 1_000;
const LONGEST_NAME = 200;

/**
 * The attributes of requests and sessions by the semantic conventions of OpenTelemetry for MCP (status: development).
 * @see https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md
 */
export class McpAttributes {
  readonly #tools = new BoundedNames(MOST_TOOLS);
  readonly #servers = new BoundedNames(MOST_SERVERS);

  /** Of a span: what it says may be anything, but has a limit. */
  ofSpan({ request, server }: RequestStartMessage): Attributes {
    const { method, tool } = request;
    return {
      'mcp.method.name': short(method),
      ...(tool === undefined ? {} : { 'gen_ai.tool.name': short(tool), 'gen_ai.operation.name': 'execute_tool' }),
      'network.transport': 'pipe',
      'mcp_pool.server': serverLabel(server.name),
    };
  }

  /** Of a measurement: each has a bounded number of values, since each combination is a time series. */
  ofMeasurement(message: RequestEndMessage): Attributes {
    const { method, tool } = message.request;
    return {
      'mcp.method.name': KNOWN.has(method) ? method : UNKNOWN_METHOD,
      ...(tool === undefined
        ? {}
        : { 'gen_ai.tool.name': this.#tools.of(short(tool)), 'gen_ai.operation.name': 'execute_tool' }),
      'network.transport': 'pipe',
      'mcp_pool.server': this.#servers.of(serverLabel(message.server.name)),
      ...this.ofEnd(message),
    };
  }

  /** How a request ended; empty when it succeeded. */
  ofEnd({ outcome, errorCode }: RequestEndMessage): Attributes {
    if (outcome === 'ok') return {};
    if (outcome === 'tool-error') return { 'error.type': 'tool_error' };
    const code = errorCode === undefined ? undefined : String(errorCode);
    return {
      // The convention asks for the code of the error; how the pool has ended a request says more than the code it has chosen.
      'error.type': outcome === 'error' ? (code ?? '_OTHER') : outcome,
      ...(code === undefined ? {} : { 'rpc.response.status_code': code }),
    };
  }

  ofSession(server: string, failure: string | undefined): Attributes {
    return {
      'network.transport': 'pipe',
      'mcp_pool.server': this.#servers.of(serverLabel(server)),
      ...(failure === undefined ? {} : { 'error.type': failure }),
    };
  }
}

const KNOWN: ReadonlySet<string> = new Set(METHODS);
const UNKNOWN_METHOD = '_OTHER';

/** The name of a span: `{method} {tool}`. */
export function spanName({ request: { method, tool } }: RequestStartMessage): string {
  return tool === undefined ? short(method) : `${short(method)} ${short(tool)}`;
}

function short(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}
