import { LEVELS, type Level } from './level.js';
import { ObservedTime } from './observed-time.js';

/** A level that is not `normal`. */
export type RaisedLevel = Exclude<Level, 'normal'>;

/** What brings a level. */
export interface LevelThreshold {
  /** Processes beyond what is expected. */
  readonly processes: number;
  /** Memory of all trees, in percent of its limit. */
  readonly memoryPercent: number;
  /**
   * How long it must have been reached, ms. Above 0 it takes two samples, so that one moment is no alarm. The second comes
   * soon: see `sampleInterval()`.
   */
  readonly lasting: number;
}

/**
 * The levels, the lowest first. The numbers of processes are those of the incident of issue 11. There a level is entered when
 * its threshold was reached for `lasting`, whatever the level was before, and left when it was not for `cooldown`.
 */
export const LEVEL_THRESHOLDS: Readonly<Record<RaisedLevel, LevelThreshold>> = {
  warning: { processes: 15, memoryPercent: 75, lasting: 500 },
  critical: { processes: 30, memoryPercent: 90, lasting: 500 },
  nuclear: { processes: 50, memoryPercent: 150, lasting: 0 },
  emergency: { processes: 100, memoryPercent: 200, lasting: 0 },
};

/** What counts for the level at one moment. */
export interface LevelSample {
  /** Clock time, ms. */
  readonly at: number;
  /** Processes beyond what is expected: of all trees, of no living instance, and watched strays. */
  readonly unexpected: number;
  /** Unique memory of all trees, MB; undefined when it could not be measured. */
  readonly memoryMB?: number | undefined;
  /** The limit of that, MB. Undefined, or `Infinity`: memory brings no level. */
  readonly memoryLimitMB?: number | undefined;
}

/** A change of the level, and what brought it; when it falls, what is left of what had brought the level before. */
export interface LevelChange {
  readonly from: Level;
  readonly to: Level;
  /** Unexpected processes, or MB. */
  readonly measured: number;
  /** The threshold of `to`; when it falls, that of `from`. */
  readonly threshold: number;
  readonly by: 'processes' | 'memory';
}

/** What the levels are reached by, and how long they stay. */
export interface LevelSettings {
  /** Unexpected processes for each level, in place of those of {@link LEVEL_THRESHOLDS}. */
  readonly processes?: Partial<Readonly<Record<RaisedLevel, number>>>;
  /** How long a level must have been lower before it is left, ms. Default: 30,000. */
  readonly cooldown?: number;
}

/** Whether one level is reached, and since when that is so. */
interface Reached {
  readonly level: RaisedLevel;
  isReached: boolean;
  /** Observed time, ms. */
  since: number;
  /** What reached it last. */
  by: LevelChange['by'];
}

const RAISED = LEVELS.slice(1) as readonly RaisedLevel[];

/** The state machine of the levels: rises at once, to any level, and falls after a cooldown. It is fed samples. */
export class Levels {
  readonly #processes: Readonly<Record<RaisedLevel, number>>;
  readonly #cooldown: number;
  readonly #time: ObservedTime;
  /** The lowest level first. */
  readonly #reached: readonly Reached[];
  /** How many of `#reached` are at or below the current level. */
  #rank = 0;

  constructor({ processes, cooldown = 30_000 }: LevelSettings = {}) {
    this.#processes = {
      warning: processes?.warning ?? LEVEL_THRESHOLDS.warning.processes,
      critical: processes?.critical ?? LEVEL_THRESHOLDS.critical.processes,
      nuclear: processes?.nuclear ?? LEVEL_THRESHOLDS.nuclear.processes,
      emergency: processes?.emergency ?? LEVEL_THRESHOLDS.emergency.processes,
    };
    this.#cooldown = cooldown;
    this.#time = new ObservedTime(Math.max(cooldown / 2, 1000));
    this.#reached = RAISED.map((level) => ({ level, isReached: false, since: -Infinity, by: 'processes' }));
  }

  get level(): Level {
    return LEVELS[this.#rank] ?? 'normal';
  }

  /** Whether a higher level was reached by the last sample, and the next one decides whether it is entered. */
  get isRising(): boolean {
    return this.#reached.some(({ isReached }, index) => isReached && index >= this.#rank);
  }

  /** Takes a sample, and returns the change that it brings, if there is any. */
  update(sample: LevelSample): LevelChange | undefined {
    this.#time.advance(sample.at);
    for (const reached of this.#reached) this.#look(reached, sample);
    const from = this.#rank;
    this.#rank = this.#next();
    if (this.#rank === from) return undefined;
    // It rises to what is reached now; when it falls, what brought the old level tells why that is over.
    const told = this.#reached[Math.max(this.#rank, from) - 1] as Reached;
    const { level, by } = told;
    return {
      from: LEVELS[from] ?? 'normal',
      to: this.level,
      measured: (by === 'processes' ? sample.unexpected : sample.memoryMB) ?? 0,
      threshold: by === 'processes' ? this.#processes[level] : memoryThreshold(level, sample),
      by,
    };
  }

  #look(reached: Reached, sample: LevelSample): void {
    const { level } = reached;
    const byProcesses = sample.unexpected >= this.#processes[level];
    const isReached = byProcesses || (sample.memoryMB ?? 0) >= memoryThreshold(level, sample);
    if (isReached) reached.by = byProcesses ? 'processes' : 'memory';
    if (isReached === reached.isReached) return;
    reached.isReached = isReached;
    reached.since = this.#time.now;
  }

  /** The highest level that is entered; else the highest that is not yet left. */
  #next(): number {
    const isEntered = ({ level, isReached, since }: Reached) =>
      isReached && this.#time.now - since >= LEVEL_THRESHOLDS[level].lasting;
    const entered = this.#reached.findLastIndex(isEntered) + 1;
    const isKept = ({ isReached, since }: Reached, index: number) =>
      index < this.#rank && (isReached || this.#time.now - since < this.#cooldown);
    return Math.max(entered, this.#reached.findLastIndex(isKept) + 1);
  }
}

/** In MB. Without a limit no memory reaches it. */
function memoryThreshold(level: RaisedLevel, { memoryLimitMB = Infinity }: LevelSample): number {
  return (memoryLimitMB * LEVEL_THRESHOLDS[level].memoryPercent) / 100;
}
