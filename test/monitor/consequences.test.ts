import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/monitor/assessment.js';
import { Consequences } from '../../src/monitor/consequences.js';
import type { EndAll, GateState, HostCall, TreeAction } from '../../src/monitor/finding.js';
import type { ActionTask, Enforcer } from '../../src/monitor/monitored-host.js';
import { flush } from '../helpers/until.js';

const reached = { level: 'emergency', measured: 150, threshold: 100, by: 'processes' } as const;
const OPEN: GateState = {
  shortage: undefined,
  overload: undefined,
  holdsSpares: false,
  restingSpares: new Map(),
};
const end = (id: string): TreeAction => {
  const why = { reason: 'too many', kind: 'level', value: 150, limit: 100, reached } as const;
  return { action: 'end-growing', id, name: `of ${id}`, ...why, isUrgent: true };
};
const all: EndAll = { action: 'end-all', ids: ['a', 'b'], reason: 'too many', reached };
const call: HostCall = { action: 'call-host', reason: 'too many', reached: { ...reached, names: ['x'] } };
const outcomeOf = (given: Partial<Outcome> = {}): Outcome => ({
  sample: { at: 0, host: { at: 0 }, trees: [], totals: { processes: 0, unexpected: 0, memoryMB: 0, cpuPercent: 0 } },
  ...{
    counted: [],
    notices: [],
    treeActions: [],
    poolActions: [],
    gate: OPEN,
    isUnknown: false,
    ...given,
  },
});

/** An enforcer that writes down what it does; trees of `gone` are not there any more. */
function connected({
  dryRun = false,
  gone = [] as string[],
  isActive = true,
  onEmergency = undefined as unknown,
} = {}) {
  const log: unknown[] = [];
  const refusals: string[] = [];
  const task = (what: string): ActionTask => ({ phase: 'ending', run: () => void log.push(`does ${what}`) });
  const enforcer: Enforcer = {
    isActive,
    run: (operation) => operation(),
    taskOf: (action) => {
      if ('ids' in action) return task(action.action);
      return gone.includes(action.id) ? undefined : task(`${action.action} ${action.id}`);
    },
    setGate: ({ overload, shortage }) => void log.push(`gate ${overload ? 'refuses' : shortage ? 'holds' : 'opens'}`),
  };
  const consequences = new Consequences(
    { dryRun, onEmergency: onEmergency as (() => void) | undefined },
    undefined,
    (event, payload) => {
      const { action, reason } = payload as { action?: string; reason: string };
      if (action === 'refuse-starts') refusals.push(reason);
      if (event === 'action:taken') log.push(`says ${(payload as { action: string }).action}`);
      else if (event !== 'sample:taken') log.push([event, payload]);
    },
    (action, phase) => void log.push(`${'ids' in action ? action.ids : action.id}: ${phase}`),
  );
  return { consequences, connect: () => consequences.connect(enforcer), log, refusals };
}

describe('Consequences', () => {
  it('[CONSEQ-1] says what it does, in order, and nothing of what cannot be done any more', () => {
    const { consequences, connect, log } = connected({ gone: ['b'], onEmergency: () => log.push('calls') });
    connect();
    const gate = { ...OPEN, overload: reached };
    consequences.follow(outcomeOf({ gate, treeActions: [end('a'), end('b')], poolActions: [all, call] }));
    expect(log).toEqual([
      ...[
        'says refuse-starts',
        'gate refuses',
        'says end-growing',
        'does end-growing a',
        'a: ending',
        'says end-all',
        'does end-all',
        'a,b: ending',
      ],
      ...['says call-host', 'calls'],
    ]);
    expect(consequences.counts.actions).toBe(4);
  });

  it('[CONSEQ-1] with dryRun says the same, and does nothing', () => {
    const { consequences, connect, log } = connected({
      dryRun: true,
      gone: ['b'],
      onEmergency: () => log.push('calls'),
    });
    connect();
    const gate = { ...OPEN, overload: reached };
    consequences.follow(outcomeOf({ gate, treeActions: [end('a'), end('b')], poolActions: [all, call] }));
    expect(log).toEqual([
      ...['says refuse-starts', 'says end-growing', 'a: ending'],
      ...['says end-all', 'a,b: ending', 'says call-host'],
    ]);
    expect(consequences.counts.actions).toBe(0);
  });

  it('[CONSEQ-2] while the pool is shut down only tells what a sample shows', () => {
    const { consequences, connect, log } = connected({ isActive: false, onEmergency: () => log.push('calls') });
    connect();
    const notice = ['limit:exceeded', { kind: 'memory', value: 2, limit: 1 }] as const;
    const gate = { ...OPEN, overload: reached };
    consequences.follow(outcomeOf({ notices: [notice], gate, treeActions: [end('a')], poolActions: [all, call] }));
    expect(log).toEqual([notice]);
    expect(consequences.counts).toEqual({ violations: 1, actions: 0 });
  });

  it('[CONSEQ-2] alone calls the host, and says of no tree that it was ended', () => {
    const { consequences, log } = connected({ onEmergency: () => log.push('calls') });
    const gate = { ...OPEN, overload: reached };
    consequences.follow(outcomeOf({ gate, treeActions: [end('a')], poolActions: [all, call] }));
    expect(log).toEqual(['says call-host', 'calls']);
  });

  it('[CONSEQ-3] says once that starts wait, each higher level that refuses them, and that they are free; openGate() frees them', () => {
    const { consequences, connect, log } = connected();
    connect();
    const shortage = { memoryMB: 10, limitMB: 10 };
    const states: GateState[] = [
      { ...OPEN, shortage },
      { ...OPEN, shortage },
      { ...OPEN, shortage, overload: reached },
      { ...OPEN, shortage, overload: { ...reached, measured: 200 } },
      { ...OPEN, shortage, overload: { ...reached, level: 'nuclear' } },
      OPEN,
      { ...OPEN, shortage },
    ];
    for (const gate of states) consequences.follow(outcomeOf({ gate }));
    consequences.openGate('it was stopped');
    expect(log.filter((line) => String(line).startsWith('says'))).toEqual([
      ...['says hold-starts', 'says refuse-starts', 'says free-starts', 'says hold-starts'],
      'says free-starts',
    ]);
    expect(log.at(-1)).toBe('gate opens');
  });

  it('[CONSEQ-3] says each rise of the level that refuses starts, and no fall; why, also when it only cools down', () => {
    const { consequences, connect, refusals } = connected();
    connect();
    const at = (level: 'critical' | 'nuclear' | 'emergency', cooldownLeft?: number): GateState => ({
      ...OPEN,
      overload: { ...reached, level, ...(cooldownLeft !== undefined && { measured: 0, cooldownLeft }) },
    });
    const states = [at('critical'), at('emergency'), at('emergency', 9), at('critical', 9), at('nuclear'), OPEN];
    for (const gate of [...states, at('critical', 9)]) consequences.follow(outcomeOf({ gate }));
    expect(refusals).toEqual([
      '150 unexpected processes, where level critical begins at 100',
      '150 unexpected processes, where level emergency begins at 100',
      '150 unexpected processes, where level nuclear begins at 100',
      '0 unexpected processes, where level critical begins at 100: it is not over before its cooldown',
    ]);
  });

  it('[CONSEQ-4] reports what onEmergency throws or rejects with', async () => {
    const error = new Error('no container');
    for (const onEmergency of [
      () => {
        throw error;
      },
      async () => {
        throw error;
      },
      // A promise of another realm.
      () => runInNewContext('(error) => Promise.reject(error)')(error),
    ]) {
      const { consequences, log } = connected({ onEmergency });
      consequences.follow(outcomeOf({ poolActions: [call] }));
      await flush();
      expect(log).toEqual(['says call-host', ['listener:error', { event: 'onEmergency', error }]]);
    }
  });
});
