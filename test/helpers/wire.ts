import { PassThrough } from 'node:stream';
import type { MessageChannel } from '../../src/protocol/channels/message-channel.js';
import { StdioChannel } from '../../src/protocol/channels/stdio-channel.js';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { DirectRouting, type DirectRoutingDeps } from '../../src/protocol/mux/direct-routing.js';
import { Multiplexer, type MultiplexerDeps } from '../../src/protocol/mux/multiplexer.js';
import type { ToolChanges } from '../../src/protocol/mux/tool-list.js';
import { Upstream } from '../../src/protocol/mux/upstream.js';
import type { RequestObserver } from '../../src/protocol/request-observer.js';
import type { Attachment, Endpoint } from '../../src/protocol/routing.js';
import { KeepAlive } from '../../src/runtime/keep-alive.js';
import { ManualClock } from './clock.js';
import { flush } from './until.js';

export const initializeResult = {
  protocolVersion: '2025-06-18',
  capabilities: { tools: {}, logging: {}, resources: { subscribe: true } },
  serverInfo: { name: 'server', version: '1.0.0' },
};

/** A session without a client. */
export class Ear implements Endpoint {
  readonly heard: JsonRpcMessage[] = [];
  receive(message: JsonRpcMessage): void {
    this.heard.push(message);
  }

  /** The messages that it received since the last call. */
  take(): JsonRpcMessage[] {
    return this.heard.splice(0);
  }
}

/** Counts the operations that would keep the host alive, without a timer. */
class CountingHold extends KeepAlive {
  count = 0;
  override take(): void {
    this.count += 1;
  }
  override drop(): void {
    this.count -= 1;
  }
}

/** A channel, and the server at the other end of it. */
export function wire(budget = new WriteBudget(1_000_000)) {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const channel = new StdioChannel({ stdin, stdout, messageLimit: 1_000_000, budget, server: { name: 'test' } });
  let written = '';
  stdin.on('data', (chunk: Buffer) => {
    written += chunk.toString();
  });
  return {
    channel,
    stdin,
    /** The messages that were sent to the server since the last call. */
    async sent(): Promise<JsonRpcMessage[]> {
      await flush();
      const lines = written.split('\n').slice(0, -1);
      written = '';
      return lines.map((line) => JSON.parse(line) as JsonRpcMessage);
    },
    /** The server writes messages. */
    async says(...messages: object[]): Promise<void> {
      for (const message of messages) stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
      await flush();
    },
  };
}

/** For tests of other things. */
export const UNOBSERVED: RequestObserver = {
  isActive: false,
  hearsStarts: false,
  requestSent: () => {},
  requestAnswered: () => {},
  requestEnded: () => {},
};

/** The routing of a dedicated server. */
export function directOn(channel: MessageChannel, more: Partial<DirectRoutingDeps> = {}) {
  const hold = new CountingHold();
  const clock = new ManualClock();
  const quiet = { observer: UNOBSERVED, requestTimeout: () => Infinity, onClosed: () => {} };
  const routing = new DirectRouting({ channel, clock, keepAlive: hold, ...quiet, ...more });
  return { routing, hold, clock };
}

export interface MultiplexedOptions extends Partial<Omit<MultiplexerDeps, 'clock' | 'keepAlive' | 'writeBudget'>> {
  readonly budget?: WriteBudget;
  readonly maxInFlight?: number;
  readonly requestTimeout?: number;
  readonly clientCapabilities?: Record<string, unknown>;
}

/** A multiplexer, and a function that starts processes for it, one after the other. */
export function multiplexed({
  budget,
  maxInFlight,
  requestTimeout,
  clientCapabilities,
  ...options
}: MultiplexedOptions = {}) {
  const hold = new CountingHold();
  const clock = new ManualClock();
  const writeBudget = budget ?? new WriteBudget(1_000_000);
  const reported = { undeclared: [] as string[], tools: [] as ToolChanges[] };
  const sessionsStay = options.sessionsStay ?? options.shared ?? false;
  const mux = new Multiplexer({
    ...{ server: { name: 'test' }, shared: false, changesOwner: false, retryTools: 'never', sessionsStay },
    ...{ copyBudget: new WriteBudget(writeBudget.limit), ...options },
    ...{ clock, keepAlive: hold, writeBudget, observer: options.observer ?? UNOBSERVED },
  });
  /** Another process; with `connect()` it serves the sessions from then on. */
  const start = (result: object = {}) => {
    const wires = wire(writeBudget);
    const upstream = new Upstream(wires.channel, {
      clock,
      maxInFlight: maxInFlight ?? Infinity,
      requestTimeout: () => requestTimeout ?? Infinity,
      clientCapabilities: clientCapabilities ?? {},
      sessionsStay,
    });
    upstream.open(() => {});
    const connect = () =>
      mux.connect(
        upstream,
        { ...initializeResult, ...result },
        {
          onUndeclared: (names) => reported.undeclared.push(...names),
          onToolsChanged: (changes) => reported.tools.push(changes),
        },
      );
    return { ...wires, upstream, connect };
  };
  return { mux, start, hold, clock, reported };
}

export const request = (id: RequestId, method = 'tools/call', params: object = { name: 'x' }): JsonRpcMessage => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});

/** The ids of the requests and answers among `messages`. */
export const ids = (messages: JsonRpcMessage[]) =>
  messages.flatMap(({ id }) => (id === undefined ? [] : [id as RequestId]));

/** Adds a session to a multiplexer. */
export function attach(mux: Multiplexer): { ear: Ear; at: Attachment } {
  const ear = new Ear();
  return { ear, at: mux.attach(ear) };
}
