import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PoolError } from '../../../src/errors.js';
import { AUDITED_EVENTS, auditRecord } from '../../../src/monitor/audit/audit-record.js';
import { propertyRuns } from '../../helpers/properties.js';

const ORIGIN = { now: Date.UTC(2026, 10, 30, 12), host: 7 };
const SECRET = 'sk-live-0123456789';

describe('a line', () => {
  it('[AUDIT-1] has the time, the host, the event, and the fields of that event', () => {
    const payload = { name: 'files', instanceId: 'mcp-1-1', pid: 40, reason: 'idle', leases: [{ leaseId: 'lease-1' }] };
    expect(auditRecord('server:stopping', payload, ORIGIN)).toEqual({
      ...{ at: '2026-11-30T12:00:00.000Z', host: 7, event: 'server:stopping' },
      ...payload,
      leases: 1,
    });
  });

  it('[AUDIT-10] of a signal says which it was, for the tree and the attempt', () => {
    const payload = { id: 'mcp-1-1', name: 'files', pid: 40, attempt: 2, signal: 'SIGTERM', processes: 3 };
    const { at, host, event, ...fields } = auditRecord('signal:sent', payload, ORIGIN);
    expect(fields).toEqual(payload);
  });

  it('[AUDIT-12] of the limit of a folder says which folder', () => {
    const payload = { kind: 'folder', path: '/var/log/files', value: 12, limit: 10 };
    expect(auditRecord('limit:exceeded', payload, ORIGIN)).toMatchObject(payload);
    const pruned = { action: 'prune', reason: 'it had more than 3 MB', path: '/var/log/a', dryRun: false };
    expect(auditRecord('action:taken', pruned, ORIGIN)).toMatchObject(pruned);
  });

  it('[AUDIT-9] has of an error its code alone', () => {
    const error = new PoolError('SERVER_EXITED', SECRET, { stderrTail: SECRET }, new Error(SECRET));
    const record = auditRecord('server:failed', { name: 'files', error }, ORIGIN);
    expect(record).toMatchObject({ error: 'SERVER_EXITED' });
    expect(JSON.stringify(record)).not.toContain(SECRET);
    expect(auditRecord('server:failed', { error: new TypeError(SECRET) }, ORIGIN).error).toBe('TypeError');
    expect(auditRecord('server:failed', { error: { code: SECRET } }, ORIGIN).error).toBeUndefined();
  });

  it('[AUDIT-9] has no field that is not in the table, and no object in place of a text', () => {
    const secret = fc.constantFrom<unknown>(
      SECRET,
      [SECRET],
      { env: { TOKEN: SECRET } },
      [{ pid: { SECRET }, command: { SECRET }, commandLine: SECRET }],
      new Error(SECRET),
    );
    const hidden = [
      'env',
      'args',
      'line',
      'stderrTail',
      'cause',
      'message',
      'tenant',
      'owner',
      'callers',
      'stack',
      'report',
      'x',
    ];
    const inTable = ['leases', 'survivors', 'processes', 'servers', 'error', 'names', 'reason', 'name'];
    const { cases } = propertyRuns(1_000);
    fc.assert(
      fc.property(
        fc.constantFrom(...AUDITED_EVENTS),
        fc.dictionary(fc.constantFrom(...hidden), secret),
        // What is not of the type that the field has.
        fc.dictionary(
          fc.constantFrom(...inTable),
          fc.constantFrom<unknown>({ SECRET }, [{ SECRET }], [[SECRET]], new Error(SECRET)),
        ),
        (event, unknown, wrong) => {
          const text = JSON.stringify(auditRecord(event, { ...unknown, ...wrong }, ORIGIN));
          expect(text).not.toContain(SECRET);
        },
      ),
      { numRuns: cases },
    );
  });

  it('[AUDIT-1] has a limit, whatever is in it, and is one line', () => {
    const long = '\n\u2028"\\'.repeat(100_000);
    const payload = {
      ...Object.fromEntries(['name', 'reason', 'action'].map((field) => [field, long])),
      names: Array.from({ length: 1_000 }, () => long),
      processes: Array.from({ length: 1_000 }, () => ({ pid: 1, command: long })),
    };
    for (const event of AUDITED_EVENTS) {
      const line = JSON.stringify(auditRecord(event, payload, ORIGIN));
      expect(line.length).toBeLessThan(60_000);
      expect(line).not.toMatch(/[\n\u2028]/);
    }
  });

  it('[AUDIT-1] has figures that JSON does not know as texts', () => {
    const record = auditRecord('limit:exceeded', { kind: 'memory', value: Number.NaN, limit: Infinity }, ORIGIN);
    expect(JSON.parse(JSON.stringify(record))).toMatchObject({ kind: 'memory', value: 'NaN', limit: 'Infinity' });
  });
});
