import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assess, type Health, mustRestart, type Signs } from '../../src/health/verdict.js';

const INTERVAL = 30_000;
const POLICY = { unhealthyAfter: 180_000 };
const NEW: Health = { status: undefined, since: 0, misses: 0, excused: 0, lastLife: 0, reason: '', action: '' };
const MISSED: Signs = {
  ...{ answer: 'missed', how: 'it did not answer', process: 'running', hasStoppedHelper: false, hasSpoken: false },
  ...{ isObserved: false, heardAt: undefined },
  ...{ moves: false, isOnNetwork: false, open: 0, wanted: 0, overload: undefined },
};
const ANSWERED: Signs = { ...MISSED, answer: 'answered', how: 'it has answered a ping', hasSpoken: true };
const IN_CALL = { open: 1, wanted: 1 };

/** What is known after these checks, one for each interval; and whether each asks for a restart. */
function checked(...signs: Signs[]) {
  let health = NEW;
  const steps = signs.map((found, index) => {
    const now = (index + 1) * INTERVAL;
    health = assess(health, found, POLICY, now);
    return { ...health, restarts: mustRestart(health, found, POLICY, now) };
  });
  return { steps, last: steps.at(-1)!, statuses: steps.map(({ status }) => status) };
}

const times = (count: number, signs: Signs) => Array.from({ length: count }, () => signs);

describe('the verdict', () => {
  it.each<[string, Signs, string]>([
    ['has answered', ANSWERED, 'healthy'],
    ['owes no answer', { ...MISSED, answer: 'quiet', how: 'it owes no answer' }, 'healthy'],
    ['has missed one check', MISSED, 'degraded'],
    ['is stopped', { ...MISSED, process: 'stopped' }, 'unhealthy'],
    ['is stopped, although it has answered a moment ago', { ...ANSWERED, process: 'stopped' }, 'unhealthy'],
    ['is gone', { ...MISSED, process: 'gone' }, 'unhealthy'],
    ['does not answer, and has a stopped helper', { ...MISSED, hasStoppedHelper: true }, 'unhealthy'],
    ['answers, and has a stopped helper', { ...ANSWERED, hasStoppedHelper: true }, 'healthy'],
    ['works on a call', { ...MISSED, ...IN_CALL, moves: true }, 'busy'],
    ['may wait for the network in a call', { ...MISSED, ...IN_CALL, isOnNetwork: true }, 'busy'],
    ['works on a call that was given up', { ...MISSED, open: 1, moves: true }, 'degraded'],
    ['works on what no client has asked for', { ...MISSED, moves: true }, 'busy'],
    ['is only observed, and silent', { ...MISSED, ...IN_CALL, isObserved: true }, 'degraded'],
    ['has a connection, and no call', { ...MISSED, isOnNetwork: true }, 'degraded'],
  ])('[HEALTH-1] of a server that %s', (_what, signs, status) => {
    const { last } = checked(signs);
    const restarts = status === 'unhealthy' && signs.process !== 'gone';
    expect(last).toMatchObject({ status, restarts });
    expect(last.reason).not.toBe('');
    if (status !== 'healthy') expect(last.action).not.toBe('');
  });

  it('[HEALTH-1] is unhealthy after three missed checks in a row, and healthy with the first answer', () => {
    const { statuses } = checked(...times(2, MISSED), ANSWERED, ...times(4, MISSED), ANSWERED);
    expect(statuses).toEqual([
      ...['degraded', 'degraded', 'healthy'],
      ...['degraded', 'degraded', 'unhealthy', 'unhealthy', 'healthy'],
    ]);
  });

  it('[HEALTH-4] asks for no restart while a client waits for a server that has lived within unhealthyAfter', () => {
    const stuck = { ...MISSED, ...IN_CALL };
    const { steps } = checked(ANSWERED, ...times(6, stuck));
    // The last sign of life was at the first check: 180 s are over with the seventh.
    expect(steps.map(({ restarts }) => restarts)).toEqual([false, false, false, false, false, false, true]);
    expect(steps[3]?.status).toBe('unhealthy');
  });

  it('[HEALTH-4] asks for a restart with the third miss when every open request was given up', () => {
    const { steps } = checked(ANSWERED, ...times(3, { ...MISSED, open: 2 }));
    expect(steps.map(({ restarts }) => restarts)).toEqual([false, false, false, true]);
    expect(steps.at(-1)?.reason).toContain('2 open requests, given up');
  });

  it('[HEALTH-3] does not count what is missed while the machine or the host has no time', () => {
    const late = { ...MISSED, overload: 'the machine is overloaded' };
    expect(checked(ANSWERED, ...times(30, late)).last).toMatchObject({ status: 'healthy', misses: 0, restarts: false });
    // A machine that is always busy must not hide for ever that a server hangs.
    expect(checked(ANSWERED, ...times(33, late)).statuses.slice(-3)).toEqual(['degraded', 'degraded', 'unhealthy']);
    expect(checked(ANSWERED, ...times(30, late), ANSWERED, ...times(30, late)).last.status).toBe('healthy');
    expect(checked(...times(5, late)).last).toMatchObject({ status: undefined });
    // What is stopped does not need time.
    expect(checked({ ...late, process: 'stopped' }).last.status).toBe('unhealthy');
  });

  it('[HEALTH-9] never restarts a server that is only observed for its silence, but one that is stopped', () => {
    const silent = { ...MISSED, ...IN_CALL, isObserved: true };
    expect(new Set(checked(...times(100, silent)).statuses)).toEqual(new Set(['degraded']));
    expect(checked(...times(9, silent), { ...silent, process: 'stopped' }).last).toMatchObject({ restarts: true });
  });

  it('[HEALTH-2] leaves a server alone for 30 checks that works on what no client has asked for, and no longer', () => {
    const works = { ...MISSED, moves: true };
    const { statuses, steps } = checked(...times(33, works));
    expect(new Set(statuses.slice(0, 30))).toEqual(new Set(['busy']));
    expect(steps.map(({ restarts }) => restarts).indexOf(true)).toBe(32);
  });

  const signs = fc.record<Signs>({
    answer: fc.constantFrom('answered', 'quiet', 'missed', 'missed', 'unknown'),
    how: fc.constant('so'),
    process: fc.constantFrom('running', 'running', 'running', 'running', 'stopped', 'gone'),
    hasStoppedHelper: fc.boolean(),
    hasSpoken: fc.boolean(),
    heardAt: fc.constantFrom(undefined, 0),
    isObserved: fc.constant(false),
    moves: fc.boolean(),
    isOnNetwork: fc.boolean(),
    open: fc.nat(3),
    wanted: fc.nat(3),
    overload: fc.constantFrom(undefined, undefined, 'overloaded'),
  });
  const trace = fc.array(signs, { minLength: 1, maxLength: 40 });

  it('[HEALTH-2] never restarts a server that works on a wanted call, whatever came before', () => {
    fc.assert(
      fc.property(trace, fc.integer({ min: 1, max: 40 }), fc.boolean(), (before, length, isOnNetwork) => {
        const working = { ...MISSED, ...IN_CALL, moves: !isOnNetwork, isOnNetwork };
        const { steps } = checked(...before, ...times(length, working));
        for (const { status, restarts } of steps.slice(before.length)) {
          expect(status).toBe('busy');
          expect(restarts).toBe(false);
        }
      }),
    );
  });

  it('[HEALTH-4] restarts only what is unhealthy, and while a client waits only without any life for unhealthyAfter', () => {
    fc.assert(
      fc.property(trace, (found) => {
        const { steps } = checked(...found);
        let lastLife = 0;
        for (const [index, { status, restarts, misses }] of steps.entries()) {
          const now = (index + 1) * INTERVAL;
          const { answer, heardAt, process, wanted, hasSpoken, moves, isOnNetwork } = found[index]!;
          const lives = process === 'running' && (answer !== 'missed' || hasSpoken || moves || isOnNetwork);
          if (answer === 'unknown') expect(restarts).toBe(false);
          if (restarts) {
            expect(status).toBe('unhealthy');
            if (wanted > 0) expect(now - lastLife).toBeGreaterThanOrEqual(POLICY.unhealthyAfter);
          }
          // At most as long as the server has certainly lived: each restart must be later than that.
          if (lives && answer !== 'missed') lastLife = Math.max(lastLife, heardAt ?? now);
          if (status === 'healthy' || status === 'busy') expect(misses).toBe(0);
        }
      }),
    );
  });

  it('[HEALTH-1] a server that never answers is restarted within unhealthyAfter and one interval, whatever came before', () => {
    fc.assert(
      fc.property(trace, fc.boolean(), (before, isWanted) => {
        const dead = { ...MISSED, ...(isWanted && IN_CALL) };
        const checks = POLICY.unhealthyAfter / INTERVAL + 1;
        const { steps } = checked(...before, ...times(checks, dead));
        expect(steps.slice(before.length).some(({ restarts }) => restarts)).toBe(true);
      }),
    );
  });

  it('[HEALTH-3] overload alone changes neither the status nor the count of misses, for 30 checks', () => {
    fc.assert(
      fc.property(trace, (before) => {
        const late = { ...MISSED, overload: 'overloaded' };
        const { steps } = checked(...before, late);
        const [last, after] = steps.slice(-2);
        if (before.length === 0 || last === undefined || after === undefined || last.excused >= 30) return;
        expect([after.status, after.misses]).toEqual([last.status, last.misses]);
      }),
    );
  });
});
