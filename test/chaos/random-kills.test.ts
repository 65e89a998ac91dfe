import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ServerDefinition } from '../../src/index.js';
import { ESCAPES } from '../helpers/escapes.js';
import { allPids, MARKER } from '../helpers/processes.js';
import { deadCanaries, startCanaries } from './canaries.js';
import { ChaosHost } from './chaos-host.js';
import { random, SEED } from './random.js';
import { countLiving, newTags, seenByTag, type Tags, untilNothingLives } from './tags.js';
import { newHome, USERS } from './users.js';

// With `npm test` a few runs, to see that it works; `npm run test:chaos` is the proof. Bounded: no tree of an escape has
// more than a few processes at once, starts more than 150, or lives longer than 50 s; one host runs at a time.
const LONG = process.env.CHAOS !== undefined;
const RUNS = Math.min(Number(process.env.CHAOS_RUNS ?? (LONG ? 100 : 2)), 1_000);
const TREES = Math.min(Number(process.env.CHAOS_TREES ?? (LONG ? 30 : 8)), 50);

/** A host is killed at a random time within this, ms, from before its first server: many while they start some. */
const LATEST_KILL = 400;
const DEADLINE = 15_000;
/** After so many runs it says how far it is, and takes new canaries, which live for two minutes only. */
const REPORT = 10;
/** How long no process may be seen until that is believed, ms; and how often is looked. */
const QUIET = 200;
const LOOK = 2;

/** A random mix; all trees of one kind have the same tag. */
function hostileServers(tags: Tags, chance: () => number): Record<string, ServerDefinition> {
  const kinds = Object.keys(ESCAPES);
  const servers = Array.from({ length: TREES }, (_, index) => {
    const kind = kinds[Math.floor(chance() * kinds.length)] as string;
    const args = ['-c', ESCAPES[kind] as string, tags[kind] as string];
    return [`${index} ${kind}`, { command: 'sh', args, sharing: 'dedicated', inheritEnv: [MARKER] }] as const;
  });
  return Object.fromEntries(servers);
}

/** Kills the host; ms until nothing lived, or until the deadline. `strangers` are older than the host. */
async function killAndMeasure(host: ChaosHost, tags: Tags, strangers: ReadonlySet<number>): Promise<number> {
  const killed = performance.now();
  host.signal('SIGKILL');
  let last = killed;
  for (let now = killed; now - last < QUIET && now - killed < DEADLINE; now = performance.now()) {
    if (countLiving(tags, strangers) > 0) last = performance.now();
    await sleep(LOOK);
  }
  return Math.round(last - killed);
}

function percentiles(durations: readonly number[]): string {
  const sorted = [...durations].sort((a, b) => a - b);
  const at = (share: number) => `${sorted[Math.ceil(share * sorted.length) - 1]} ms`;
  return `from SIGKILL to nothing alive: median ${at(0.5)}, 90 % ${at(0.9)}, 99 % ${at(0.99)}, worst ${at(1)}`;
}

describe.each(USERS)('as $name', (user) => {
  it(
    `[ORPHAN-3] [ORPHAN-2] nothing lives after ${RUNS} hosts with ${TREES} hostile trees were killed at random times (CHAOS_SEED=${SEED})`,
    async () => {
      const chance = random(SEED);
      const tags = newTags(Object.keys(ESCAPES));
      const none = Object.fromEntries(Object.keys(tags).map((name) => [name, []]));
      let canaries: Tags = {};
      const place = { user, env: newHome(user) };
      const durations: number[] = [];
      for (let run = 1; run <= RUNS; run++) {
        if (run % REPORT === 1) canaries = await startCanaries(user);
        const strangers = new Set(allPids());
        const servers = hostileServers(tags, chance);
        const options = { servers, limits: { maxProcesses: TREES } };
        const host = new ChaosHost({ options, steps: [Object.keys(servers)] }, place);
        await host.started();
        await sleep(chance() * LATEST_KILL);
        durations.push(await killAndMeasure(host, tags, strangers));
        await untilNothingLives(tags, DEADLINE);
        expect(await seenByTag(tags), `run ${run}`).toEqual(none);
        expect(deadCanaries(canaries), `run ${run}`).toEqual([]);
        expect(host.groupSignalled).toBe(false);
        await host.ended();
        host.discard();
        if (LONG && run % REPORT === 0) console.log(`${user.name}, ${run} of ${RUNS} runs: ${percentiles(durations)}`);
      }
    },
    60_000 + RUNS * 30_000,
  );
});
