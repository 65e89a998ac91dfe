import { describe, expect, it } from 'vitest';
import type { AlertNotification } from '../../../src/index.js';
import { hang, setUpAlerts } from '../../helpers/alerts.js';
import { flush } from '../../helpers/until.js';

const HOUR = 3_600_000;

interface Call {
  readonly notification: AlertNotification;
  readonly signal: AbortSignal;
  /** Clock time since the beginning, ms. */
  readonly at: number;
  readonly answer: (error?: Error) => void;
}

/**
 * An alert manager with one tier.
 * @param behave what `notify` does: returns, throws, or rejects. `hang`: it does not answer before `answer()` is called
 */
function setUp(behave: (call: number, notification: AlertNotification) => unknown = () => 'hang') {
  const calls: Call[] = [];
  const notify = (notification: AlertNotification, signal: AbortSignal): unknown => {
    let answer: Call['answer'] = () => {};
    const answered = new Promise<void>((resolve, reject) => {
      answer = (error) => (error ? reject(error) : resolve());
    });
    calls.push({ notification, signal, at: all.clock.now() - begun, answer });
    const result = behave(calls.length, notification);
    return result === 'hang' ? answered : result;
  };
  const all = setUpAlerts({ for: 0, repeatInterval: Infinity, tiers: [{ after: 0, notify }] });
  const begun = all.clock.now();
  const reasons = () => calls.map(({ notification }) => notification.reason);
  return { ...all, calls, reasons };
}

function fail(error: unknown): never {
  throw error;
}

/** No promise of this realm, or of this class. */
const thenable = Object.fromEntries([
  ['then', (_: unknown, reject: (error: Error) => void) => reject(new Error('HTTP 500'))],
]);

describe('notify', () => {
  it('[ALERT-6] gets what a tier must know, and a signal', async () => {
    const { alerts, calls } = setUp();
    alerts.raise(hang({ message: 'a request hangs', data: { age: 7 } }));
    expect(calls).toMatchObject([
      {
        notification: {
          ...{ reason: 'raised', tier: 1, suppressed: 0 },
          alert: { kind: 'stuck', message: 'a request hangs', data: { age: 7 }, state: 'firing' },
        },
        signal: { aborted: false },
      },
    ]);
    calls[0]?.answer();
    await flush();
    expect(alerts.active()).toMatchObject([{ undelivered: [] }]);
  });

  it.each([
    ['throws', () => fail(new Error('HTTP 500'))],
    ['rejects', () => Promise.reject(new Error('HTTP 500'))],
    ['returns a thenable that rejects', () => thenable],
  ])('[ALERT-6] that %s is reported once, shown, and called again after pauses that double', async (_how, behave) => {
    const { alerts, clock, calls, of } = setUp((call) => (call < 4 ? behave() : undefined));
    alerts.raise(hang());
    await flush();
    expect(of('listener:error')).toEqual([{ event: 'alerts.tiers[0].notify', error: new Error('HTTP 500') }]);
    expect(alerts.active()).toMatchObject([{ undelivered: [{ tier: 1, attempts: 1, error: 'HTTP 500' }] }]);
    await clock.advanceAndFlush(5_000 + 10_000 + 20_000);
    expect(calls.map(({ at }) => at)).toEqual([0, 5_000, 15_000, 35_000]);
    expect(alerts.active()).toMatchObject([{ undelivered: [] }]);
    expect(of('listener:error')).toHaveLength(1);
    await clock.advanceAndFlush(HOUR);
    expect(calls).toHaveLength(4);
  });

  it('[ALERT-6] that hangs is given up after 30 s, its signal is aborted, and it is called again', async () => {
    const { alerts, clock, calls, of } = setUp((call) => (call === 1 ? 'hang' : undefined));
    alerts.raise(hang());
    await clock.advanceAndFlush(29_999);
    expect([calls[0]?.signal.aborted, of('listener:error')]).toEqual([false, []]);
    await clock.advanceAndFlush(1);
    expect(calls[0]?.signal.aborted).toBe(true);
    const error = 'notify has not answered within 30000 ms';
    expect(of('listener:error')).toMatchObject([{ error: { message: error } }]);
    expect(alerts.active()).toMatchObject([{ undelivered: [{ tier: 1, attempts: 1, error }] }]);
    await clock.advanceAndFlush(5_000);
    expect(calls).toHaveLength(2);
    expect(alerts.active()).toMatchObject([{ undelivered: [] }]);
    // Too late: it counts for nothing.
    calls[0]?.answer(new Error('late'));
    await flush();
    expect(of('listener:error')).toHaveLength(1);
    expect(alerts.active()).toMatchObject([{ undelivered: [] }]);
  });

  it('[ALERT-6] learns everything about an alert, in order, also when that is over meanwhile', async () => {
    const { alerts, clock, reasons } = setUp((call) => (call < 4 ? fail(new Error('down')) : undefined));
    alerts.raise(hang());
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    await clock.advanceAndFlush(HOUR);
    expect(reasons()).toEqual(['raised', 'raised', 'raised', 'raised', 'resolved']);
  });

  it('[ALERT-6] that fails for one alert holds up no other, and no other tier', async () => {
    const told: string[] = [];
    const { alerts, clock } = setUpAlerts({
      ...{ for: 0, repeatInterval: Infinity },
      tiers: [
        { after: 0, notify: ({ alert }) => (alert.subject.name === 'bad' ? fail(new Error('bad')) : told.push('1')) },
        { after: 0, notify: ({ alert }) => told.push(`2 ${alert.subject.name}`) },
      ],
    });
    for (const name of ['bad', 'good']) alerts.raise(hang({ subject: { name } }));
    await clock.advanceAndFlush(1_000);
    expect(told).toEqual(['2 bad', '1', '2 good']);
  });

  it('[ALERT-6] is given up after 50 calls, and that is reported', async () => {
    const { alerts, clock, calls, of } = setUp(() => fail(new Error('down')));
    alerts.raise(hang());
    await clock.advanceAndFlush(24 * HOUR);
    expect(calls).toHaveLength(50);
    expect(of('listener:error').map(({ error }) => (error as Error).message)).toEqual([
      'down',
      expect.stringMatching(/^it was not told that alert-\S+ \(stuck\) was raised: 50 calls have failed, .* down$/),
    ]);
    expect(alerts.active()).toMatchObject([{ undelivered: [] }]);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    await clock.advanceAndFlush(60_000);
    expect(calls.at(-1)?.notification.reason).toBe('resolved');
  });

  it('[ALERT-6] is reported again when it fails after it has worked', async () => {
    const { alerts, clock, of } = setUp((call) => (call === 2 ? undefined : fail(new Error(`down ${call}`))));
    alerts.raise(hang());
    await clock.advanceAndFlush(5_000);
    alerts.raise(hang({ subject: { name: 'memory' } }));
    await flush();
    expect(of('listener:error').map(({ error }) => (error as Error).message)).toEqual(['down 1', 'down 3']);
  });

  it('[ALERT-7] is called five times at once, and what hangs holds up the others for 30 s', async () => {
    const { alerts, clock, calls } = setUp((_call, { alert }) => (alert.count > 0 ? 'hang' : undefined));
    for (let index = 0; index < 12; index++) alerts.raise(hang({ subject: { name: `server-${index}` } }));
    expect(calls).toHaveLength(5);
    calls[0]?.answer();
    await flush();
    expect(calls).toHaveLength(6);
    await clock.advanceAndFlush(30_000);
    expect(new Set(calls.map(({ notification }) => notification.alert.subject.name)).size).toBe(11);
  });

  it('[ALERT-7] tells of repetitions that it could not tell only the last, with the counts of all', async () => {
    const told: [string, number][] = [];
    let isDown = true;
    const { alerts, clock } = setUpAlerts({
      ...{ for: 0, repeatInterval: 60_000 },
      tiers: [
        {
          after: 0,
          notify: ({ reason, suppressed }) => (isDown ? fail(new Error('down')) : told.push([reason, suppressed])),
        },
      ],
    });
    alerts.raise(hang());
    for (let minute = 0; minute < 30; minute++) {
      alerts.raise(hang());
      await clock.advanceAndFlush(60_000);
    }
    isDown = false;
    await clock.advanceAndFlush(600_000);
    expect(told.slice(0, 2)).toEqual([
      ['raised', 0],
      ['repeated', expect.any(Number)],
    ]);
    const repeated = told.filter(([reason]) => reason === 'repeated').map(([, suppressed]) => suppressed);
    expect(repeated.reduce((sum, count) => sum + count, 0)).toBe(30);
    expect(repeated.length).toBeLessThan(20);
  });

  it('[ALERT-6] is called once more for what it does not know when the manager is closed, without a timer', async () => {
    const { alerts, clock, reasons } = setUp((call) => (call === 1 ? fail(new Error('down')) : undefined));
    for (let index = 0; index < 12; index++) alerts.raise(hang({ subject: { name: `server-${index}` } }));
    await flush();
    alerts.close();
    expect(clock.pending).toBe(0);
    await flush(30);
    expect(reasons().filter((reason) => reason === 'closed')).toHaveLength(12);
    expect(reasons().filter((reason) => reason === 'raised')).toHaveLength(13);
  });

  it.each([
    [
      'a webhook',
      new TypeError('Failed to parse URL from https://hooks.example.com/services/T0/secret?x=secret'),
      'from https://hooks.example.com/…',
    ],
    [
      'a password',
      new Error('connect smtp://bot:secret@mail.example.com:465 refused'),
      'smtp://mail.example.com:465/… refused',
    ],
    ['a string', 'a string', 'a string'],
    ['nothing', undefined, 'undefined'],
    ['no message', new Error(''), 'an error without a message'],
    ['an object without a prototype', Object.create(null), 'an error that cannot be read'],
    ['a long message', new Error(`\u001b[2J${'x'.repeat(100_000)}`), '\\u001b[2Jxxx'],
  ])('[ALERT-12] shows of an error no secret of an address: %s', async (_what, error, shown) => {
    const { alerts } = setUp(() => fail(error));
    alerts.raise(hang());
    await flush();
    const text = alerts.active()[0]?.undelivered[0]?.error ?? '';
    expect(text).toContain(shown);
    expect(text).not.toContain('secret');
    expect(text.length).toBeLessThan(320);
  });

  it('[ALERT-6] that hangs is told each alert once the manager is closed, since nothing waits for it any more', async () => {
    const told = new Set<unknown>();
    const notify = ({ alert }: { alert: { subject: { name?: string | undefined } } }) => {
      told.add(alert.subject.name);
      return new Promise(() => {});
    };
    const { alerts, of } = setUpAlerts({ for: 0, tiers: [{ after: 0, notify }] });
    for (let index = 0; index < 12; index++) alerts.raise(hang({ subject: { name: `server-${index}` } }));
    alerts.close();
    await flush(30);
    const lost = of('listener:error').length;
    expect(told.size + lost).toBeGreaterThanOrEqual(12);
  });

  it('[ALERT-6] that fails once the manager is closed is reported', async () => {
    const { alerts, of } = setUpAlerts({
      ...{ for: 0 },
      tiers: [{ after: 0, notify: () => Promise.reject(new Error('down')) }],
    });
    for (let index = 0; index < 3; index++) alerts.raise(hang({ subject: { name: `server-${index}` } }));
    await flush();
    alerts.close();
    await flush(30);
    const messages = of('listener:error').map(({ error }) => (error as Error).message);
    expect(messages.filter((message) => message.startsWith('it was not told'))).not.toEqual([]);
  });
});
