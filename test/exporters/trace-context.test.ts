import { isSpanContextValid } from '@opentelemetry/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callerSpan } from '../../src/exporters/trace-context.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('the span of a caller', () => {
  it('[OTEL-3] is read from traceparent and tracestate of _meta', () => {
    const span = callerSpan({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'rojo=1,congo=2' });
    expect(span).toMatchObject({ traceId: TRACE, spanId: SPAN, traceFlags: 1, isRemote: true });
    expect(span?.traceState?.serialize()).toBe('rojo=1,congo=2');
    expect(callerSpan({ traceparent: `00-${TRACE}-${SPAN}-00` })).toEqual({
      ...{ traceId: TRACE, spanId: SPAN, traceFlags: 0, isRemote: true },
    });
    // A later version may say more.
    expect(callerSpan({ traceparent: `01-${TRACE}-${SPAN}-03-more` })).toMatchObject({ spanId: SPAN, traceFlags: 3 });
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['no traceparent', { progressToken: 1 }],
    ['no string', { traceparent: [`00-${TRACE}-${SPAN}-01`] }],
    ['an empty one', { traceparent: '' }],
    ['version 255', { traceparent: `ff-${TRACE}-${SPAN}-01` }],
    ['more than version 0 has', { traceparent: `00-${TRACE}-${SPAN}-01-more` }],
    ['capital letters', { traceparent: `00-${TRACE.toUpperCase()}-${SPAN}-01` }],
    ['a trace of zeros', { traceparent: `00-${'0'.repeat(32)}-${SPAN}-01` }],
    ['a span of zeros', { traceparent: `00-${TRACE}-${'0'.repeat(16)}-01` }],
    ['a short trace', { traceparent: `00-${TRACE.slice(1)}-${SPAN}-01` }],
    ['a line before it', { traceparent: `\n00-${TRACE}-${SPAN}-01` }],
  ])('[OTEL-3] is none with %s', (_what, meta) => {
    expect(callerSpan(meta)).toBeUndefined();
  });

  it('[OTEL-3] is valid or none, whatever a client has written', () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9a-f]{2}-[0-9a-f]{30,33}-[0-9a-f]{15,17}-[0-9a-f]{2}.?$/),
    );
    const meta = fc.oneof(
      fc.anything(),
      fc.record({ traceparent: fc.oneof(text, fc.anything()), tracestate: fc.anything() }),
    );
    fc.assert(
      fc.property(meta, (given) => {
        const span = callerSpan(given);
        if (span !== undefined) expect(isSpanContextValid(span)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
