import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api';

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s;

/**
 * The span that a caller has put into `params._meta` of a request; undefined without one, or when it is not valid. Read here,
 * since a host may have set no propagator.
 * @see https://www.w3.org/TR/trace-context-2/#traceparent-header
 * @see https://modelcontextprotocol.io/community/seps/414-request-meta
 */
export function callerSpan(meta: unknown): SpanContext | undefined {
  const { traceparent, tracestate } = (meta ?? {}) as { readonly traceparent?: unknown; readonly tracestate?: unknown };
  if (typeof traceparent !== 'string') return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(traceparent) ?? [];
  // A later version may have more fields; version 255 is none.
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  if (!isSpanContextValid(span)) return undefined;
  return typeof tracestate === 'string' ? { ...span, traceState: createTraceState(tracestate) } : span;
}
