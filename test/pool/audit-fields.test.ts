import { expect, it } from 'vitest';
import type { PoolEvents } from '../../src/index.js';
import { AUDITED, AUDITED_EVENTS } from '../../src/monitor/audit/audit-record.js';

/** Of no event: they may be confidential, or are said by number where they matter. */
const NEVER = ['tenant', 'owner', 'callers', 'variant'] as const;

/** Texts and figures of an alert may be those of a host, and the rest follows from the other lines. */
const OF_ALERT = [
  'state',
  'message',
  'action',
  'data',
  'sources',
  'since',
  'holds',
  'inhibited',
  'undelivered',
] as const;

/** What an event has besides its line. */
const LEFT_OUT = {
  // Leases are said where they end or move.
  'server:starting': ['leases'],
  'server:ready': ['leases'],
  'server:failed': ['leases'],
  // Output of the server.
  'server:exited': ['stderrTail'],
  // Reports have lines of their own, by `cleanup:*` and `signal:sent`.
  'server:stopped': ['leases', 'report'],
  'server:quarantined': ['leases', 'report'],
  // The event says it; the error is a text, and names the survivors, which the line has.
  'cleanup:finished': ['confirmed', 'waited', 'termination', 'error'],
  'cleanup:failed': ['confirmed', 'waited', 'termination', 'error'],
  // Always the same for a part.
  'containment:degraded': ['consequence'],
  'monitor:degraded': ['consequence'],
  'internal:error': ['leases'],
  // Follows from the order of the other lines.
  'pool:closed': ['waves'],
  // The event says it in a sentence.
  'package:fallback': ['message'],
  // They may quote what the server has answered.
  'health:changed': ['reason', 'action'],
  // What has not changed.
  'config:applied': ['unchanged', 'skipped'],
  'alert:raised': OF_ALERT,
  'alert:repeated': OF_ALERT,
  'alert:escalated': OF_ALERT,
  'alert:acknowledged': OF_ALERT,
  'alert:resolved': OF_ALERT,
} as const satisfies { readonly [K in Audited]?: readonly FieldOf<K>[] };

type Audited = keyof typeof AUDITED & keyof PoolEvents;
type KeyOf<Payload> = Payload extends unknown ? keyof Payload & string : never;
type FieldOf<K extends Audited> = KeyOf<PoolEvents[K]>;
type LeftOut<K> = (typeof NEVER)[number] | (K extends keyof typeof LEFT_OUT ? (typeof LEFT_OUT)[K][number] : never);
type InLine<K extends Audited> = (typeof AUDITED)[K][number];
type Forgotten = { [K in Audited]: `${K}: ${Exclude<FieldOf<K>, InLine<K> | LeftOut<K>>}` }[Audited];
type Invented = { [K in Audited]: `${K}: ${Exclude<InLine<K>, FieldOf<K>>}` }[Audited];
type Contradictory = { [K in Audited]: `${K}: ${InLine<K> & LeftOut<K>}` }[Audited];

// Fails to compile when a payload has a field that is in no list above, or a line has one that no payload has.
true satisfies [Forgotten | Invented | Contradictory] extends [never] ? true : false;

it('[AUDIT-12] each field of an audited event is in its line, or left out on purpose (checked by the compiler)', () => {
  expect(AUDITED_EVENTS).toEqual(expect.arrayContaining(Object.keys(LEFT_OUT)));
  for (const fields of Object.values(AUDITED) as (readonly string[])[]) {
    expect(new Set(fields).size).toBe(fields.length);
    for (const field of NEVER) expect(fields).not.toContain(field);
  }
});
