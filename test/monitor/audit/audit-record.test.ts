import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PoolError } from '../../../src/errors.js';
import { AUDITED_EVENTS, auditRecords } from '../../../src/monitor/audit/audit-record.js';

const ORIGIN = { now: Date.UTC(2026, 10, 30, 12), host: 7 };
const SECRET = 'sk-live-0123456789';

describe('a line', () => {
  it('[AUDIT-1] has the time, the host, the event, and the fields of that event', () => {
    const payload = { name: 'files', instanceId: 'mcp-1-1', pid: 40, reason: 'idle', leases: [{ leaseId: 'lease-1' }] };
    expect(auditRecords('server:stopping', payload, ORIGIN)).toEqual([
      { at: '2026-11-30T12:00:00.000Z', host: 7, event: 'server:stopping', ...payload, leases: 1 },
    ]);
  });

  it('[AUDIT-10] comes before that of an end for each signal that the end has needed, with its time', () => {
    const steps = [
      { step: 'eof', at: 0, processes: 2 },
      { step: 'SIGTERM', at: 2_000, processes: 2 },
      { step: 'SIGKILL', at: 3_000, processes: 1 },
    ];
    const report = { name: 'files', id: 'mcp-1-1', pid: 40, attempts: 1, duration: 9_999, survivors: [] };
    const records = auditRecords('cleanup:finished', { ...report, termination: { steps, duration: 3_500 } }, ORIGIN);
    expect(records.map(({ at, event, signal, processes }) => [at.slice(17), event, signal, processes])).toEqual([
      ['56.500Z', 'signal:sent', 'eof', 2],
      ['58.500Z', 'signal:sent', 'SIGTERM', 2],
      ['59.500Z', 'signal:sent', 'SIGKILL', 1],
      ['00.000Z', 'cleanup:finished', undefined, undefined],
    ]);
  });

  it.each([
    [{}],
    [{ steps: 7, duration: 1 }],
    [{ steps: [null, { at: 1e300 }], duration: 1 }],
    [{ steps: [{}, { at: Number.NaN }], duration: Infinity }],
    ['text'],
  ])('[AUDIT-10] is written for an end whose report is %o, as that of a job of the host may be', (termination) => {
    const records = auditRecords('cleanup:finished', { name: 'files', termination }, ORIGIN);
    expect(records.at(-1)).toMatchObject({ event: 'cleanup:finished', name: 'files' });
  });

  it('[AUDIT-9] has of an error its code alone', () => {
    const error = new PoolError('SERVER_EXITED', SECRET, { stderrTail: SECRET }, new Error(SECRET));
    const [record] = auditRecords('server:failed', { name: 'files', error }, ORIGIN);
    expect(record).toMatchObject({ error: 'SERVER_EXITED' });
    expect(JSON.stringify(record)).not.toContain(SECRET);
    expect(auditRecords('server:failed', { error: new TypeError(SECRET) }, ORIGIN)[0]?.error).toBe('TypeError');
    expect(auditRecords('server:failed', { error: { code: SECRET } }, ORIGIN)[0]?.error).toBeUndefined();
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
          const text = JSON.stringify(auditRecords(event, { ...unknown, ...wrong }, ORIGIN));
          expect(text).not.toContain(SECRET);
        },
      ),
      { numRuns: 1_000 },
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
      const line = JSON.stringify(auditRecords(event, payload, ORIGIN));
      expect(line.length).toBeLessThan(60_000);
      expect(line).not.toMatch(/[\n\u2028]/);
    }
  });

  it('[AUDIT-1] has figures that JSON does not know as texts', () => {
    const [record] = auditRecords('limit:exceeded', { kind: 'memory', value: Number.NaN, limit: Infinity }, ORIGIN);
    expect(JSON.parse(JSON.stringify(record))).toMatchObject({ kind: 'memory', value: 'NaN', limit: 'Infinity' });
  });
});
