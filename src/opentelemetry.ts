import {
  type Context,
  context,
  diag,
  type Meter,
  type MeterProvider,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import { McpAttributes, spanName } from './exporters/mcp-attributes.js';
import { observeFigures } from './exporters/observed-figures.js';
import { watchRequests } from './exporters/requests.js';
import { SessionEnds } from './exporters/session-ends.js';
import { callerSpan } from './exporters/trace-context.js';
import {
  type MCPServerPool,
  PoolError,
  type PoolEvents,
  type RequestEndMessage,
  type RequestStartMessage,
} from './index.js';

/** Options of {@link instrumentPool}. */
export interface InstrumentOptions {
  /** Default: the global one. That is read at the call, so start the SDK of OpenTelemetry before. */
  readonly meterProvider?: MeterProvider | undefined;
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider | undefined;
}

/** The name of the instrumentation scope. */
const SCOPE = 'mcp-server-pool';
/** Upper bounds, in seconds, as the conventions ask for. */
const explicitBucketBoundaries = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];

/**
 * Has a pool measured and traced by OpenTelemetry, by its semantic conventions for MCP: a client span and a data point of
 * `mcp.client.operation.duration` for each request, a data point of `mcp.client.session.duration` for each lease, and the figures
 * of the pool as `mcp_pool.…`. A span is the child of the `traceparent` in `params._meta` of its request, else of the span that is
 * active when the client sends it. `_meta` is never changed.
 * @returns a function that ends this
 * @throws PoolError `INVALID_OPTIONS` when the pool is none, or a provider
 * @see https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md
 */
export function instrumentPool(pool: MCPServerPool, options: InstrumentOptions = {}): () => void {
  const { meterProvider = metrics.getMeterProvider(), tracerProvider = trace.getTracerProvider() } = options ?? {};
  const problems: string[] = [];
  if (typeof pool?.status !== 'function') problems.push('the pool must be a MCPServerPool');
  if (typeof meterProvider?.getMeter !== 'function') problems.push('meterProvider must be a MeterProvider');
  if (typeof tracerProvider?.getTracer !== 'function') problems.push('tracerProvider must be a TracerProvider');
  if (problems.length > 0)
    throw new PoolError('INVALID_OPTIONS', `the call of instrumentPool() was refused: ${problems.join('; ')}`, {
      problems,
    });
  const meter = meterProvider.getMeter(SCOPE);
  const attributes = new McpAttributes();
  const ends = [
    instrumentRequests(pool, meter, tracerProvider.getTracer(SCOPE), attributes),
    instrumentSessions(pool, meter, attributes),
    observeFigures(pool, meter),
  ];
  return () => {
    for (const end of ends.splice(0)) end();
  };
}

function instrumentRequests(pool: MCPServerPool, meter: Meter, tracer: Tracer, attributes: McpAttributes): () => void {
  const durations = meter.createHistogram('mcp.client.operation.duration', {
    unit: 's',
    description: 'From a request of a client to its answer, or to its end without one.',
    advice: { explicitBucketBoundaries },
  });
  /** By request. Weak: a request that never ends is kept by nothing else. */
  const spans = new WeakMap<object, Span>();
  const onStart = (message: RequestStartMessage) => {
    const options = { kind: SpanKind.CLIENT, attributes: attributes.ofSpan(message) };
    spans.set(message.request, tracer.startSpan(spanName(message), options, parentOf(message)));
  };
  const onEnd = (message: RequestEndMessage) => {
    const span = spans.get(message.request);
    spans.delete(message.request);
    // With the span, a data point may name it as its example.
    const within = span ? trace.setSpan(context.active(), span) : context.active();
    durations.record(message.duration / 1_000, attributes.ofMeasurement(message), within);
    const end = attributes.ofEnd(message);
    span?.setAttributes(end);
    if ('error.type' in end) span?.setStatus({ code: SpanStatusCode.ERROR });
    span?.end();
  };
  const onFault = (fault: unknown) => diag.error('mcp-server-pool: a request was not recorded', fault);
  return watchRequests(pool, { onStart, onEnd, onFault });
}

/** The caller's span comes from another process, or another part of this one, that knows more than what is active here. */
function parentOf({ request: { meta } }: RequestStartMessage): Context {
  const caller = callerSpan(meta);
  return caller ? trace.setSpanContext(context.active(), caller) : context.active();
}

function instrumentSessions(pool: MCPServerPool, meter: Meter, attributes: McpAttributes): () => void {
  const durations = meter.createHistogram('mcp.client.session.duration', {
    unit: 's',
    description: 'How long a lease was held.',
    advice: { explicitBucketBoundaries },
  });
  const ends = new SessionEnds();
  const listeners = {
    'server:stopping': (event: PoolEvents['server:stopping']) => ends.stopping(event),
    'lease:reclaimed': (event: PoolEvents['lease:reclaimed']) => ends.reclaimed(event),
    'lease:moved': (event: PoolEvents['lease:moved']) => ends.moved(event),
    'lease:released': (event: PoolEvents['lease:released']) =>
      durations.record(event.held / 1_000, attributes.ofSession(event.name, ends.take(event))),
  };
  const all = Object.entries(listeners) as [keyof PoolEvents, never][];
  for (const [event, listener] of all) pool.on(event, listener);
  return () => {
    for (const [event, listener] of all) pool.off(event, listener);
  };
}
