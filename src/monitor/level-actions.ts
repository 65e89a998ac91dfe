import type { LevelAction } from '../config/monitoring-options.js';
import type { Level } from './level.js';
import type { ChoiceReason } from './victims.js';

/** What an action of a level does with trees. */
export interface ActionRule {
  /** Which trees it ends: the reason for `victims()`. */
  readonly ends?: ChoiceReason;
  /** It goes by processes, and ends none at a level that memory has reached: the limit of all trees looks after that. */
  readonly isOfProcesses?: boolean;
  /** What is done in its place where a default limit has brought the level: that one only reports, and ends idle trees. */
  readonly byDefault: LevelAction | undefined;
}

/** The actions of levels, in the order in which they are taken. Which level has which is decided in `config/`. */
export const ACTIONS: Readonly<Record<LevelAction, ActionRule>> = {
  // First, so that nothing starts in place of what is ended. As long as the level lasts.
  'refuse-starts': { byDefault: undefined },
  // Those that end trees are taken at each sample at which the level is reached.
  'end-idle': { ends: 'memory', byDefault: 'end-idle' },
  'end-growing': { ends: 'growth', isOfProcesses: true, byDefault: undefined },
  'end-unexpected': { ends: 'unexpected', isOfProcesses: true, byDefault: undefined },
  'end-all': { ends: 'all', byDefault: 'end-idle' },
  // Last: the host may end itself in it. Once for each time that the level is entered.
  'call-host': { byDefault: 'call-host' },
};

const ORDER = Object.keys(ACTIONS) as readonly LevelAction[];

/**
 * What is done at a level, in order, each once.
 * @param lists `monitoring.levels.actions`
 * @param isByDefault whether a limit has brought it that the host has not set
 */
export function actionsOf(
  level: Level,
  lists: Readonly<Record<Exclude<Level, 'normal'>, readonly LevelAction[]>>,
  isByDefault = false,
): readonly LevelAction[] {
  if (level === 'normal') return [];
  const listed = isByDefault ? lists[level].map((action) => ACTIONS[action].byDefault) : lists[level];
  return ORDER.filter((action) => listed.includes(action));
}
