import type { LevelAction } from '../config/monitoring-options.js';
import type { Level } from './level.js';
import type { ChoiceReason } from './victims.js';

/** How a level carries out an action. */
export interface ActionRule {
  /**
   * `once`: when the level is entered. `again`: then, and at each sample while the level lasts, for what is to be ended then.
   * `while`: it holds as long as the level.
   */
  readonly taken: 'once' | 'again' | 'while';
  /** Which trees it ends: the reason for `victims()`. */
  readonly ends?: ChoiceReason;
}

/** The actions of levels, in the order in which they are taken. Which level has which is decided in `config/`. */
export const ACTIONS: Readonly<Record<LevelAction, ActionRule>> = {
  // First, so that nothing starts in place of what is ended.
  'refuse-starts': { taken: 'while' },
  'end-idle': { taken: 'again', ends: 'memory' },
  'end-growing': { taken: 'again', ends: 'growth' },
  'end-unexpected': { taken: 'again', ends: 'excess' },
  'end-all': { taken: 'again', ends: 'all' },
  // Last: the host may end itself in it.
  'call-host': { taken: 'once' },
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
