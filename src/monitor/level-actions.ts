import type { Level } from './level.js';
import type { ChoiceReason } from './victims.js';

/**
 * What a level does.
 *
 * - `report`: tells the host (`level:changed`).
 * - `sample-faster`: measures more often while the level lasts.
 * - `end-idle`: ends trees that no lease uses.
 * - `refuse-starts`: refuses calls that need a start, while the level lasts.
 * - `end-growing`: ends the trees that grow fastest.
 * - `end-excess`: ends the trees that have more processes than expected.
 * - `end-all`: ends every tree.
 * - `on-emergency`: calls the host back, for example to restart the container.
 */
export const LEVEL_ACTIONS = [
  'report',
  'sample-faster',
  'end-idle',
  'refuse-starts',
  'end-growing',
  'end-excess',
  'end-all',
  'on-emergency',
] as const;

/** What a level does. */
export type LevelAction = (typeof LEVEL_ACTIONS)[number];

/** The actions of each level, in the order in which they are taken. `enforced`: where the host has set `enforce`. */
export const ACTIONS: Readonly<Record<Level, Readonly<Record<'usual' | 'enforced', readonly LevelAction[]>>>> = {
  normal: { usual: [], enforced: [] },
  warning: {
    usual: ['report', 'sample-faster'],
    enforced: ['report', 'sample-faster'],
  },
  critical: {
    usual: ['report', 'sample-faster', 'end-idle'],
    enforced: ['report', 'sample-faster', 'refuse-starts', 'end-idle', 'end-growing'],
  },
  nuclear: {
    usual: ['report', 'sample-faster', 'end-idle'],
    enforced: ['report', 'sample-faster', 'refuse-starts', 'end-idle', 'end-excess'],
  },
  emergency: {
    usual: ['report', 'sample-faster', 'end-idle', 'on-emergency'],
    // The trees end first: the host may restart the container in the callback.
    enforced: ['report', 'sample-faster', 'refuse-starts', 'end-all', 'on-emergency'],
  },
};

/**
 * How often an action is taken while a level lasts: `once` when it is entered, at each sample `again` if there is something
 * to end, or all the time (`while`).
 */
export const ACTION_TIMES: Readonly<Record<LevelAction, 'once' | 'again' | 'while'>> = {
  report: 'once',
  'sample-faster': 'while',
  'end-idle': 'again',
  'refuse-starts': 'while',
  'end-growing': 'again',
  'end-excess': 'again',
  'end-all': 'again',
  'on-emergency': 'once',
};

/** Which trees an action ends: the reason for `victims()`. */
export const ACTION_VICTIMS: Partial<Readonly<Record<LevelAction, ChoiceReason>>> = {
  'end-idle': 'memory',
  'end-growing': 'growth',
  'end-excess': 'excess',
  'end-all': 'all',
};

/** The host's decisions about actions. */
export interface ActionSettings {
  /** Whether levels act against trees with leases, and refuse starts. Default: false. */
  readonly enforce?: boolean;
  /** Lists that replace those of {@link ACTIONS}, as they are. */
  readonly actions?: Partial<Readonly<Record<Level, readonly LevelAction[]>>>;
}

/** What is done at a level, in order, each once. */
export function actionsOf(level: Level, { enforce = false, actions }: ActionSettings = {}): readonly LevelAction[] {
  return [...new Set(actions?.[level] ?? ACTIONS[level][enforce ? 'enforced' : 'usual'])];
}
