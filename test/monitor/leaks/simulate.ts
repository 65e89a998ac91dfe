import type { LeakSample } from '../../../src/monitor/leaks/leak-watch.js';

/** The courses that the memory of a server takes. */
export const SHAPES = ['flat', 'noise', 'sawtooth', 'step', 'plateau', 'leak'] as const;
export type Shape = (typeof SHAPES)[number];

/** What decides how the memory of one simulated server goes. Times in minutes, memory in MB. */
export interface Course {
  readonly shape: Shape;
  readonly base: number;
  /** How long the start takes, and which part of the base is there before it. */
  readonly warmup: number;
  readonly early: number;
  /** From one sample to the next, as the young generation fills. Standard deviation. */
  readonly jitter: number;
  /** Wanders and comes back, as caches, code and buffers do. Standard deviation, and how long it remembers. */
  readonly drift: number;
  readonly driftTime: number;
  /** Bursts that are over after minutes: how many a day, how high at most. */
  readonly burstsPerDay: number;
  readonly burst: number;
  /** Rises by this much, and is given back by the garbage collector; how long that takes. */
  readonly tooth: number;
  readonly toothTime: number;
  /** Steps: when, and by how much. */
  readonly steps: readonly { readonly at: number; readonly height: number; readonly takes: number }[];
  /** Growth that comes to an end: how much, with which time constant, from when on. */
  readonly growth: number;
  readonly timeConstant: number;
  readonly growsFrom: number;
  readonly leakPerHour: number;
}

/** A source of numbers 0 ≤ n < 1 that gives the same ones for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const between = (random: () => number, least: number, most: number) => least + random() * (most - least);
/** As many between 1 and 2 as between 2 and 4. */
const logBetween = (random: () => number, least: number, most: number) => least * (most / least) ** random();
/** Mean 0, standard deviation 1: the sum of four, which has no wild tails. */
const normal = (random: () => number) => (random() + random() + random() + random() - 2) * Math.sqrt(3);

/** A course of this shape, drawn at random. `given` replaces what was drawn. */
export function courseOf(shape: Shape, random: () => number, given: Partial<Course> = {}): Course {
  const base = between(random, 70, 300);
  const quiet: Course = {
    shape,
    base,
    warmup: between(random, 0, 30),
    early: between(random, 0.4, 0.9),
    jitter: base * logBetween(random, 0.001, 0.01),
    drift: base * logBetween(random, 0.001, 0.01),
    driftTime: logBetween(random, 1, 20),
    burstsPerDay: 0,
    burst: 0,
    tooth: 0,
    toothTime: 1,
    steps: [],
    growth: 0,
    timeConstant: 1,
    growsFrom: 0,
    leakPerHour: 0,
  };
  return { ...quiet, ...SHAPE_OF[shape](base, random), ...given };
}

const noise = (base: number, random: () => number): Partial<Course> => ({
  jitter: base * logBetween(random, 0.01, 0.05),
  drift: base * logBetween(random, 0.005, 0.03),
  driftTime: logBetween(random, 1, 30),
  burstsPerDay: between(random, 0, 12),
  burst: base * between(random, 0.1, 0.6),
});

const tooth = (base: number, random: () => number): Partial<Course> => ({
  tooth: base * between(random, 0.1, 0.3),
  toothTime: logBetween(random, 1, 60),
});

/** Growing servers are quiet, noisy or have a saw-tooth, a third each. */
const anyBackground = (base: number, random: () => number): Partial<Course> => {
  const kind = random();
  if (kind < 1 / 3) return {};
  return kind < 2 / 3 ? noise(base, random) : tooth(base, random);
};

const SHAPE_OF: Readonly<Record<Shape, (base: number, random: () => number) => Partial<Course>>> = {
  flat: () => ({ jitter: 0.1, drift: 0.1 }),
  noise,
  sawtooth: tooth,
  step: (base, random) => ({
    steps: Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
      at: between(random, 0, 24 * 60),
      height: base * (random() < 0.75 ? between(random, 0.05, 0.6) : between(random, -0.3, -0.05)),
      takes: between(random, 0, 10),
    })),
  }),
  plateau: (base, random) => ({
    ...anyBackground(base, random),
    growth: base * between(random, 0.2, 1.5),
    timeConstant: logBetween(random, 10, 120),
    // With the start of the server, or when it gets work.
    growsFrom: random() < 0.5 ? 0 : between(random, 0, 12 * 60),
  }),
  leak: (base, random) => ({ ...anyBackground(base, random), leakPerHour: logBetween(random, 10, 200) }),
};

/** How often the monitor takes a sample, in ms. */
const SAMPLE_EVERY = 5_000;

/** The memory of such a server, for so long. Each `every` ms the mean of the samples that the monitor would have taken. */
export function* simulate(
  course: Course,
  random: () => number,
  { hours, every }: { readonly hours: number; readonly every: number },
): Generator<LeakSample> {
  const minutes = every / 60_000;
  const remembered = Math.exp(-minutes / course.driftTime);
  const renewed = Math.sqrt(1 - remembered ** 2);
  // What stands for a minute is the mean of twelve samples.
  const jitter = course.jitter / Math.sqrt(every / SAMPLE_EVERY);
  let drift = normal(random);
  let filled = random() * course.tooth;
  let collectAt = course.tooth * between(random, 0.7, 1.3);
  let burst = 0;
  let burstLeft = 0;
  for (let at = 0; at <= hours * 60; at += minutes) {
    drift = drift * remembered + renewed * normal(random);
    if (course.tooth > 0) {
      filled += (course.tooth * minutes) / course.toothTime;
      if (filled >= collectAt) {
        // One in five collections is a partial one.
        filled = course.tooth * (random() < 0.2 ? between(random, 0.2, 0.6) : between(random, 0, 0.05));
        collectAt = course.tooth * between(random, 0.7, 1.3);
      }
    }
    burstLeft -= minutes;
    if (burstLeft <= 0) burst = 0;
    if (course.burstsPerDay > 0 && random() < (course.burstsPerDay * minutes) / 1440) {
      burst = course.burst * between(random, 0.3, 1);
      burstLeft = between(random, 1, 10);
    }
    const started = course.warmup === 0 ? 1 : Math.min(1, at / course.warmup);
    let memory = course.base * (course.early + (1 - course.early) * started) + filled + burst;
    for (const step of course.steps) memory += step.height * clamp((at - step.at) / Math.max(step.takes, minutes));
    memory +=
      course.growth * (1 - Math.exp(-Math.max(0, at - course.growsFrom) / course.timeConstant)) +
      (course.leakPerHour * at) / 60;
    memory += course.drift * drift + jitter * normal(random);
    yield { at: at * 60_000, memoryMB: Math.max(1, memory) };
  }
}

const clamp = (value: number) => Math.min(1, Math.max(0, value));
