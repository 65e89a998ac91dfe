import type { LevelAction } from '../config/monitoring-options.js';
import type { Level } from './level.js';
import type { ChoiceReason } from './victims.js';

/** What an action of a level does with trees. */
export interface ActionRule {
  /** Which trees it ends: the reason for `victims()`. */
  readonly ends?: ChoiceReason;
  /** It goes by processes, and ends none at a level that memory has reached: the limit of all trees looks after that. */
  readonly isOfProcesses?: boolean;
}

/** The actions of levels, in the order in which they are taken. Which level has which is decided in `config/`. */
export const ACTIONS: Readonly<Record<LevelAction, ActionRule>> = {
  // First, so that nothing starts in place of what is ended. As long as the level lasts.
  'refuse-starts': {},
  // Those that end trees are taken at each sample at which the level is reached.
  'end-idle': { ends: 'memory' },
  'end-growing': { ends: 'growth', isOfProcesses: true },
  'end-unexpected': { ends: 'excess', isOfProcesses: true },
  'end-all': { ends: 'all' },
  // Last: the host may end itself in it. Once for each time that the level is entered.
  'call-host': {},
};

const ORDER = Object.keys(ACTIONS) as readonly LevelAction[];

/** What is done at a level, in order, each once. @param lists `monitoring.levels.actions` */
export function actionsOf(
  level: Level,
  lists: Readonly<Record<Exclude<Level, 'normal'>, readonly LevelAction[]>>,
): readonly LevelAction[] {
  if (level === 'normal') return [];
  return ORDER.filter((action) => lists[level].includes(action));
}
