import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/monitor/assessment.js';
import { assessed, type SampledTree } from '../helpers/assessed.js';
import { propertyRuns } from '../helpers/properties.js';

const STEP = 5_000;
const { cases, testTimeout } = propertyRuns(100);
/** Ten minutes: five windows of the leak detector, twenty of the limits. */
const LENGTH = 120;
/** At this sample something real begins, in the second test. */
const BEGIN = 40;

const OPTIONS = { leak: { window: 120_000, warmup: 30_000, minSlopeMBPerHour: 150 } };
const LIMITS = { memoryMB: { limit: 4_000, isSet: true }, cpuPercent: { limit: 300, isSet: true } };
const OWN = { memoryMB: 1_000, cpuPercent: 50, cpuWindow: 30_000, processes: 30 };
const QUIET = [
  { name: 'a', memoryMB: 300, processes: 3, cpu: 10 },
  { name: 'b', memoryMB: 120, processes: 1, cpu: 0 },
  { name: 'c', memoryMB: 700, processes: 8, cpu: 35 },
] as const;

/** What may go wrong with one of them. */
interface QuietTree extends Omit<SampledTree, 'memoryMB' | 'processes' | 'state'> {
  state?: NonNullable<SampledTree['state']>;
  readonly name: string;
  memoryMB: number;
  processes: number;
  /** Percent of one core. */
  cpu: number;
  life: number;
  startsAgain?: boolean;
}

/** The servers at one moment, as a trouble may change them. */
interface Moment {
  at: number;
  /** How far the uptimes are ahead of the time of the samples. */
  slept: number;
  readonly trees: QuietTree[];
}

/** What goes wrong at one sample, and for how many samples after it nothing does. */
interface Trouble {
  readonly quiet: number;
  readonly tree: number;
  readonly size: number;
}

const troubles = (quiet: number) =>
  fc.array(
    fc.record({
      quiet: fc.integer({ min: quiet, max: quiet + 15 }),
      tree: fc.nat(QUIET.length - 1),
      size: fc.integer({ min: 1, max: 100 }),
    }),
    { maxLength: 40 },
  );

/** What each trouble does to the servers at one moment. `step`: how many samples ago it began. */
interface Hazard {
  /** How many samples it lasts at most; and how many quiet ones follow at the least. */
  readonly lasts: number;
  readonly quiet: number;
  apply(moment: Moment, trouble: Trouble, step: number): void;
}

const HAZARDS: Readonly<Record<string, Hazard>> = {
  spikes: {
    lasts: 2,
    quiet: 5,
    apply: ({ trees }, { tree, size }, step) => {
      // Less than 150 % of the limit of all, and less than 50 processes: from there on one moment is enough.
      spike(trees[tree]!, size);
      // More processes are an alarm when the next sample shows them, too.
      if (step === 0) trees[tree]!.processes += size % 45;
    },
  },
  restarts: {
    lasts: 3,
    quiet: 1,
    apply: ({ trees }, { tree, size }, step) => {
      const it = trees[tree]!;
      if (step === 0) it.life += 1;
      // It installs and compiles, and is a small process first.
      Object.assign(it, { phase: 'starting', memoryMB: size * 20, processes: 1 + (size % 19), cpu: size * 2 });
    },
  },
  'clock jumps': {
    lasts: 1,
    quiet: 4,
    apply: (moment, { size, tree }) => {
      moment.at += (size % 2 === 0 ? 1 : -1) * 10 ** (size % 9) * 1_000;
      spike(moment.trees[tree]!, size);
    },
  },
  'a suspended machine': {
    lasts: 1,
    quiet: 4,
    apply: (moment, { size, tree }) => {
      // As long as it has not caught up with what it has missed.
      spike(moment.trees[tree]!, size);
      moment.at += size * 3_600_000;
      moment.slept += (size % 3) * size * 1_800_000;
    },
  },
  'vanishing processes': {
    lasts: 3,
    quiet: 0,
    apply: ({ trees }, { tree, size }) => {
      const it = trees[tree]!;
      if (size % 4 === 0) Object.assign(it, { state: 'vanished' });
      else if (size % 4 === 1) Object.assign(it, { state: 'unknown' });
      else if (size % 4 === 2) Object.assign(it, { processes: 0, memoryMB: 0, cpu: 0 });
      else {
        it.processes = Math.max(1, it.processes - (size % 7));
        it.memoryMB /= 2;
      }
    },
  },
  'a spike before readings that fail': {
    lasts: 20,
    quiet: 5,
    apply: ({ trees }, { tree, size }, step) => {
      if (step === 0) {
        spike(trees[tree]!, size);
        trees[tree]!.processes += size % 45;
      } else for (const it of trees) if (it.name === trees[tree]!.name || size % 2 === 0) it.state = 'unknown';
    },
  },
  'counters that start again': {
    lasts: 1,
    quiet: 0,
    apply: ({ trees }, { tree, size }) => {
      const it = trees[tree]!;
      it.startsAgain = true;
      if (size % 2 === 0) Object.assign(it, { answered: size, uptime: size });
    },
  },
};

function spike(tree: QuietTree, size: number): void {
  tree.memoryMB += size * 45;
  tree.cpu += size * 30;
}

/** Events that would be a false alarm, of servers that do `story` while `hazard` strikes. */
function alarmsOf(hazard: Hazard, trace: readonly Trouble[], story: (moment: Moment, index: number) => void): string[] {
  const { sample } = assessed(OPTIONS, LIMITS);
  const lives = QUIET.map(() => 0);
  const cpuTimes = QUIET.map(() => 0);
  const left = [...trace];
  let [current, step, clock, slept, quiet] = [left.shift(), -1, 0, 0, 10];
  const alarms: string[] = [];
  for (let index = 0; index < LENGTH; index += 1) {
    const trees = QUIET.map((tree, at): QuietTree => ({ ...tree, life: lives[at]!, answered: 1_000 + index }));
    const moment: Moment = { at: clock + STEP, slept, trees };
    story(moment, index);
    // Where growth begins, the clock runs on: an hour that was not seen is no time in which it was fast.
    if (quiet > 0 || (index > BEGIN - 8 && index < BEGIN + 8)) quiet -= 1;
    else if (current) {
      step += 1;
      hazard.apply(moment, current, step);
      if (step + 1 >= 1 + (current.size % hazard.lasts)) [quiet, current, step] = [current.quiet, left.shift(), -1];
    }
    [clock, slept] = [moment.at, moment.slept];
    const sampled = moment.trees.map(({ cpu, life, startsAgain, ...tree }, at): SampledTree => {
      cpuTimes[at] = life === lives[at] && !startsAgain ? cpuTimes[at]! + (cpu * STEP) / 100 : 0;
      lives[at] = life;
      const uptime = (index + 1) * STEP + moment.slept;
      return { cpuTime: cpuTimes[at]!, uptime, ...tree, id: `${tree.name} ${life}`, limits: OWN };
    });
    alarms.push(...alarmsIn(sample(moment.at, sampled)));
  }
  return alarms;
}

function alarmsIn({ notices, treeActions, poolActions }: Outcome): string[] {
  return [...notices.map(([event]) => event), ...[...treeActions, ...poolActions].map(({ action }) => action)];
}

describe.each(Object.entries(HAZARDS))('%s', (_, hazard) => {
  it(
    '[ALARM-1] are no alarm: not for a limit, a level, growth or a leak',
    () => {
      fc.assert(
        fc.property(troubles(hazard.quiet), (trace) => {
          expect(alarmsOf(hazard, trace, () => {})).toEqual([]);
        }),
        { numRuns: cases },
      );
    },
    testTimeout,
  );

  it(
    '[ALARM-2] hide no alarm: a limit, a level and growth are found all the same',
    () => {
      fc.assert(
        fc.property(troubles(Math.max(hazard.quiet, 8)), (trace) => {
          const alarms = alarmsOf(hazard, trace, ({ trees }, index) => {
            if (index < BEGIN) return;
            trees[1]!.memoryMB = 1_300;
            trees[1]!.processes = 90;
          });
          for (const event of ['limit:exceeded', 'level:changed', 'growth:detected']) expect(alarms).toContain(event);
        }),
        { numRuns: cases },
      );
    },
    testTimeout,
  );
});

it('[ALARM-2] a leak is found among quiet servers, in the time in which none of the others is one', () => {
  const alarms = alarmsOf(HAZARDS.spikes!, [], ({ trees }, index) => {
    trees[0]!.memoryMB += index;
  });
  expect(alarms).toEqual(['leak:suspected', 'leak:confirmed']);
});
