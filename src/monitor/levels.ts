import { LEVELS, type Level } from './level.js';
import { ObservedTime } from './observed-time.js';

/** A level that is not `normal`. */
export type RaisedLevel = Exclude<Level, 'normal'>;

/** The options `monitoring.levels`: how many unexpected processes reach each level. */
export interface LevelSettings extends Readonly<Record<RaisedLevel, number>> {
  /** How long a level must have been lower before it is left, ms. */
  readonly cooldown: number;
}

/** The options of that name in `monitoring`: shares of a limit, in percent. */
export interface NearPercents {
  readonly warningPercent: number;
  readonly criticalPercent: number;
}

/** What reaches a level, and how it is entered. */
interface LevelRule {
  /** Memory of all trees, in percent of its limit. The number of processes is an option. */
  memoryPercent(percents: NearPercents): number;
  /**
   * How long it must have been reached, ms. Above 0 it takes two samples, so that one moment is no alarm. The second comes
   * soon: see `sampleInterval()`.
   */
  readonly lasting: number;
}

/**
 * The levels, the lowest first. From any level, a higher one is entered when it was reached for `lasting`. A level is left
 * when it was not reached for the cooldown; the next one is the highest that was reached in that time.
 */
const RULES: Readonly<Record<RaisedLevel, LevelRule>> = {
  warning: { memoryPercent: ({ warningPercent }) => warningPercent, lasting: 500 },
  critical: { memoryPercent: ({ criticalPercent }) => criticalPercent, lasting: 500 },
  nuclear: { memoryPercent: () => 150, lasting: 0 },
  emergency: { memoryPercent: () => 200, lasting: 0 },
};

/** What counts for the level at one moment. */
export interface LevelSample {
  /** Clock time, ms. */
  readonly at: number;
  /** Processes beyond what is expected: of all trees, of no living instance, and what watches list. */
  readonly unexpected: number;
  /** Unique memory of all trees, MB; undefined when it could not be measured. */
  readonly memoryMB?: number | undefined;
  /** Whether it may be a spike: then it reaches no level. Default: false. */
  readonly isMemorySpike?: boolean | undefined;
  /** The limit of that, MB. Undefined, or `Infinity`: memory reaches no level. */
  readonly memoryLimitMB?: number | undefined;
  /** Which of both is only the least that it can be, since not all could be measured. Default: none. */
  readonly isLeast?: Readonly<Record<LevelCause['by'], boolean>> | undefined;
}

/** What reached a level. */
export interface LevelCause {
  /** Unexpected processes, or MB (`by`). */
  readonly measured: number;
  /** Where the level begins, in the same unit. */
  readonly threshold: number;
  readonly by: 'processes' | 'memory';
}

/** A change of the level, and what has reached `to`. When the level falls: what is left, and where `from` begins. */
export interface LevelChange extends LevelCause {
  readonly from: Level;
  readonly to: Level;
}

/** Whether one level is reached, and since when that is so. */
interface Reached {
  readonly level: RaisedLevel;
  isReached: boolean;
  /** Observed time, ms. */
  since: number;
  /** What reached it last. */
  by: LevelCause['by'];
  /** Whether the last sample has shown if it is reached. */
  isKnown: boolean;
}

/** The state machine of the levels: rises at once, to any level, and falls after a cooldown. It is fed samples. */
export class Levels {
  readonly #settings: LevelSettings;
  readonly #percents: NearPercents;
  readonly #time: ObservedTime;
  /** The lowest level first. */
  readonly #reached: readonly Reached[];
  /** The index of the current level in `LEVELS`. */
  #rank = 0;
  #latest: LevelSample = { at: 0, unexpected: 0 };

  constructor(settings: LevelSettings, percents: NearPercents) {
    this.#settings = settings;
    this.#percents = percents;
    // Time must pass without a cooldown, too: `lasting` needs it.
    this.#time = new ObservedTime(Math.max(settings.cooldown / 3, 1000));
    const raised = Object.keys(RULES) as RaisedLevel[];
    this.#reached = raised.map((level) => ({
      level,
      isReached: false,
      since: -Infinity,
      by: 'processes',
      isKnown: true,
    }));
  }

  get level(): Level {
    return LEVELS[this.#rank] ?? 'normal';
  }

  /** Whether the last sample has reached a higher level, and the next one decides whether it is entered. */
  get isUndecided(): boolean {
    return this.#reached.some(({ isReached }, index) => isReached && index >= this.#rank);
  }

  /** Whether the last sample has shown if the current level is still reached. */
  get isKnown(): boolean {
    return this.#reached[this.#rank - 1]?.isKnown !== false;
  }

  /** What the last sample shows of the current level; `measured` is below its threshold during the cooldown. */
  get cause(): LevelCause | undefined {
    return this.#causeOf(this.#rank);
  }

  /** How long the level lasts on by its cooldown alone, ms; undefined while it is reached. */
  get cooldownLeft(): number | undefined {
    const reached = this.#reached[this.#rank - 1];
    if (reached === undefined || reached.isReached) return undefined;
    return Math.max(this.#settings.cooldown - (this.#time.now - reached.since), 0);
  }

  /** Takes a sample, and returns the change that it brings, if there is any. */
  update(sample: LevelSample): LevelChange | undefined {
    const step = this.#time.advance(sample.at);
    for (const [index, reached] of this.#reached.entries()) {
      const isReached = this.#look(reached, sample);
      reached.isKnown = isReached || sample.isLeast?.[reached.by] !== true;
      if (reached.isKnown) this.#note(reached, isReached);
      // It does not cool down by that.
      else if (index < this.#rank) reached.since += step;
      // Nor is it entered.
      else reached.isReached = false;
    }
    this.#latest = this.#shown(sample);
    const [from, before] = [this.level, this.#rank];
    this.#rank = this.#next();
    const cause = this.#causeOf(Math.max(this.#rank, before));
    return this.#rank === before || cause === undefined ? undefined : { from, to: this.level, ...cause };
  }

  #causeOf(rank: number): LevelCause | undefined {
    const reached = this.#reached[rank - 1];
    if (reached === undefined) return undefined;
    const { unexpected, memoryMB = 0 } = this.#latest;
    return reached.by === 'processes'
      ? { measured: unexpected, threshold: this.#settings[reached.level], by: 'processes' }
      : { measured: memoryMB, threshold: this.#memoryThreshold(reached.level, this.#latest), by: 'memory' };
  }

  /** Of what could not be measured the last figure is shown. */
  #shown(sample: LevelSample): LevelSample {
    const { isLeast } = sample;
    const { unexpected, memoryMB } = this.#latest;
    return {
      ...sample,
      unexpected: isLeast?.processes ? Math.max(unexpected, sample.unexpected) : sample.unexpected,
      memoryMB: isLeast?.memory ? Math.max(memoryMB ?? 0, sample.memoryMB ?? 0) : sample.memoryMB,
    };
  }

  #look(reached: Reached, sample: LevelSample): boolean {
    const byProcesses = sample.unexpected >= this.#settings[reached.level];
    const byMemory = !sample.isMemorySpike && (sample.memoryMB ?? 0) >= this.#memoryThreshold(reached.level, sample);
    if (byProcesses || byMemory) reached.by = byProcesses ? 'processes' : 'memory';
    return byProcesses || byMemory;
  }

  #note(reached: Reached, isReached: boolean): void {
    if (isReached === reached.isReached) return;
    reached.isReached = isReached;
    reached.since = this.#time.now;
  }

  /** The highest level that is entered, or that is not yet left. */
  #next(): number {
    const lasts = ({ since }: Reached, time: number) => this.#time.now - since >= time;
    const isEntered = (reached: Reached) => reached.isReached && lasts(reached, RULES[reached.level].lasting);
    const isKept = (reached: Reached, index: number) =>
      index < this.#rank && (reached.isReached || !lasts(reached, this.#settings.cooldown));
    return this.#reached.findLastIndex((reached, index) => isEntered(reached) || isKept(reached, index)) + 1;
  }

  /** In MB. Without a limit no memory reaches it. */
  #memoryThreshold(level: RaisedLevel, { memoryLimitMB = Infinity }: LevelSample): number {
    return (memoryLimitMB * RULES[level].memoryPercent(this.#percents)) / 100;
  }
}
