import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LevelAction } from '../../src/config/monitoring-options.js';
import { readMonitoring } from '../../src/config/resolve-monitoring.js';
import { LEVELS, type Level } from '../../src/monitor/level.js';
import { ACTIONS, actionsOf } from '../../src/monitor/level-actions.js';

const ALL = Object.keys(ACTIONS) as LevelAction[];

/** `monitoring.levels.actions` of a host that sets this. */
function listsOf(levels: object) {
  const problems = { wrong: [], unsupported: [] };
  const { actions } = readMonitoring({ levels, onEmergency() {} }, problems).levels;
  expect(problems).toEqual({ wrong: [], unsupported: [] });
  return actions;
}

describe('actions of levels', () => {
  it.each<[Level, LevelAction[], LevelAction[]]>([
    ['normal', [], []],
    ['warning', [], []],
    ['critical', ['end-idle'], ['refuse-starts', 'end-idle', 'end-growing']],
    ['nuclear', ['end-idle'], ['refuse-starts', 'end-idle', 'end-unexpected']],
    ['emergency', ['end-idle', 'call-host'], ['refuse-starts', 'end-all', 'call-host']],
  ])('[LEVEL-5] at %s: %j, enforced %j', (level, usual, enforced) => {
    expect(actionsOf(level, listsOf({}))).toEqual(usual);
    expect(actionsOf(level, listsOf({ enforce: true }))).toEqual(enforced);
  });

  it('[LEVEL-5] a list of the host is what is done, each action once: no start first, the host last', () => {
    const lists = fc.array(fc.constantFrom(...ALL));
    fc.assert(
      fc.property(fc.constantFrom(...LEVELS.slice(1)), lists, fc.boolean(), (level, list, enforce) => {
        const done = actionsOf(level, listsOf({ enforce, actions: { [level]: list } }));
        expect(new Set(done)).toEqual(new Set(list));
        expect(done).toHaveLength(new Set(list).size);
        if (done.includes('refuse-starts')) expect(done[0]).toBe('refuse-starts');
        if (done.includes('call-host')) expect(done.at(-1)).toBe('call-host');
      }),
    );
  });

  it('[LEVEL-5] those that end trees say which', () => {
    for (const [action, { ends }] of Object.entries(ACTIONS))
      expect(ends !== undefined).toBe(action.startsWith('end-'));
  });
});
