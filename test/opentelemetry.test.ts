import { type Context, type ContextManager, context, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type MCPServerPool, POOL_EVENTS } from '../src/index.js';
import { instrumentPool } from '../src/opentelemetry.js';
import { RawClient } from './helpers/client.js';
import { leases, setUp, shared } from './helpers/fake-pool.js';
import { fixture } from './helpers/fixture.js';
import { open } from './helpers/real-pool.js';
import { flush, rejection } from './helpers/until.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const traceparent = `00-${TRACE}-${SPAN}-01`;

interface Point {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: unknown;
}

/** A pool that is instrumented, with what exporters have got. */
function instrumented(pool: MCPServerPool) {
  const spans = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  // It exports when it is asked to: the interval is longer than any test.
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  const end = instrumentPool(pool, { meterProvider, tracerProvider });
  onTestFinished(async () => {
    end();
    await meterProvider.shutdown();
    await tracerProvider.shutdown();
  });
  /** The points of a metric at this moment. */
  const points = async (name: string): Promise<Point[]> => {
    exporter.reset();
    await reader.forceFlush();
    const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    const found = metrics.find(({ descriptor }) => descriptor.name === name);
    return (found?.dataPoints ?? []).map(({ attributes, value }) => ({ attributes, value }));
  };
  const finished = (): ReadableSpan[] => spans.getFinishedSpans();
  return { end, points, finished, tracer: tracerProvider.getTracer('test') };
}

/** The ids of the span around a span. */
const parentOf = ({ parentSpanContext }: ReadableSpan) =>
  parentSpanContext && { traceId: parentSpanContext.traceId, spanId: parentSpanContext.spanId };

const count = (points: readonly Point[]) =>
  points.map(({ attributes, value }) => [(value as { count: number }).count, attributes]);

/** Without those of the handshake of a client. */
const calls = (spans: readonly ReadableSpan[]) => spans.filter(({ name }) => name !== 'initialize');

describe('instrumentPool()', () => {
  it('[OTEL-1] [OTEL-3] makes one span and one data point for each request, with the right parent', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared' } });
    const { points, finished } = instrumented(pool);
    const lease = await pool.getServer('echo');
    const client = await RawClient.connect(lease.transport);
    const _meta = { traceparent, tracestate: 'a=b', progressToken: 7, other: { kept: true } };
    const call = (name: string, more: object = {}) => client.request('tools/call', { name, arguments: {}, ...more });
    await Promise.all([call('echo', { _meta }), call('echo'), call('env')]);
    const seen = (await client.callTool('seen')) as {
      method?: string;
      params?: { _meta?: { traceparent?: string } };
    }[];
    const spans = calls(finished());
    expect(spans.map(({ name, kind }) => [name, kind]).sort()).toEqual([
      ['tools/call echo', 2],
      ['tools/call echo', 2],
      ['tools/call env', 2],
      ['tools/call seen', 2],
    ]);
    const children = spans.filter((span) => span.spanContext().traceId === TRACE);
    expect(children.map(parentOf)).toEqual([{ traceId: TRACE, spanId: SPAN }]);
    expect(children[0]?.attributes).toEqual({
      'mcp.method.name': 'tools/call',
      'gen_ai.tool.name': 'echo',
      'gen_ai.operation.name': 'execute_tool',
      'network.transport': 'pipe',
      'mcp_pool.server': 'echo',
    });
    expect(spans.filter((span) => span.spanContext().traceId !== TRACE).map(parentOf)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const metered = (await points('mcp.client.operation.duration')).filter(
      ({ attributes }) => attributes['mcp.method.name'] === 'tools/call',
    );
    expect(
      count(metered)
        .map(([many, of]) => [many, (of as Point['attributes'])['gen_ai.tool.name']])
        .sort(),
    ).toEqual([
      [1, 'env'],
      [1, 'seen'],
      [2, 'echo'],
    ]);
    for (const { value } of metered) expect((value as { sum: number }).sum).toBeGreaterThan(0);
    // The server got `_meta` as it came, apart from the token, by which the pool finds its client.
    const [received] = seen.filter(({ params }) => params?._meta?.traceparent !== undefined);
    expect(received?.params?._meta).toMatchObject({ traceparent, tracestate: 'a=b', other: { kept: true } });
    expect(_meta).toEqual({ traceparent, tracestate: 'a=b', progressToken: 7, other: { kept: true } });
  });

  it('[OTEL-1] says how a request has failed: error.type, status, code', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const { points, finished } = instrumented(pool);
    const [one] = await leases(pool, 1);
    launcher.last.onRequest = ({ id, params }) => {
      const { name } = (params ?? {}) as { name?: string };
      if (name === 'fails') return { isError: true, content: [{ type: 'text', text: 'secret' }] };
      if (name === 'refused') launcher.last.say({ jsonrpc: '2.0', id, error: { code: -32_602, message: 'secret' } });
      return undefined;
    };
    const call = (name: string, id: string) => one?.client.request('tools/call', { name }, id) ?? Promise.reject();
    await call('fails', '1');
    await rejection(call('refused', '2'));
    void call('given up', '3');
    await flush();
    await one?.client.notify('notifications/cancelled', { requestId: '3' });
    const lost = rejection(call('never', '4'));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await lost;
    const ended = calls(finished()).map(({ name, status, attributes }) => [
      name,
      status.code,
      attributes['error.type'],
      attributes['rpc.response.status_code'],
    ]);
    expect(ended).toEqual([
      ['tools/call fails', 2, 'tool_error', undefined],
      ['tools/call refused', 2, '-32602', '-32602'],
      ['tools/call given up', 2, 'cancelled', undefined],
      ['tools/call never', 2, 'lost', '-32000'],
    ]);
    const types = (await points('mcp.client.operation.duration')).map(({ attributes }) => attributes['error.type']);
    for (const type of ['tool_error', '-32602', 'cancelled', 'lost']) expect(types).toContain(type);
    expect(
      JSON.stringify([
        finished().map(({ attributes, status }) => [attributes, status]),
        await points('mcp.client.operation.duration'),
      ]),
    ).not.toContain('secret');
  });

  it('[OTEL-1] requests that are no tool calls are named by their method; invented names are short and few', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const { points, finished } = instrumented(pool);
    const [one] = await leases(pool, 1);
    await one?.client.request('tools/list');
    for (let index = 0; index < 1_100; index++) await one?.client.request('tools/call', { name: `tool ${index}` });
    await one?.client.request('x'.repeat(10_000));
    await one?.client.request('tools/call', { name: 'y'.repeat(10_000) });
    await one?.client.request('tools/call', { name: { not: 'a string' } });
    const names = calls(finished()).map(({ name }) => name);
    expect(names[0]).toBe('tools/list');
    expect(Math.max(...names.map((name) => name.length))).toBeLessThan(250);
    const metered = (await points('mcp.client.operation.duration')).filter(
      ({ attributes }) => attributes['mcp.method.name'] !== 'initialize',
    );
    const of = (key: string) => new Set(metered.map(({ attributes }) => attributes[key]));
    expect(of('mcp.method.name')).toEqual(new Set(['tools/list', 'tools/call', '_OTHER']));
    // A name for each of 1,000, one for the others, and requests without a tool.
    expect(of('gen_ai.tool.name').size).toBe(1_002);
  });

  it('[OTEL-3] without a caller in _meta a span is the child of the span that is active when it is sent', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const { finished, tracer } = instrumented(pool);
    const [one] = await leases(pool, 1);
    const outer = tracer.startSpan('outer');
    context.setGlobalContextManager(new ActiveContext(trace.setSpan(context.active(), outer)));
    onTestFinished(() => context.disable());
    await one?.client.request('tools/call', { name: 'x' });
    await one?.client.request('tools/call', { name: 'y', _meta: { traceparent } });
    await one?.client.request('tools/call', { name: 'z', _meta: { traceparent: 'nonsense' } });
    const { traceId, spanId } = outer.spanContext();
    expect(calls(finished()).map(parentOf)).toEqual([
      { traceId, spanId },
      { traceId: TRACE, spanId: SPAN },
      { traceId, spanId },
    ]);
  });

  it('[OTEL-2] makes one data point for each lease', async () => {
    const { pool, clock, launcher } = setUp({ servers: { a: { command: 'fake' } } });
    const { points } = instrumented(pool);
    const lease = await pool.getServer('a');
    clock.jump(2_500);
    lease.release();
    await pool.getServer('a');
    launcher.last.exit({ exitCode: 1 });
    await flush();
    const metered = await points('mcp.client.session.duration');
    expect(count(metered)).toEqual([
      [1, { 'network.transport': 'pipe', 'mcp_pool.server': 'a' }],
      [1, { 'network.transport': 'pipe', 'mcp_pool.server': 'a', 'error.type': 'crashed' }],
    ]);
    expect(metered[0]?.value).toMatchObject({ sum: 2.5 });
  });

  it('[OTEL-4] has the figures of the pool when a reader collects', async () => {
    const { pool } = setUp({ servers: { a: shared }, limits: { maxProcesses: Infinity } });
    const { points } = instrumented(pool);
    await leases(pool, 2);
    expect(await points('mcp_pool.leases')).toEqual([{ attributes: {}, value: 2 }]);
    expect(await points('mcp_pool.leases_acquired')).toEqual([{ attributes: {}, value: 2 }]);
    expect(await points('mcp_pool.server_instances')).toContainEqual({
      attributes: { 'mcp_pool.server': 'a', 'mcp_pool.state': 'ready' },
      value: 1,
    });
    // No cap is no number.
    expect(await points('mcp_pool.slots_limit')).toEqual([]);
  });

  it('[OTEL-4] what it returns ends all of it; a request that is under way then gets no span', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const heard = () => POOL_EVENTS.map((event) => pool.listenerCount(event));
    const before = heard();
    const { end, points, finished } = instrumented(pool);
    const [one] = await leases(pool, 1);
    launcher.last.onRequest = () => undefined;
    void one?.client.request('tools/call', { name: 'x' }, 'open');
    await flush();
    end();
    end();
    expect(heard()).toEqual(before);
    launcher.last.answer('open', {});
    await flush();
    expect(calls(finished())).toEqual([]);
    expect(await points('mcp_pool.leases')).toEqual([]);
  });

  it('[OTEL-4] without an SDK it does nothing, and breaks nothing', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const end = instrumentPool(pool);
    const [one] = await leases(pool, 1);
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    end();
  });

  it.each([
    ['no pool', undefined, {}],
    ['a pool that is none', {}, {}],
    ['a provider that is none', undefined, { meterProvider: {} }],
    ['another one', undefined, { tracerProvider: 'global' }],
  ])('[OTEL-4] refuses %s, and is told nothing then', (_what, none, options) => {
    const { pool } = setUp({ servers: { a: shared } });
    const heard = () => POOL_EVENTS.map((event) => pool.listenerCount(event));
    const before = heard();
    const given = Object.keys(options).length > 0 ? pool : none;
    const refused = expect.objectContaining({ code: 'INVALID_OPTIONS' });
    expect(() => instrumentPool(given as never, options as never)).toThrow(refused);
    expect(heard()).toEqual(before);
  });

  it('[OTEL-1] a pool does not get the requests of another', async () => {
    const [first, second] = [setUp({ servers: { a: shared } }), setUp({ servers: { a: shared } })];
    const { finished } = instrumented(first.pool);
    await leases(second.pool, 1);
    expect(finished()).toEqual([]);
  });
});

/** A context manager in which always the same context is active. */
class ActiveContext implements ContextManager {
  readonly #active: Context;

  constructor(active: Context) {
    this.#active = active;
  }

  active(): Context {
    return this.#active;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    _context: Context,
    run: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return run.call(thisArg as never, ...args);
  }

  bind<T>(_context: Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}
