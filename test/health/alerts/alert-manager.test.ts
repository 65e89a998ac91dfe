import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { AlertManager, type AlertNotification } from '../../../src/index.js';
import { hang, poolWide, report, setUpAlerts } from '../../helpers/alerts.js';

const HOLD = 30_000;
const REPEAT = 14_400_000;
const QUIET = 60_000;

describe('a condition', () => {
  it('[ALERT-1] is an alert when it has held for long enough', () => {
    const { alerts, clock, of, take } = setUpAlerts();
    alerts.raise(hang({ action: 'look at it', data: { age: 7, nothing: undefined }, source: 'mcp-1' }));
    clock.advance(HOLD - 1);
    expect([take(), alerts.active()]).toEqual([[], []]);
    clock.advance(1);
    expect(take()).toEqual(['alert:raised']);
    const alert = {
      ...{ kind: 'stuck', subject: { name: 'files' }, severity: 'warning', state: 'firing', message: 'too much' },
      ...{ action: 'look at it', data: { age: 7 }, sources: ['mcp-1'], count: 1, tier: 0, acknowledgedBy: undefined },
      ...{ id: expect.stringMatching(/^alert-\d+-\d+$/), since: expect.any(Number), holds: true, inhibited: false },
      undelivered: [],
    };
    expect(alerts.active()).toEqual([alert]);
    expect(of('alert:raised')).toEqual([alert]);
  });

  it('[ALERT-1] is none when it ends before', () => {
    const { alerts, clock, take } = setUpAlerts();
    alerts.raise(hang());
    clock.advance(HOLD - 1);
    expect(alerts.resolve({ kind: 'stuck', subject: { name: 'files' } })).toBe(true);
    expect(alerts.resolve({ kind: 'stuck', subject: { name: 'files' } })).toBe(false);
    clock.advance(REPEAT);
    expect(take()).toEqual([]);
    expect(alerts.toJSON()).toEqual({ active: 0, pending: 0, dropped: 0 });
  });

  it('[ALERT-1] without a hold is an alert at once', () => {
    const { alerts, take } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    expect(take()).toEqual(['alert:raised']);
  });

  it('[ALERT-1] that is reported 10,000 times in a minute is one alert of each server, with its count', () => {
    const { alerts, clock, of } = setUpAlerts();
    for (let index = 0; index < 10_000; index++) {
      alerts.raise(report({ subject: { name: `server-${index % 20}` }, source: `mcp-${index % 100}` }));
      clock.advance(6);
    }
    expect(of('alert:raised')).toHaveLength(20);
    expect(alerts.active().map(({ count }) => count)).toEqual(Array.from({ length: 20 }, () => 500));
    for (let index = 0; index < 20; index++) {
      alerts.resolve({ kind: 'resource-violation', subject: { name: `server-${index}` } });
    }
    clock.advance(QUIET);
    const resolved = of('alert:resolved');
    expect(resolved).toHaveLength(20);
    for (const raised of of('alert:raised')) {
      const end = resolved.find(({ id }) => id === raised.id);
      expect(raised.count + (end?.suppressed ?? 0)).toBe(500);
      expect(end).toMatchObject({ count: 500, reason: 'ended', state: 'resolved', holds: false });
    }
  });

  it('[ALERT-1] holds as long as one of its sources has it', () => {
    const { alerts, clock, take } = setUpAlerts({ for: 0 });
    for (const source of ['mcp-1', 'mcp-2']) alerts.raise(hang({ source }));
    expect(alerts.active()).toMatchObject([{ sources: ['mcp-1', 'mcp-2'], count: 2 }]);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' }, source: 'mcp-1' });
    clock.advance(10 * QUIET);
    expect(alerts.active()).toMatchObject([{ sources: ['mcp-2'], holds: true }]);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' }, source: 'mcp-2' });
    expect(alerts.active()).toMatchObject([{ sources: [], holds: false }]);
    clock.advance(QUIET);
    expect(take()).toEqual(['alert:raised', 'alert:resolved']);
  });

  it('[ALERT-1] that is a single event counts for as long as its report says', () => {
    const { alerts, clock, take } = setUpAlerts();
    alerts.raise(hang({ lasts: 10_000 }));
    clock.advance(REPEAT);
    expect(take()).toEqual([]);
    // The last one is 36 s after the first, and lapses at 46 s.
    for (let event = 0; event < 5; event++) {
      alerts.raise(hang({ lasts: 10_000 }));
      clock.advance(9_000);
    }
    expect(take()).toEqual(['alert:raised']);
    clock.advance(1_000 + QUIET - 1);
    expect(take()).toEqual([]);
    clock.advance(1);
    expect(take()).toEqual(['alert:resolved']);
  });

  it('[ALERT-1] of another kind, server or part is another alert', () => {
    const { alerts, of } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    alerts.raise(report());
    alerts.raise(hang({ subject: { name: 'memory' } }));
    alerts.raise(hang({ subject: { name: 'files', part: 'lease' } }));
    alerts.raise(hang({ message: 'once more' }));
    expect(of('alert:raised').map(({ kind, subject }) => [kind, subject.name, subject.part])).toEqual([
      ['stuck', 'files', undefined],
      ['resource-violation', 'files', undefined],
      ['stuck', 'memory', undefined],
      ['stuck', 'files', 'lease'],
    ]);
    expect(new Set(of('alert:raised').map(({ id }) => id)).size).toBe(4);
  });
});

describe('an alert', () => {
  it('[ALERT-2] is resolved when its condition has been over for a minute, and goes on when it comes back before', () => {
    const { alerts, clock, of, take } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    clock.advance(QUIET - 1);
    alerts.raise(hang());
    expect(take()).toEqual(['alert:raised']);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    // It was over for a minute then, so it must be over for two.
    clock.advance(2 * (QUIET - 1) - 1);
    expect(take()).toEqual([]);
    clock.advance(1);
    expect(take()).toEqual(['alert:resolved']);
    expect(of('alert:resolved')).toMatchObject([{ count: 2, suppressed: 1, duration: 3 * (QUIET - 1) }]);
  });

  it.each([
    ['10 s, every 20 s: too short to be one', 10_000, 10_000, 0],
    ['40 s, every 80 s', 40_000, 40_000, 1],
    ['40 s, every 6 min', 40_000, 320_000, 2],
    ['1 h, every 90 min', 3_600_000, 1_800_000, 2],
  ])(
    '[ALERT-2] of a condition that comes and goes is one or two, not one each time: for %s',
    (_what, on, off, most) => {
      const { alerts, clock, of } = setUpAlerts({ repeatInterval: Infinity });
      for (let time = 0; time < 50; time++) {
        alerts.raise(hang());
        clock.advance(on);
        alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
        clock.advance(off);
      }
      expect(of('alert:raised')).toHaveLength(most);
      clock.advance(2 * 3_600_000);
      expect(of('alert:resolved')).toHaveLength(most);
      expect(alerts.active()).toEqual([]);
    },
  );

  it('[ALERT-4] is repeated with the number of reports since then, until it is acknowledged', () => {
    const { alerts, clock, of, take } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    for (let index = 0; index < 4; index++) alerts.raise(hang());
    clock.advance(REPEAT);
    clock.advance(REPEAT);
    expect(take()).toEqual(['alert:raised', 'alert:repeated', 'alert:repeated']);
    expect(of('alert:repeated')).toMatchObject([
      { suppressed: 4, count: 5, reason: 'interval' },
      { suppressed: 0, count: 5, reason: 'interval' },
    ]);
    const [{ id } = { id: '' }] = alerts.active();
    expect(alerts.acknowledge(id, 'Ada')).toBe(true);
    expect(alerts.acknowledge(id, 'Ben')).toBe(false);
    expect(alerts.acknowledge('alert-1-x', 'Ben')).toBe(false);
    clock.advance(10 * REPEAT);
    expect(take()).toEqual(['alert:acknowledged']);
    expect(alerts.active()).toMatchObject([{ state: 'acknowledged', acknowledgedBy: 'Ada' }]);
  });

  it('[ALERT-4] that gets more severe is told at once, and is not acknowledged any more', () => {
    const { alerts, of, take } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    const [{ id } = { id: '' }] = alerts.active();
    alerts.acknowledge(id, 'Ada');
    alerts.raise(hang({ severity: 'critical', message: 'worse' }));
    alerts.raise(hang({ severity: 'info' }));
    alerts.raise(hang({ severity: 'critical' }));
    expect(take()).toEqual(['alert:raised', 'alert:acknowledged', 'alert:repeated']);
    expect(of('alert:repeated')).toMatchObject([{ id, reason: 'worsened', severity: 'critical', message: 'worse' }]);
    expect(alerts.active()).toMatchObject([
      { id, state: 'firing', acknowledgedBy: undefined, severity: 'critical', count: 4 },
    ]);
  });

  it('[ALERT-4] stands before those that are less severe or younger', () => {
    const { alerts, clock } = setUpAlerts({ for: 0 });
    for (const [name, severity] of [
      ['a', 'info'],
      ['b', 'warning'],
      ['c', 'critical'],
      ['d', 'warning'],
    ] as const) {
      alerts.raise(hang({ subject: { name }, severity }));
      clock.advance(1_000);
    }
    expect(alerts.active().map(({ subject }) => subject.name)).toEqual(['c', 'b', 'd', 'a']);
  });

  it('[ALERT-4] can be acknowledged by the listener that hears of it', () => {
    const { alerts, take } = setUpAlerts({ for: 0 });
    alerts.on('alert:raised', ({ id }) => void alerts.acknowledge(id, 'the bot'));
    alerts.raise(hang());
    expect(take()).toEqual(['alert:raised', 'alert:acknowledged']);
    expect(alerts.active()).toMatchObject([{ acknowledgedBy: 'the bot' }]);
  });
});

describe('an alert of the whole pool', () => {
  it('[ALERT-3] keeps those of its servers silent that are not more severe, as long as its condition holds', () => {
    const { alerts, clock, of, take } = setUpAlerts();
    alerts.raise(hang());
    alerts.raise(hang({ subject: { name: 'memory' }, severity: 'critical' }));
    alerts.raise(poolWide({ severity: 'warning' }));
    clock.advance(HOLD);
    expect(of('alert:raised').map(({ kind, subject }) => [kind, subject.name])).toEqual([
      ['stuck', 'memory'],
      ['explosion', undefined],
    ]);
    clock.advance(HOLD);
    alerts.resolve({ kind: 'explosion' });
    expect(of('alert:raised').at(-1)).toMatchObject({ kind: 'stuck', subject: { name: 'files' }, inhibited: false });
    take();
    clock.advance(QUIET);
    expect(take()).toEqual(['alert:resolved']);
  });

  it('[ALERT-3] silences alerts that were there before it: they are neither repeated nor escalated', async () => {
    const told: string[] = [];
    const notify = ({ tier, reason, alert: { kind } }: AlertNotification) => told.push(`${tier} ${reason} ${kind}`);
    const tiers = [0, 900_000].map((after) => ({ after, notify }));
    const { alerts, clock, of } = setUpAlerts({ tiers });
    alerts.raise(hang());
    await clock.advanceAndFlush(HOLD);
    alerts.raise(poolWide());
    await clock.advanceAndFlush(HOLD + REPEAT);
    expect(told.splice(0)).toEqual([
      '1 raised stuck',
      '1 raised explosion',
      '2 escalated explosion',
      '1 repeated explosion',
      '2 repeated explosion',
    ]);
    expect(of('alert:repeated').map(({ kind }) => kind)).toEqual(['explosion']);
    expect(alerts.active()).toMatchObject([{ kind: 'explosion' }, { kind: 'stuck', inhibited: true, holds: true }]);
    alerts.resolve({ kind: 'explosion' });
    expect(told).toContain('2 escalated stuck');
    expect(of('alert:repeated').at(-1)).toMatchObject({ kind: 'stuck' });
  });

  it('[ALERT-3] does not when its condition ends before it is an alert, nor one of a part, nor with inhibit: false', () => {
    const { alerts, clock, of } = setUpAlerts();
    alerts.raise(hang());
    alerts.raise(poolWide({ lasts: HOLD - 1 }));
    clock.advance(HOLD);
    expect(of('alert:raised').map(({ kind }) => kind)).toEqual(['stuck']);
    alerts.raise(poolWide({ subject: { part: '/var/log' } }));
    alerts.raise(hang({ subject: { name: 'memory' } }));
    clock.advance(HOLD);
    expect(of('alert:raised')).toHaveLength(3);
    const free = setUpAlerts({ inhibit: false, for: 0 });
    free.alerts.raise(poolWide());
    free.alerts.raise(hang());
    expect(free.of('alert:raised')).toHaveLength(2);
  });
});

describe('an alert manager', () => {
  it('[ALERT-7] keeps 500 conditions: what is more is counted, and said once a minute', () => {
    const { alerts, clock, of } = setUpAlerts({ for: 0 });
    for (let index = 0; index < 10_000; index++) {
      alerts.raise(hang({ subject: { name: `server-${index}` } }));
      clock.advance(6);
    }
    expect(of('alert:raised')).toHaveLength(500);
    expect(alerts.active()).toHaveLength(500);
    expect(alerts.toJSON()).toEqual({ active: 500, pending: 0, dropped: 9_500 });
    expect(of('alert:dropped')).toMatchObject([{ kind: 'stuck', subject: { name: 'server-500' }, dropped: 1 }]);
    expect(of('alert:resolved')).toEqual([]);
  });

  it('[ALERT-7] gives the place of the oldest of the least severe to one that is more severe, and says so', () => {
    const { alerts, clock, of } = setUpAlerts();
    for (let index = 0; index < 500; index++) {
      alerts.raise(hang({ subject: { name: `server-${index}` }, severity: index < 2 ? 'warning' : 'info' }));
    }
    clock.advance(HOLD);
    alerts.raise(hang({ subject: { name: 'worse' }, severity: 'critical' }));
    expect(of('alert:resolved')).toMatchObject([{ reason: 'displaced', subject: { name: 'server-2' } }]);
    clock.advance(HOLD);
    expect(alerts.active()[0]).toMatchObject({ subject: { name: 'worse' } });
    expect(alerts.active()).toHaveLength(500);
  });

  it('[ALERT-7] keeps the sources that have reported last', () => {
    const { alerts } = setUpAlerts({ for: 0 });
    for (let index = 0; index < 5_000; index++) alerts.raise(hang({ source: `mcp-${index}` }));
    expect(alerts.active()).toMatchObject([{ count: 5_000, holds: true }]);
    expect(alerts.active()[0]?.sources).toHaveLength(10);
    for (let index = 4_000; index < 5_000; index++) {
      alerts.resolve({ kind: 'stuck', subject: { name: 'files' }, source: `mcp-${index}` });
    }
    expect(alerts.active()).toMatchObject([{ holds: false, sources: [] }]);
  });

  it('[ALERT-7] quotes at most 1,000 characters of a text, and shows what is none as codes', () => {
    const { alerts } = setUpAlerts({ for: 0 });
    alerts.raise(hang({ message: `\u001b[31m\0${'x'.repeat(100_000)}`, action: 'a\nb' }));
    const [{ message, action } = { message: '', action: '' }] = alerts.active();
    expect(message.length).toBeLessThan(1_020);
    expect([message.startsWith('\\u001b[31m\\u0000xxx'), action]).toEqual([true, 'a\\u000ab']);
  });

  it('[ALERT-10] has one timer, only while something is pending or active, that keeps no host alive', () => {
    const { alerts, clock } = setUpAlerts();
    expect(clock.pending).toBe(0);
    for (const name of ['a', 'b', 'c']) alerts.raise(hang({ subject: { name } }));
    expect([clock.pending, clock.holding]).toEqual([1, 0]);
    clock.advance(REPEAT);
    expect([clock.pending, clock.holding]).toEqual([1, 0]);
    for (const name of ['a', 'b', 'c']) alerts.resolve({ kind: 'stuck', subject: { name } });
    clock.advance(REPEAT);
    expect(clock.pending).toBe(0);
  });

  it('[ALERT-10] that is not enabled, or closed, does nothing', () => {
    const off = setUpAlerts({ enabled: false, for: 0 });
    off.alerts.raise(hang());
    expect([off.take(), off.clock.pending, off.alerts.active()]).toEqual([[], 0, []]);
    const { alerts, clock, of, take } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    alerts.close();
    alerts.close();
    alerts.raise(hang());
    expect(take()).toEqual(['alert:raised', 'alert:resolved']);
    expect(of('alert:resolved')).toMatchObject([{ reason: 'closed' }]);
    expect([alerts.active(), clock.pending]).toEqual([[], 0]);
  });

  it('[ALERT-10] works with the clock of the system', () => {
    const alerts = new AlertManager({ for: 0 });
    alerts.raise(hang());
    expect(alerts.active()).toHaveLength(1);
    alerts.close();
  });

  it('[SHOW-1] shows counts', () => {
    const { alerts } = setUpAlerts({ for: 0 });
    alerts.raise(hang());
    expect(inspect(alerts)).toBe('AlertManager { active: 1, pending: 0, dropped: 0 }');
    expect(JSON.parse(JSON.stringify(alerts.active()))).toMatchObject([{ kind: 'stuck', tier: 0 }]);
  });

  it.each([
    [{}, /kind must be one of/],
    [hang({ kind: 'fire' as never }), /kind must be one of 'process-limit',/],
    [hang({ severity: 'fatal' as never }), /severity must be one of 'info', 'warning', 'critical', got 'fatal'/],
    [hang({ message: ' ' }), /message must be a string that is not empty/],
    [hang({ subject: 'files' as never }), /subject must be an object, got a string/],
    [hang({ subject: { server: 'files' } as never }), /subject\.server is not a known option/],
    [hang({ lasts: 0 }), /lasts must be a finite number of milliseconds above 0/],
    [hang({ data: { text: 'x'.repeat(5_000) } }), /data must be an object that takes at most 4096 characters as JSON/],
    [hang({ data: { big: 1n as never } }), /data must be an object of strings, .*; the entry 'big' is a bigint/],
    [hang({ data: { toJSON: (() => 'x') as never } }), /data must be .*; the entry 'toJSON' is a function/],
    [hang({ data: { deep: { er: 1 } as never } }), /data must be .*; the entry 'deep' is an object/],
  ])('[OPT-1] refuses %o', (given, message) => {
    const { alerts, take } = setUpAlerts({ for: 0 });
    expect(() => alerts.raise(given as never)).toThrow(message);
    expect(take()).toEqual([]);
  });

  it('[OPT-1] refuses an acknowledgement without a person, and a condition without a kind', () => {
    const { alerts } = setUpAlerts();
    expect(() => alerts.acknowledge('alert-1', '')).toThrow(/by must be a string that is not empty/);
    expect(() => alerts.acknowledge('alert-1', 'x'.repeat(101))).toThrow(
      /by must be a string of at most 100 characters/,
    );
    expect(() => alerts.acknowledge(undefined as never, 'Ada')).toThrow(/id must be a string/);
    expect(() => alerts.resolve({} as never)).toThrow(/kind must be one of/);
  });
});
