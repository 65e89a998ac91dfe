// What is asked of a server, one function for each question. Each opens pools of its own and closes them, whatever happens.
// `subject`: as in popular.js; all but `command` and `args` may be missing.
import { setTimeout as sleep } from 'node:timers/promises';
import { Caller } from './caller.js';

/** What `eofGrace` is tried with, ms. */
const GRACES = [50, 100, 200, 300, 500, 1_000, 2_000, 3_000, 5_000, 10_000];
/** How long a server may take to end by SIGTERM, ms. */
const TERM = 10_000;
/** All that a client may be able to do. */
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
/** Time in which a server may ask its client something after it has listed its tools, ms. */
const MAY_ASK = 2_000;
const SAMPLES = 3;
const SESSIONS = 20;
/** A race is not lost each time. */
const ROUNDS = 3;
const AT_ONCE = { eofGrace: 0, termGrace: 0 };

/** Version, capabilities, number of tools; the server itself answers `initialize`. */
async function handshake(subject, place) {
  return withLease(subject, place, { sharing: 'dedicated' }, async (lease, { pool }) => {
    const caller = await Caller.connect(lease);
    const tools = await caller.tools();
    const { protocolVersion, capabilities = {}, serverInfo } = caller.hello;
    const [instance] = pool.status().servers.it.instances;
    return {
      package: instance.package,
      says: `${serverInfo.name} ${serverInfo.version}`,
      protocolVersion,
      capabilities: Object.keys(capabilities).sort(),
      tools: tools.length,
    };
  });
}

/** Time to the answer of `initialize`, against the yardstick: rounds alternate, and the median of their ratios counts. */
async function start(subject, place, { yardstick, rounds = 5 }) {
  const policy = { sharing: 'exclusive', reuse: 'never', ...AT_ONCE };
  return opened({ it: subject, yardstick }, place, { policy }, async ({ pool }) => {
    const time = async (name) => {
      const started = performance.now();
      const lease = await pool.getServer(name);
      const took = performance.now() - started;
      lease.release();
      await lease.ended;
      return took;
    };
    // The files are read from the disk once, and npm has its answer.
    await time('yardstick');
    await time('it');
    const ratios = [];
    for (let round = 0; round < rounds; round += 1) {
      const order = round % 2 === 0 ? ['it', 'yardstick'] : ['yardstick', 'it'];
      const took = {};
      for (const name of order) took[name] = await time(name);
      ratios.push(took.it / took.yardstick);
    }
    const sorted = ratios.toSorted((a, b) => a - b).map((ratio) => Math.round(ratio * 100) / 100);
    return { ratio: middle(sorted), least: sorted[0], most: sorted.at(-1), rounds };
  });
}

/** The first start by npm, with nothing on the disk, against the yardstick. Once: it downloads all. */
async function first(subject, place, { yardstick }) {
  const took = {};
  for (const [name, one] of Object.entries({ yardstick, it: subject })) {
    const options = { cache: place.emptyCache() };
    took[name] = await opened({ it: one }, place, { options }, async ({ pool }) => {
      const { servers } = await pool.prefetch({ timeout: 600_000 });
      if (servers[0].state !== 'installed') throw new Error(servers[0].message ?? servers[0].state);
      return servers[0].duration;
    });
  }
  return { ratio: Math.round((took.it / took.yardstick) * 10) / 10 };
}

/** Processes and unique memory of one instance: as npx starts it, and without npx, idle and after it has worked. */
async function tree(subject, place) {
  const byNpx = () => withLease(subject, place, { sharing: 'exclusive' }, idle, { resolvePackages: false });
  // The first one may have installed it, and npm keeps the memory that it took for that.
  await byNpx();
  const npx = await byNpx();
  return withLease(subject, place, { sharing: 'exclusive' }, async (lease, opening) => {
    const { caller, ...resting } = await idle(lease, opening);
    if (subject.work === undefined) return { npx: figures(npx), idle: resting };
    await subject.work(caller, opening.data.it);
    return { npx: figures(npx), idle: resting, working: await usage(opening.pool) };
  });
}

/** How it ends: at the end of its stdin, idle and after it has worked, and by SIGTERM. */
async function ending(subject, place) {
  const idleGrace = await smallestGrace(subject, place);
  const workGrace = subject.work === undefined ? idleGrace : await smallestGrace(subject, place, subject.work);
  return { eof: idleGrace, eofAfterWork: workGrace, sigterm: await bySignal(subject, place) };
}

/** Whether two instances work beside each other; `plainArgs` of a subject: with these arguments, too. */
async function second(subject, place) {
  const beside = await twoWork(subject, place);
  if (subject.plainArgs === undefined) return { works: beside };
  const plain = { ...subject, args: subject.plainArgs };
  return { works: beside, plain: await twoWork(plain, place) };
}

/** Whether one client's state is visible to the next, under `reuse: 'tenant'` and `'owner'`. */
async function state(subject, place) {
  if (subject.state === undefined) return { probed: false };
  const visible = {};
  for (const reuse of ['tenant', 'owner']) {
    const policy = { sharing: 'exclusive', reuse };
    visible[reuse] = await opened({ it: subject }, place, { policy }, async ({ pool, data }) => {
      const before = await pool.getServer('it', { owner: 'first' });
      await subject.state.leave(await Caller.connect(before), data.it);
      before.release();
      await before.ended;
      const after = await pool.getServer('it', { owner: 'second' });
      return Boolean(await subject.state.see(await Caller.connect(after), data.it));
    });
  }
  return { probed: true, visible };
}

/** How many of many calls at once on one shared instance give the right result, and how many one after the other. */
async function together(subject, place) {
  const { calls = SESSIONS } = subject.together ?? {};
  const right = await worstOf(ROUNDS, () => sharedCalls(subject, place, calls, {}));
  if (right === calls) return { calls, right };
  return {
    calls,
    right,
    oneAtATime: await worstOf(ROUNDS, () => sharedCalls(subject, place, calls, { maxInFlight: 1 })),
  };
}

/** What it asks a client that can do all, and which tools only such a client gets. */
async function asks(subject, place) {
  const session = (capabilities) =>
    withLease(subject, place, { sharing: 'dedicated' }, async (lease, { data }) => {
      const caller = await Caller.connect(lease, { capabilities });
      const tools = await caller.tools();
      await subject.work?.(caller, data.it);
      await sleep(MAY_ASK);
      return { tools: tools.map(({ name }) => name), asked: [...caller.asked].filter((method) => method !== 'ping') };
    });
  const [able, plain] = [await session(CAPABILITIES), await session({})];
  return { asked: able.asked.sort(), moreTools: able.tools.filter((name) => !plain.tools.includes(name)).sort() };
}

/** The definition as it is written: it starts, works, ends, and leaves nothing. */
async function asWritten(subject, place) {
  return opened({ it: subject }, place, { policy: subject.policy }, async ({ pool, data }) => {
    const lease = await pool.getServer('it', { owner: 'first' });
    const caller = await Caller.connect(lease);
    await caller.tools();
    await subject.work?.(caller, data.it);
    lease.release();
    const report = await pool.shutdown();
    const [{ termination }] = report.servers;
    return { endedBy: termination?.endedBy, left: report.survivors.length };
  });
}

async function opened(subjects, place, { policy, options }, use) {
  const opening = place.open(subjects, policy, options);
  try {
    return await use(opening);
  } finally {
    await place.close(opening.pool);
  }
}

function withLease(subject, place, policy, use, options = {}) {
  return opened({ it: subject }, place, { policy: { ...AT_ONCE, ...policy }, options }, async (opening) =>
    use(await opening.pool.getServer('it'), opening),
  );
}

async function idle(lease, { pool }) {
  const caller = await Caller.connect(lease);
  await caller.tools();
  return { caller, ...(await usage(pool)) };
}

function figures({ processes, memoryMB }) {
  return { processes, memoryMB };
}

/** The middle of some samples: a server may still be busy with its start. */
async function usage(pool) {
  const samples = [];
  for (let index = 0; index < SAMPLES; index += 1) {
    await sleep(1_000);
    const { trees } = await pool.monitor.sample();
    samples.push(trees[0]);
  }
  const middleOf = (key) => middle(samples.map((sample) => sample[key]).toSorted((a, b) => a - b));
  return { processes: middleOf('processes'), memoryMB: Math.round(middleOf('memoryMB')) };
}

/** The smallest `eofGrace` of the list within which it ends by itself; null when it does not. */
async function smallestGrace(subject, place, work) {
  const ends = (eofGrace) => endsByItself(subject, place, eofGrace, work);
  const longest = GRACES.at(-1);
  const took = await ends(longest);
  if (took === undefined) return null;
  // The time of one run says where to look; it is not the answer.
  let at = GRACES.findIndex((grace) => grace >= took);
  if (at === -1) at = GRACES.length - 1;
  if ((await ends(GRACES[at])) === undefined) {
    while (at < GRACES.length - 1 && (await ends(GRACES[++at])) === undefined);
    return GRACES[at];
  }
  while (at > 0 && (await ends(GRACES[at - 1])) !== undefined) at -= 1;
  return GRACES[at];
}

/** How long it takes to end at the end of its stdin, ms; undefined when it needs a signal. */
function endsByItself(subject, place, eofGrace, work) {
  const policy = { sharing: 'exclusive', reuse: 'never', eofGrace, termGrace: TERM };
  return opened({ it: subject }, place, { policy }, async ({ pool, data }) => {
    const lease = await pool.getServer('it');
    const caller = await Caller.connect(lease);
    await caller.tools();
    await work?.(caller, data.it);
    lease.release();
    const { endedBy, duration } = (await lease.ended).termination;
    return endedBy === 'eof' || endedBy === 'exit' ? duration : undefined;
  });
}

/** What it does at SIGTERM while its stdin is open: the exit code, the signal when that ended it, or 'deaf'. */
function bySignal(subject, place) {
  return withLease(subject, place, { sharing: 'exclusive' }, async (lease, { pool }) => {
    const caller = await Caller.connect(lease);
    await caller.tools();
    const exited = new Promise((resolve) => pool.once('server:exited', resolve));
    process.kill(lease.pid, 'SIGTERM');
    const timer = new AbortController();
    const end = await Promise.race([exited, sleep(TERM, undefined, { signal: timer.signal })]);
    timer.abort();
    if (end === undefined) return 'deaf';
    return end.signal ?? `exit ${end.exitCode}`;
  });
}

/** Two instances at once, of which each works before and after the other. Resolves with true, or the error. */
function twoWork(subject, place) {
  const policy = { sharing: 'exclusive', maxInstances: 2, ...AT_ONCE };
  const work = (caller, data) => subject.work?.(caller, data) ?? caller.tools();
  return opened({ it: subject }, place, { policy }, async ({ pool, data }) => {
    try {
      const callers = [];
      for (const owner of ['first', 'second']) {
        callers.push(await Caller.connect(await pool.getServer('it', { owner })));
        await work(callers.at(-1), data.it);
      }
      for (const caller of callers) await work(caller, data.it);
      return true;
    } catch (error) {
      return shortened(error);
    }
  });
}

/** How many calls of as many sessions give the right result. */
function sharedCalls(subject, place, calls, policy) {
  const probe = subject.together ?? SAME_TOOLS;
  const all = { sharing: 'shared', maxInstances: 1, maxSessions: calls, ...AT_ONCE, ...policy };
  return opened({ it: subject }, place, { policy: all }, async ({ pool, data }) => {
    const callers = await Promise.all(
      Array.from({ length: calls }, async (_, index) =>
        Caller.connect(await pool.getServer('it', { owner: `session ${index}` })),
      ),
    );
    const results = await Promise.allSettled(callers.map((caller, index) => probe.call(caller, index, data.it)));
    return probe.right(results, callers[0], data.it);
  });
}

/** For servers that can do nothing here without a key: each session gets all tools. */
const SAME_TOOLS = {
  call: async (caller) => JSON.stringify((await caller.tools()).map(({ name }) => name)),
  right: (results) => results.filter(({ value }) => value !== undefined && value === results[0].value).length,
};

async function worstOf(rounds, measure) {
  let worst = Infinity;
  for (let round = 0; round < rounds; round += 1) worst = Math.min(worst, await measure());
  return worst;
}

function middle(sorted) {
  return sorted[Math.floor(sorted.length / 2)];
}

/** The first line: more is the server's own text. */
function shortened(error) {
  return error.message.split('\n')[0].slice(0, 200);
}

/** By name. */
export const questions = { handshake, start, first, tree, ending, second, state, together, asks, asWritten };
