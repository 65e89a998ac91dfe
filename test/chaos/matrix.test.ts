import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { until } from '../helpers/until.js';
import { deadCanaries, startCanaries } from './canaries.js';
import { ChaosHost, type HostPlace, type Plan, START } from './chaos-host.js';
import { ENDS } from './ends.js';
import { ESCAPE_NAMES, type EscapeName, escapeOf, escapingServers } from './escapes.js';
import { random, SEED } from './random.js';
import { countLiving, livingByTag, newTags, seenByTag, type Tags, untilNothingLives } from './tags.js';
import { assertReadable, newHome, USERS, type User } from './users.js';

/** Until nothing lives, ms; how long it takes is measured by `npm run test:chaos`. */
const DEADLINE = 15_000;
/** A cell starts a dozen servers for each user, on a machine that does other things, too. */
const TIMEOUT = 90_000;
/** How often a host is killed while it starts servers, and how long it may do so, ms. */
const KILLS = 4;
const SPAWNING = 800;

type EscapeTags = Record<EscapeName, string>;

/** One user's part of a column: what lives of each row, and which canaries do not. */
interface Outcome {
  readonly survivors: Record<EscapeName, string[]>;
  readonly deadCanaries: string[];
  /** Those that outlive their host. */
  readonly guardians: number[];
  /** Another process in the group of the host was hit. */
  readonly groupSignalled: boolean;
}

const NOTHING: Outcome = {
  survivors: Object.fromEntries(ESCAPE_NAMES.map((name) => [name, [] as string[]])) as Outcome['survivors'],
  deadCanaries: [],
  guardians: [],
  groupSignalled: false,
};

const exiting = ESCAPE_NAMES.filter((name) => escapeOf(name).exits);
const forking: EscapeName[] = ['forks all the time'];
const quiet = ESCAPE_NAMES.filter((name) => !exiting.includes(name) && !forking.includes(name));

/** Runs `cell` as every user at the same time: so each host has a neighbour, too. */
async function asEveryUser(cell: (user: User) => Promise<Outcome>): Promise<void> {
  const outcomes = await Promise.allSettled(USERS.map(cell));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  const byUser = outcomes.map((outcome, index) => [USERS[index]?.name, 'value' in outcome && outcome.value]);
  expect(Object.fromEntries(byUser)).toEqual(Object.fromEntries(USERS.map(({ name }) => [name, NOTHING])));
}

async function column(end: (typeof ENDS)[string], user: User): Promise<Outcome> {
  const tags = newTags(ESCAPE_NAMES);
  const canaries = await startCanaries(user);
  const place = { user, env: newHome(user) };
  const host = new ChaosHost(planFor(tags, end.handleSignals), place);
  await host.ready();
  await until('all that can get away have done so', escaped(tags), { timeout: START });
  await end.act(host);
  if (end.nextStart) await startNext(place, tags, end.nextStart === 'needed');
  if (!end.atOnce) await untilNothingLives(tags, DEADLINE);
  const survivors = await seenByTag(tags);
  // What the end of the host does to others counts as well.
  if (end.atOnce) await host.ends('exit');
  return outcomeOf(host, survivors, canaries);
}

/** Another host of the same user. Its pool has nothing to do but what the last one has left. */
async function startNext(place: HostPlace, tags: EscapeTags, needed: boolean): Promise<void> {
  if (needed) expect(countLiving(tags), 'left for the next start').toBeGreaterThan(0);
  const next = new ChaosHost({ options: { servers: {} }, steps: [] }, place);
  await next.ready();
  await untilNothingLives(tags, DEADLINE);
  if (needed) await until('it reports the orphans', () => next.reaped > 0);
  await next.ends('exit');
}

async function outcomeOf(host: ChaosHost, survivors: Outcome['survivors'], canaries: Tags): Promise<Outcome> {
  await until('no guardian lives', () => host.livingGuardians().length === 0).catch(() => {});
  return {
    survivors,
    guardians: host.livingGuardians().map(({ pid }) => pid),
    deadCanaries: deadCanaries(canaries),
    groupSignalled: host.groupSignalled,
  };
}

function planFor(tags: EscapeTags, handleSignals = false): Plan {
  const servers = escapingServers(tags);
  return { options: { servers, handleSignals }, steps: [quiet, forking], exiting };
}

/** Whether each row was seen out of its tree: a process that forks all the time is not in every look at the table. */
function escaped(tags: EscapeTags): () => boolean {
  const missing = new Set<EscapeName>([...quiet, ...forking]);
  return () => {
    const living = livingByTag(tags);
    for (const name of missing) {
      const { helper } = escapeOf(name);
      if (living[name].some(({ command }) => helper === undefined || command === helper)) missing.delete(name);
    }
    return missing.size === 0;
  };
}

/** Several times at random moments, for as long as it takes to start all rows once. */
async function duringSpawn(user: User, chance: () => number): Promise<Outcome> {
  const tags = newTags(ESCAPE_NAMES);
  const canaries = await startCanaries(user);
  const place = { user, env: newHome(user) };
  const servers = escapingServers(tags);
  const { npx, ...others } = servers;
  const steps = [Object.keys(others), Object.keys(others).reverse(), Object.keys({ npx })];
  let outcome = NOTHING;
  for (let round = 0; round < KILLS && isDeepStrictEqual(outcome, NOTHING); round++) {
    const host = new ChaosHost({ options: { servers }, steps, churn: true }, place);
    await host.ready();
    await sleep(chance() * SPAWNING);
    host.signal('SIGKILL');
    await host.ended();
    await untilNothingLives(tags, DEADLINE);
    outcome = await outcomeOf(host, await seenByTag(tags), canaries);
  }
  return outcome;
}

describe(`no process of a server lives, as ${USERS.map(({ name }) => name).join(' and as ')}, after`, () => {
  beforeAll(assertReadable);

  it.each(Object.keys(ENDS))(
    '[ORPHAN-1] [ORPHAN-2] %s',
    async (name) => {
      await asEveryUser((user) => column(ENDS[name] as (typeof ENDS)[string], user));
    },
    TIMEOUT,
  );

  it(
    `[ORPHAN-1] [ORPHAN-2] SIGKILL of a host that is starting servers (CHAOS_SEED=${SEED})`,
    async () => {
      await asEveryUser((user) => duringSpawn(user, random(SEED)));
    },
    TIMEOUT,
  );
});
