import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { MCPServerPool, PooledServer, ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { fixture, wrapped } from '../helpers/fixture.js';
import { descendants, isLiving, MARKER } from '../helpers/processes.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { sdkClients, textOf } from '../helpers/sdk-clients.js';
import { rejection, until } from '../helpers/until.js';

const SESSIONS = 100;

const { resolve } = createRequire(import.meta.url);
const everything: ServerDefinition = {
  command: process.execPath,
  args: [resolve('@modelcontextprotocol/server-everything/dist/index.js')],
  inheritEnv: [MARKER],
  sharing: 'shared',
};

/** A path in a folder that is gone after the test. */
function temporaryPath(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-failover-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, name);
}

function kill(pid: number | undefined): void {
  // What this test started, and never 0: that would be its own group.
  if (pid !== undefined && pid > 1 && isLiving(pid)) process.kill(pid, 'SIGKILL');
}

/** The most processes of this test at once, looked at all the time until it is over. */
function watchProcesses(): { readonly most: number } {
  const seen = { most: 0 };
  const timer = setInterval(() => {
    seen.most = Math.max(seen.most, descendants().length);
  }, 10);
  onTestFinished(() => clearInterval(timer));
  return seen;
}

interface Session {
  readonly lease: PooledServer;
  readonly client: RawClient;
}

async function connect(pool: MCPServerPool, name?: string): Promise<Session> {
  const lease = await pool.getServer(name);
  return { lease, client: await RawClient.connect(lease.transport) };
}

function connectAll(pool: MCPServerPool, count: number): Promise<Session[]> {
  return Promise.all(Array.from({ length: count }, () => connect(pool, 'everything')));
}

interface Failure {
  readonly method: string;
  readonly code: number;
  readonly data: { readonly retryable: boolean };
}

/** What a session asks in turn: what it sends, and what must be in the answer so that it is its own. */
const CALLS: readonly ((mine: number) => [method: string, params: object, expected: string])[] = [
  () => ['tools/list', {}, 'trigger-long-running-operation'],
  (mine) => ['tools/call', { name: 'echo', arguments: { message: `of ${mine}` } }, `"Echo: of ${mine}"`],
  (mine) => ['resources/read', { uri: `demo://resource/dynamic/text/${mine}` }, `"Resource ${mine}: `],
  (mine) => ['prompts/get', { name: 'args-prompt', arguments: { city: `No ${mine}` } }, `in No ${mine}?`],
  (mine) => ['tools/call', { name: 'get-sum', arguments: { a: mine, b: 1 } }, `is ${mine + 1}.`],
  () => ['resources/list', {}, 'demo://resource/static/document/'],
  () => ['prompts/list', {}, 'simple-prompt'],
  () => ['resources/templates/list', {}, 'Dynamic Text Resource'],
];

/** Sessions that ask one thing after the other until they are stopped; bounded, should that never come. */
class Load {
  readonly failures: Failure[] = [];
  readonly wrong: string[] = [];
  readonly #done: number[];
  readonly #end = performance.now() + 20_000;
  #running = true;
  #active: number;

  constructor(sessions: readonly Session[]) {
    this.#done = sessions.map(() => 0);
    this.#active = sessions.length;
    for (const [index, { client }] of sessions.entries()) void this.#loop(index, client);
    onTestFinished(() => {
      this.#running = false;
    });
  }

  get calls(): number {
    return this.#done.reduce((sum, done) => sum + done, 0);
  }

  /** Until each session has got so many more answers: no call of before is on its way any more. */
  async rounds(count: number): Promise<void> {
    const goals = this.#done.map((done) => done + count);
    await until(`${count} more answers for each`, () => this.#done.every((done, index) => done >= (goals[index] ?? 0)));
  }

  /** Until so many calls of all were answered: a moment that nothing else decides. */
  async more(calls: number): Promise<void> {
    const goal = this.calls + calls;
    await until(`${calls} more answers`, () => this.calls >= goal);
  }

  /** Stops; fails if a call hangs. */
  async stop(): Promise<void> {
    this.#running = false;
    await until('no call hangs', () => this.#active === 0);
    expect(this.wrong).toEqual([]);
  }

  async #loop(index: number, client: RawClient): Promise<void> {
    for (let turn = index; this.#running && performance.now() < this.#end; turn++) {
      const [method, params, expected] = (CALLS[turn % CALLS.length] as (typeof CALLS)[0])(index + 1);
      try {
        const answer = JSON.stringify(await client.request(method, params));
        if (!answer.includes(expected)) this.wrong.push(`${method}: ${answer}`);
      } catch (error) {
        this.failures.push({ ...(error as Failure), method });
      }
      this.#done[index] = (this.#done[index] ?? 0) + 1;
    }
    this.#active -= 1;
  }
}

/** What a tool call gets whose server was killed under it. */
const LOST = {
  method: 'tools/call',
  code: -32_000,
  data: {
    reason: 'SERVER_EXITED',
    retryable: true,
    exitCode: null,
    signal: 'SIGKILL',
    mayHaveRun: expect.any(Boolean),
  },
};

function expectUndisturbed(sessions: readonly Session[]): void {
  for (const { client } of sessions) {
    expect([client.closeCount, client.errors, client.strays]).toEqual([0, [], []]);
  }
}

describe('kill -9 of a shared server under load', () => {
  it('[REAL-3] no call hangs, no read-only one fails, the others say why, all sessions go on with the next', async () => {
    const pool = open({ everything: { ...everything, maxInstances: 1 } });
    const restarting = record(pool, 'server:restarting');
    const restarted = record(pool, 'server:restarted');
    const exited = record(pool, 'server:exited');
    const moved = record(pool, 'lease:moved');
    const closed = record(pool, 'lease:released');
    const sessions = await connectAll(pool, SESSIONS);
    const leases = sessions.map(({ lease }) => lease);
    const [{ pid, instanceId }] = leases as [PooledServer];
    const ids = leases.map(({ id }) => id);
    const processes = watchProcesses();
    const load = new Load(sessions);
    await load.rounds(3);
    kill(pid);
    await until('it was restarted', () => restarted.length > 0);
    await load.rounds(3);
    await load.stop();

    expect(load.failures.length).toBeGreaterThan(0);
    for (const failure of load.failures) expect(failure).toEqual(LOST);
    // Each session has one call at a time.
    expect(load.failures.length).toBeLessThanOrEqual(SESSIONS);
    expectUndisturbed(sessions);

    expect(exited).toMatchObject([{ pid, instanceId, exitCode: null, signal: 'SIGKILL', unexpected: true }]);
    expect(restarting).toMatchObject([{ name: 'everything', pid, instanceId, delay: 0, leases: SESSIONS }]);
    expect(restarting[0]?.error.code).toBe('SERVER_EXITED');
    expect(restarted).toMatchObject([{ previousInstanceId: instanceId, leases: SESSIONS }]);
    expect(pool.metrics()).toMatchObject({ restarts: 1, crashes: 1, started: 2, mostProcesses: 1, released: 0 });
    const [next] = restarted;
    expect(next?.pid).not.toBe(pid);
    for (const lease of leases) expect([lease.pid, lease.instanceId]).toEqual([next?.pid, next?.instanceId]);
    expect(leases.map(({ id }) => id)).toEqual(ids);
    expect(moved.map(({ leaseId }) => leaseId).sort()).toEqual([...ids].sort());
    expect(new Set(moved.map(({ previousInstanceId }) => previousInstanceId))).toEqual(new Set([instanceId]));
    expect(closed).toEqual([]);
    expect(processes.most).toBe(1);
    expect(descendants().map((row) => row.pid)).toEqual([next?.pid]);
    expect(pool.status().servers.everything?.instances).toMatchObject([{ leases: SESSIONS, openRequests: 0 }]);
  });

  it('[REAL-3] again and again at random moments, and while it restarts', async () => {
    const restart = { maxRestarts: 1_000, minDelay: 1, maxDelay: 20 };
    const pool = open({ everything: { ...everything, maxInstances: 1, restart } });
    const restarted = record(pool, 'server:restarted');
    const restarting = record(pool, 'server:restarting');
    const sessions = await connectAll(pool, SESSIONS);
    const [{ lease }] = sessions as [Session];
    const processes = watchProcesses();
    const load = new Load(sessions);
    // How many of the starts that follow are killed, too. Only in the tick of the spawn is it sure that a start has not
    // answered yet: from then on a kill may hit one that has the calls already, for the second time.
    const KILLS = [0, 1, 0, 2, 0];
    const startsKilled = 3;
    let killStarts = 0;
    pool.on('server:starting', ({ pid }) => {
      if (killStarts === 0) return;
      killStarts -= 1;
      kill(pid);
    });
    for (const [index, starts] of KILLS.entries()) {
      // Nothing that was repeated is on its way any more: what is lost twice is refused.
      await load.rounds(1);
      await load.more(Math.floor(Math.random() * 300));
      killStarts = starts;
      kill(lease.pid);
      await until('it was restarted', () => restarted.length === index + 1);
    }
    await load.rounds(3);
    await load.stop();

    for (const failure of load.failures) expect(failure).toEqual(LOST);
    expect(load.failures.length).toBeLessThanOrEqual(SESSIONS * KILLS.length);
    expectUndisturbed(sessions);
    expect(processes.most).toBe(1);
    expect(restarting.length).toBe(KILLS.length + startsKilled);
    expect(pool.metrics()).toMatchObject({
      restarts: KILLS.length,
      crashes: KILLS.length + startsKilled,
      startFailures: startsKilled,
      mostProcesses: 1,
    });
    // From one that served to the next that did, whatever failed in between.
    expect(restarted.slice(1).map(({ previousInstanceId }) => previousInstanceId)).toEqual(
      restarted.slice(0, -1).map(({ instanceId }) => instanceId),
    );
    expect(new Set(sessions.map(({ lease: { pid } }) => pid))).toEqual(new Set([restarted.at(-1)?.pid]));
  });

  it('[REAL-3] a call that is lost twice is refused, and may be tried again', async () => {
    const pool = open({ everything: { ...everything, restart: { minDelay: 1, maxDelay: 20 } } });
    const sessions = await connectAll(pool, 20);
    const restarted = record(pool, 'server:restarted');
    pool.once('server:restarted', ({ pid }) => kill(pid));
    const load = new Load(sessions);
    await load.rounds(1);
    kill(sessions[0]?.lease.pid);
    await until('it was restarted twice', () => restarted.length === 2);
    await load.rounds(3);
    await load.stop();
    const readOnly = load.failures.filter(({ method }) => method !== 'tools/call');
    expect(readOnly.length).toBeGreaterThan(0);
    for (const failure of load.failures) expect(failure).toEqual({ ...LOST, method: failure.method });
    for (const { data } of readOnly) expect(data).toMatchObject({ mayHaveRun: true });
    expectUndisturbed(sessions);
  });

  it('[REAL-3] who comes while it restarts gets the next one; who leaves meanwhile leaves nothing behind', async () => {
    const restart = { minDelay: 60_000, maxDelay: 60_000 };
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', restart } });
    const restarting = record(pool, 'server:restarting');
    const one = await connect(pool);
    const { pid } = one.lease;
    kill(pid);
    await until('it restarts', () => restarting.length === 1);
    const late = await connect(pool);
    expect(late.lease.pid).toBe(one.lease.pid);
    expect(late.lease.pid).not.toBe(pid);
    expect(await one.client.callTool('pid')).toBe(one.lease.pid);

    // The second crash in a row has to wait. Nobody waits with it.
    kill(one.lease.pid);
    await until('it restarts', () => restarting.length === 2);
    const waiting = one.client.request('tools/list');
    await one.client.close();
    late.lease.release();
    expect([one.client.closeCount, late.client.closeCount]).toEqual([1, 1]);
    await until('the slot is free', () => pool.status().processes === 0);
    expect(descendants()).toEqual([]);
    expect(pool.metrics()).toMatchObject({ started: 2, restarts: 1 });
    void waiting;
    const again = await connect(pool);
    expect(await again.client.callTool('echo', { text: 'again' })).toBe('again');
  });

  it('[REAL-3] the clients of every SDK go on, and learn why a call was lost', async () => {
    const pool = open({ everything });
    const clients = await Promise.all(
      Object.values(sdkClients).map(async (create) => {
        const client = create();
        const lease = await pool.getServer('everything');
        await client.connect(lease.transport);
        return { client, lease };
      }),
    );
    const { pid } = (clients[0] as (typeof clients)[0]).lease;
    const calls = clients.map(async ({ client }) => {
      let begun = false;
      const args = { duration: 20, steps: 400 };
      const call = client.callTool(
        { name: 'trigger-long-running-operation', arguments: args },
        {
          onprogress: () => {
            begun = true;
          },
        },
      );
      call.catch(() => {});
      await until('the call has begun', () => begun);
      return { call };
    });
    const lost = await Promise.all(calls);
    kill(pid);
    for (const { call } of lost) {
      expect(await rejection(call)).toMatchObject({ code: LOST.code, data: { ...LOST.data, mayHaveRun: true } });
    }
    for (const { client, lease } of clients) {
      expect((await client.listTools()).tools.length).toBeGreaterThan(10);
      expect(textOf(await client.callTool({ name: 'echo', arguments: { message: 'on' } }))).toBe('Echo: on');
      expect(lease.pid).not.toBe(pid);
    }
    expect(new Set(clients.map(({ lease }) => lease.pid)).size).toBe(1);
  });

  it('[REAL-3] 10 times in a row: nothing piles up', async () => {
    const restart = { maxRestarts: 100, minDelay: 1, maxDelay: 5 };
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', restart } });
    const sessions = [await connect(pool), await connect(pool)] as const;
    const [{ client, lease }] = sessions;
    await client.request('tools/list');
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    for (let turn = 0; turn < 10; turn++) {
      kill(lease.pid);
      expect(await client.request('resources/list', {})).toEqual({ resources: [] });
      expect(await client.callTool('pid')).toBe(lease.pid);
    }
    await until('the pipes of all but one are closed', () => descriptors() <= before);
    expect(pool.registry.size).toBe(1);
    expect(descendants().length).toBe(1);
    expect(pool.metrics()).toMatchObject({ restarts: 10, crashes: 10, mostProcesses: 1 });
    expectUndisturbed(sessions);
  });

  it('[REAL-3] under a shell: the whole old tree is dead before the new one starts', async () => {
    const pool = open({ echo: { ...wrapped('echo'), sharing: 'shared' } });
    const { client, lease } = await connect(pool);
    const server = (await client.callTool('pid')) as number;
    expect(descendants().length).toBe(2);
    const restarted = record(pool, 'server:restarted');
    const atStart: boolean[] = [];
    pool.on('server:starting', () => atStart.push(isLiving(server)));
    const { pid } = lease;
    kill(pid);
    await until('it was restarted', () => restarted.length === 1);
    expect(await client.request('tools/list')).toMatchObject({ tools: expect.any(Array) });
    expect(atStart).toEqual([false]);
    expect(lease.pid).not.toBe(pid);
    expect(descendants().length).toBe(2);

    // Now the server itself, so that the shell ends with 0: unasked all the same.
    const exited = record(pool, 'server:exited');
    kill((await client.callTool('pid')) as number);
    await until('it was restarted again', () => restarted.length === 2);
    expect(await client.request('tools/list')).toMatchObject({ tools: expect.any(Array) });
    expect(exited).toMatchObject([{ exitCode: 0, signal: null, unexpected: true }]);
    expect(descendants().length).toBe(2);
    expect(client.closeCount).toBe(0);
  });

  it('[REAL-3] one that lives but hears nothing any more is ended and followed by another', async () => {
    const pool = open({ deaf: { ...fixture('closes-stdin'), sharing: 'shared' } });
    const restarted = record(pool, 'server:restarted');
    const [{ client, lease }, other] = [await connect(pool), await connect(pool)] as const;
    const { pid } = lease;
    await client.callTool('close');
    await until('it is followed by another', async () => {
      await other.client.notify('notifications/x');
      return restarted.length === 1;
    });
    expect(await other.client.request('tools/list')).toMatchObject({ tools: expect.any(Array) });
    expect(isLiving(pid ?? 0)).toBe(false);
    expect([client.closeCount, other.client.closeCount]).toEqual([0, 0]);
    expect(descendants().map((row) => row.pid)).toEqual([lease.pid]);
  });

  it('[REAL-3] a server whose program is gone when it crashes ends its leases with the reason', async () => {
    const program = temporaryPath('program');
    symlinkSync(process.execPath, program);
    const restart = { maxRestarts: 3, minDelay: 1, maxDelay: 10 };
    const pool = open({ echo: { ...fixture('echo'), command: program, sharing: 'shared', restart } });
    const failed = record(pool, 'server:failed');
    const { lease, client } = await connect(pool);
    rmSync(program);
    kill(lease.pid);
    await client.closed;
    expect(client.closeCount).toBe(1);
    expect(client.errors).toMatchObject([{ code: 'BREAKER_OPEN' }]);
    expect(failed.map(({ error }) => error.code)).toEqual([
      'COMMAND_NOT_FOUND',
      'COMMAND_NOT_FOUND',
      'COMMAND_NOT_FOUND',
    ]);
    expect((await fails(pool.getServer())).code).toBe('BREAKER_OPEN');
    await until('the slot is free', () => pool.status().processes === 0);
  });
});

describe('a replacement under load', () => {
  /** What has to be done for it, and what shows that it was done. */
  const ways: Record<string, (pool: MCPServerPool) => Promise<void>> = {
    'pool.restart()': (pool) => pool.restart('everything'),
    'a changed definition': (pool) => {
      const maxInstances = pool.status().servers.everything?.maxInstances ?? 1;
      return pool.updateServer('everything', { ...everything, maxInstances, env: { GENERATION: '2' } });
    },
  };
  const rooms: Record<string, { maxInstances: number; maxProcesses: number; most: number; other: boolean }> = {
    'the new one first': { maxInstances: 2, maxProcesses: 15, most: 2, other: false },
    'maxInstances: 1': { maxInstances: 1, maxProcesses: 15, most: 1, other: false },
    'a full pool': { maxInstances: 2, maxProcesses: 2, most: 2, other: true },
  };
  const cases = Object.keys(ways).flatMap((way) => Object.keys(rooms).map((room): [string, string] => [way, room]));

  it.each(cases)('[REAL-4] by %s, with %s: no call fails, never more processes than allowed', async (way, room) => {
    const replace = ways[way] as (typeof ways)[''];
    const { maxInstances, maxProcesses, most, other } = rooms[room] as (typeof rooms)[''];
    const pool = open(
      { everything: { ...everything, maxInstances }, other: { ...fixture('echo'), maxInstances: 1 } },
      { limits: { maxProcesses } },
    );
    const restarted = record(pool, 'server:restarted');
    const released = record(pool, 'lease:released');
    const stopped = record(pool, 'server:stopped');
    if (other) await pool.getServer('other');
    const sessions = await connectAll(pool, SESSIONS);
    const leases = sessions.map(({ lease }) => lease);
    const processes = watchProcesses();
    const load = new Load(sessions);
    // A call that takes its time has begun when the process is replaced; it tells of its progress.
    const { client: slow } = await connect(pool, 'everything');
    await load.rounds(2);
    const [{ pid, instanceId }] = leases as [PooledServer];
    const long = slow.request('tools/call', {
      name: 'trigger-long-running-operation',
      arguments: { duration: 0.2, steps: 4 },
      _meta: { progressToken: 'long' },
    });
    await replace(pool);
    expect(isLiving(pid ?? 0)).toBe(false);
    expect(await long).toMatchObject({ content: [{ text: expect.stringContaining('completed') }] });
    expect(restarted).toMatchObject([{ previousInstanceId: instanceId, leases: SESSIONS + 1 }]);
    const [next] = restarted;
    for (const lease of leases) expect([lease.pid, lease.instanceId]).toEqual([next?.pid, next?.instanceId]);
    expect(stopped).toMatchObject([{ pid, reason: way === 'pool.restart()' ? 'restart' : 'replaced' }]);
    expect(((await slow.callTool('get-env')) as { GENERATION?: string }).GENERATION).toBe(
      way === 'pool.restart()' ? undefined : '2',
    );
    await load.rounds(3);
    await load.stop();

    expect(load.failures).toEqual([]);
    expectUndisturbed(sessions);
    expect(slow.notifications('notifications/progress')).toEqual(
      [1, 2, 3, 4].map((progress) => ({ progress, total: 4, progressToken: 'long' })),
    );
    expect(released).toEqual([]);
    expect(processes.most).toBe(most);
    expect(pool.metrics()).toMatchObject({ crashes: 0, startFailures: 0, mostProcesses: most });
  });

  it.each([1, 2])(
    '[REAL-4] with maxInstances: %i is none of the restarts that nobody asked for',
    async (maxInstances) => {
      const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', maxInstances } });
      const { lease } = await connect(pool);
      const { pid } = lease;
      await pool.restart('echo');
      expect(lease.pid).not.toBe(pid);
      expect(pool.metrics()).toMatchObject({ started: 2, crashes: 0, restarts: 0 });
    },
  );

  it('[REAL-4] where one may run, the old one is proven dead before the next starts, however it resists', async () => {
    const policy = { sharing: 'shared' as const, maxInstances: 1, eofGrace: 150, termGrace: 150 };
    const pool = open({ stubborn: { ...fixture('ignore-eof-and-term'), ...policy } });
    const { lease, client } = await connect(pool);
    const old = lease.pid ?? 0;
    const atStart: boolean[] = [];
    pool.on('server:starting', () => atStart.push(isLiving(old)));
    const restarting = pool.restart('stubborn');
    expect(await client.callTool('echo', { text: 'held' })).toBe('held');
    await restarting;
    expect(atStart).toEqual([false]);
    expect(lease.pid).not.toBe(old);
  });

  it('[REAL-4] two at once are one; one that is killed while it is replaced is followed by one', async () => {
    const pool = open({ everything: { ...everything, maxInstances: 2 } });
    const restarted = record(pool, 'server:restarted');
    const sessions = await connectAll(pool, 20);
    const processes = watchProcesses();
    const load = new Load(sessions);
    await load.rounds(1);
    await Promise.all([pool.restart('everything'), pool.restart('everything')]);
    expect(restarted.length).toBe(1);
    await load.rounds(2);
    expect(load.failures).toEqual([]);

    pool.once('server:starting', () => kill(sessions[0]?.lease.pid));
    await pool.restart('everything');
    await until('the leases have the next', () => restarted.length === 2);
    await load.rounds(2);
    await load.stop();
    for (const failure of load.failures) expect(failure).toEqual(LOST);
    expectUndisturbed(sessions);
    expect(processes.most).toBe(2);
    expect(pool.metrics()).toMatchObject({ crashes: 1, started: 3 });
    await until('one is left', () => descendants().length === 1);
  });

  it('[REAL-4] one that is killed while it finishes what it has is followed by one', async () => {
    const pool = open({ everything: { ...everything, maxInstances: 1 } });
    const restarted = record(pool, 'server:restarted');
    const sessions = await connectAll(pool, 20);
    const { lease, client: slow } = await connect(pool, 'everything');
    const processes = watchProcesses();
    const load = new Load(sessions);
    await load.rounds(1);
    const long = slow.request('tools/call', {
      name: 'trigger-long-running-operation',
      arguments: { duration: 20, steps: 200 },
      _meta: { progressToken: 'long' },
    });
    await until('it works on it', () => slow.notifications('notifications/progress').length > 0);
    const replacing = pool.restart('everything');
    // New calls are held meanwhile, but the one that has begun keeps the old process.
    await until('all other calls wait', () => pool.status().servers.everything?.instances[0]?.openRequests === 1);
    kill(lease.pid);
    expect(await rejection(long)).toMatchObject({ code: LOST.code, data: { ...LOST.data, mayHaveRun: true } });
    await replacing;
    await until('the leases have the next', () => restarted.length === 1);
    await load.rounds(2);
    await load.stop();
    expect(load.failures).toEqual([]);
    expectUndisturbed(sessions);
    expect(processes.most).toBe(1);
    expect(pool.metrics()).toMatchObject({ crashes: 1, started: 2, restarts: 1 });
  });

  it('[REAL-4] what is not finished in time is lost, and nothing else; who leaves does not hold it up', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', maxInstances: 1 } });
    const [{ client: a }, { client: b, lease }, { client: c }] = [
      await connect(pool),
      await connect(pool),
      await connect(pool),
    ];
    const long = a.callTool('sleep', { ms: 20_000 });
    const { pid } = lease;
    const restarting = pool.restart('echo', { timeout: 100 });
    const held = b.callTool('echo', { text: 'held' });
    const late = connect(pool);
    expect(await rejection(long)).toMatchObject({
      code: LOST.code,
      data: { reason: 'SERVER_STOPPED', retryable: true, mayHaveRun: true },
    });
    await restarting;
    expect(await held).toBe('held');
    expect(lease.pid).not.toBe(pid);
    expect((await late).lease.pid).toBe(lease.pid);
    (await late).lease.release();

    // The one for whose call everybody waits closes.
    const { pid: second } = lease;
    void c.callTool('sleep', { ms: 20_000 });
    const again = pool.restart('echo');
    const heldAgain = b.callTool('echo', { text: 'held again' });
    await c.close();
    await again;
    expect(await heldAgain).toBe('held again');
    expect(lease.pid).not.toBe(second);

    // All close: there is nothing to be started for.
    const starting = record(pool, 'server:starting');
    void a.callTool('sleep', { ms: 20_000 });
    const last = pool.restart('echo');
    await b.close();
    await a.close();
    await last;
    expect(descendants()).toEqual([]);
    expect(starting).toEqual([]);
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[REAL-4] a second call with a timeout hurries the first, which has none', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', maxInstances: 2 } });
    const { client } = await connect(pool);
    const long = client.callTool('sleep', { ms: 20_000 });
    long.catch(() => {});
    const ends: string[] = [];
    void pool.restart('echo').then(() => ends.push('the first'));
    void pool.restart('echo', { timeout: 100 }).then(() => ends.push('the second'));
    await until('both are done', () => ends.length === 2, { timeout: 3_000 });
    expect(await rejection(long)).toMatchObject({ data: { reason: 'SERVER_STOPPED', mayHaveRun: true } });
    expect(await client.callTool('echo', { text: 'on' })).toBe('on');
  });

  it('[REAL-4] a definition that cannot be started is refused; the old one serves on', async () => {
    const pool = open({ everything: { ...everything, maxInstances: 2 } });
    const sessions = await connectAll(pool, 20);
    const { pid } = (sessions[0] as Session).lease;
    const load = new Load(sessions);
    await load.rounds(1);
    const broken = { ...fixture('dies-in-handshake'), sharing: 'shared' as const, maxInstances: 2 };
    const error = await fails(pool.updateServer('everything', broken));
    expect(error).toMatchObject({ code: 'SERVER_EXITED', data: { exitCode: 3 } });
    expect(error.data.stderrTail).toContain('cannot open the vault');
    await load.rounds(2);
    await load.stop();
    expect(load.failures).toEqual([]);
    expectUndisturbed(sessions);
    expect(new Set(sessions.map(({ lease }) => lease.pid))).toEqual(new Set([pid]));
    // And it can be put right.
    await pool.updateServer('everything', { ...everything, maxInstances: 2, env: { GENERATION: '2' } });
    const environment = await sessions[0]?.client.callTool('get-env');
    expect(environment).toMatchObject({ GENERATION: '2' });
    expect(pool.status().processes).toBe(1);
  });

  const replacements: [string, number, (pool: MCPServerPool, pid: number | undefined) => Promise<void>][] = [
    ['restart(), the new one first', 2, (pool) => pool.restart('tells')],
    ['restart(), the old one first', 1, (pool) => pool.restart('tells')],
    ['a crash', 1, async (_, pid) => kill(pid)],
  ];
  it.each(replacements)('[REAL-4] subscriptions and log levels survive %s', async (_, maxInstances, replace) => {
    const pool = open({ tells: { ...fixture('tells'), sharing: 'shared', maxInstances } });
    const restarted = record(pool, 'server:restarted');
    const [{ client: a, lease }, { client: b }] = [await connect(pool), await connect(pool)];
    await a.request('resources/subscribe', { uri: 'a://1' });
    await b.request('resources/subscribe', { uri: 'a://1' });
    await b.request('resources/subscribe', { uri: 'a://2' });
    await b.request('resources/subscribe', { uri: 'a://3' });
    await b.request('resources/unsubscribe', { uri: 'a://3' });
    await a.request('logging/setLevel', { level: 'warning' });
    await b.request('logging/setLevel', { level: 'error' });
    const told = { level: 'warning', uris: ['a://1', 'a://2'] };
    expect(await a.callTool('told')).toEqual(told);

    await replace(pool, lease.pid);
    // Sent while there may be no process: heeded by the next one.
    const later = b.request('resources/subscribe', { uri: 'a://4' });
    await until('it was replaced', () => restarted.length === 1);
    expect(await later).toEqual({});
    expect(await a.callTool('pid')).toBe(restarted[0]?.pid);
    expect(await a.callTool('told')).toEqual({ ...told, uris: [...told.uris, 'a://4'] });
    const seen = (await a.callTool('seen')) as { method: string }[];
    expect(seen.filter(({ method }) => method === 'initialize').length).toBe(1);

    for (const uri of ['a://1', 'a://2', 'a://3', 'a://4']) await a.callTool('update', { uri });
    for (const level of ['info', 'warning', 'error']) await a.callTool('log', { level, text: level });
    await b.request('tools/list');
    const updates = (client: RawClient) => client.notifications('notifications/resources/updated');
    const logs = (client: RawClient) => client.notifications('notifications/message');
    expect(updates(a)).toEqual([{ uri: 'a://1' }]);
    expect(updates(b)).toEqual([{ uri: 'a://1' }, { uri: 'a://2' }, { uri: 'a://4' }]);
    expect(logs(a)).toMatchObject([{ level: 'warning' }, { level: 'error' }]);
    expect(logs(b)).toMatchObject([{ level: 'error' }]);
  });

  it('[REAL-4] a subscription on a real server survives a crash', async () => {
    const pool = open({ everything });
    const [{ client, lease }, { client: other }] = (await connectAll(pool, 2)) as [Session, Session];
    const uri = 'demo://resource/dynamic/text/1';
    await client.request('resources/subscribe', { uri });
    const { pid } = lease;
    kill(pid);
    expect(await client.request('resources/read', { uri })).toMatchObject({ contents: [{ uri }] });
    await client.callTool('toggle-subscriber-updates');
    await until('it is told', () => client.notifications('notifications/resources/updated').length > 0);
    expect(client.notifications('notifications/resources/updated')).toEqual([{ uri }]);
    expect(other.notifications('notifications/resources/updated')).toEqual([]);
    expect(lease.pid).not.toBe(pid);
  });
});

describe('a server that crashes again and again', () => {
  const restart = { maxRestarts: 3, minDelay: 1, maxDelay: 20, cooldown: 1_500 };

  /** A crash-looping server that shares, and what is told of it. */
  function crashing(...args: string[]) {
    const file = temporaryPath('broken');
    writeFileSync(file, '');
    const definition: ServerDefinition = { ...fixture('crash-loop', `--while=${file}`, ...args), sharing: 'shared' };
    const pool = open({ loops: { ...definition, restart, maxInstances: 3 } });
    const starting = record(pool, 'server:starting');
    const opened = record(pool, 'breaker:opened');
    const halfOpened = record(pool, 'breaker:half-opened');
    const closed = record(pool, 'breaker:closed');
    return {
      pool,
      starting,
      opened,
      halfOpened,
      closed,
      repair: () => rmSync(file),
      break: () => writeFileSync(file, ''),
    };
  }

  /** Calls in a row while the breaker is open: refused, fast, without a start. */
  async function expectRefusals(pool: MCPServerPool, starting: readonly unknown[]): Promise<void> {
    const before = starting.length;
    const since = performance.now();
    for (let call = 0; call < 5; call++) {
      const error = await fails(pool.getServer('loops'));
      expect(error.code).toBe('BREAKER_OPEN');
      expect(error.data).toMatchObject({ name: 'loops', exitCode: 7, signal: null });
      expect(error.data.stderrTail).toContain('the vault cannot be opened');
    }
    expect(performance.now() - since).toBeLessThan(1_000);
    expect(starting.length).toBe(before);
  }

  it('[REAL-5] soon after each start: bounded starts in one slot, its leases end, callers are refused at once', async () => {
    const { pool, starting, opened, halfOpened, closed, repair } = crashing('--ms=50');
    const restarting = record(pool, 'server:restarting');
    const processes = watchProcesses();
    const sessions = await Promise.all(Array.from({ length: 10 }, () => connect(pool)));
    const held = sessions.map(({ client }) => client.request('tools/call', { name: 'no such tool' }));
    await Promise.all(sessions.map(({ client }) => client.closed));
    for (const { client } of sessions) {
      expect(client.closeCount).toBe(1);
      expect(client.errors).toMatchObject([{ code: 'BREAKER_OPEN' }]);
      expect((client.errors[0] as PoolError).data.stderrTail).toContain('the vault cannot be opened');
      expect(await fails(client.transport.send({ jsonrpc: '2.0', method: 'x' }))).toMatchObject({
        code: 'BREAKER_OPEN',
      });
    }
    expect((await Promise.allSettled(held)).length).toBe(10);
    // One start, then as many restarts as the policy allows.
    expect(starting.length).toBe(1 + restart.maxRestarts);
    expect(restarting.length).toBe(restart.maxRestarts);
    expect(opened).toMatchObject([{ name: 'loops', cooldown: restart.cooldown }]);
    expect(processes.most).toBe(1);
    await expectRefusals(pool, starting);
    await until('the slot is free', () => pool.status().processes === 0);
    expect(pool.metrics()).toMatchObject({ mostProcesses: 1, released: 10 });
    expect(pool.status().leases).toBe(0);

    repair();
    const back = await until('it is tried again', () => pool.getServer('loops').catch(() => undefined), {
      interval: 50,
    });
    expect(starting.length).toBe(2 + restart.maxRestarts);
    expect([halfOpened.length, closed.length]).toEqual([1, 1]);
    const client = await RawClient.connect(back.transport);
    expect(await client.callTool('echo', { text: 'it works again' })).toBe('it works again');
  });

  it('[REAL-5] before it is ready: the same; exactly one probe after the cooldown', async () => {
    const { pool, starting, opened, halfOpened, closed, repair } = crashing('--at-once');
    const processes = watchProcesses();
    // Callers that come one after the other: each start that fails is told to one of them.
    const codes: string[] = [];
    for (let call = 0; call < 8; call++) codes.push((await fails(pool.getServer('loops'))).code);
    expect(starting.length).toBe(1 + restart.maxRestarts);
    expect(codes.slice(restart.maxRestarts + 1).every((code) => code === 'BREAKER_OPEN')).toBe(true);
    expect(opened.length).toBe(1);
    await expectRefusals(pool, starting);

    const tryAll = async (count: number) =>
      (await Promise.allSettled(Array.from({ length: count }, () => pool.getServer('loops')))).map((result) =>
        result.status === 'fulfilled' ? result.value : (result.reason as PoolError),
      );
    // As soon as it has cooled down, the first of ten who come at once is the probe; it fails.
    const before = starting.length;
    await until('it has cooled down', async () => (await tryAll(10)).length > 0 && halfOpened.length === 1, {
      interval: 50,
    });
    expect(starting.length).toBe(before + 1);
    expect(closed).toEqual([]);
    expect(opened.length).toBe(2);
    await expectRefusals(pool, starting);

    repair();
    const leases: PooledServer[] = [];
    await until(
      'it has cooled down again',
      async () => {
        for (const result of await tryAll(10)) if ('transport' in result) leases.push(result);
        return closed.length === 1;
      },
      { interval: 50 },
    );
    expect(starting.length).toBe(before + 2);
    expect(halfOpened.length).toBe(2);
    expect(leases.length).toBeGreaterThan(0);
    expect((await pool.getServer('loops')).pid).toBe(leases[0]?.pid);
    expect(processes.most).toBe(1);
    await until('what failed is gone', () => descendants().length === 1);
  });

  it('[REAL-5] ten callers at once on one that cannot be started get an error each, from bounded starts', async () => {
    const { pool, starting } = crashing('--at-once');
    const errors = await Promise.all(Array.from({ length: 10 }, () => fails(pool.getServer('loops'))));
    expect(errors.every(({ code }) => code === 'SERVER_EXITED' || code === 'BREAKER_OPEN')).toBe(true);
    expect(starting.length).toBeLessThanOrEqual(1 + restart.maxRestarts);
    await until('the slots are free', () => pool.status().processes === 0);
  });

  it('[REAL-5] a crash loop that is repaired in time is survived by its leases', async () => {
    const { pool, opened, repair, break: breakIt } = crashing('--at-once');
    repair();
    const { lease, client } = await connect(pool);
    const starting = record(pool, 'server:starting');
    breakIt();
    pool.on('server:failed', () => {
      if (starting.length === 2) repair();
    });
    kill(lease.pid);
    const listed = client.request('tools/list');
    expect(await listed).toMatchObject({ tools: expect.any(Array) });
    expect(client.closeCount).toBe(0);
    expect(starting.length).toBe(3);
    expect(opened).toEqual([]);
    expect(pool.metrics()).toMatchObject({ restarts: 1, startFailures: 2 });
  });

  it('[REAL-5] a definition that was put right serves its leases at once, whatever the old one had to wait for', async () => {
    const file = temporaryPath('broken');
    const definition = { ...fixture('crash-loop', `--while=${file}`, '--at-once'), sharing: 'shared' as const };
    const slow = { maxRestarts: 100, minDelay: 20_000, maxDelay: 20_000 };
    const pool = open({ loops: { ...definition, restart: slow } });
    const restarting = record(pool, 'server:restarting');
    const starting = record(pool, 'server:starting');
    const { lease, client } = await connect(pool);
    writeFileSync(file, '');
    kill(lease.pid);
    // It is started again at once after the first failure, but waits after the second: up to 20 s, at random.
    await until('it waits', () => restarting.some(({ delay }) => delay > 4_000));
    const before = starting.length;
    const updated = pool.updateServer('loops', { ...fixture('echo'), sharing: 'shared', restart: slow });
    updated.catch(() => {});
    let answer: unknown;
    const call = client.callTool('echo', { text: 'back' }).then((text) => {
      answer = text;
    });
    call.catch(() => {});
    await until('it serves', () => answer !== undefined, { timeout: 2_000 });
    expect(answer).toBe('back');
    expect(starting.length).toBe(before + 1);
    await updated;
  });

  it('[REAL-5] one tenant does not open the breaker of another', async () => {
    const { pool, repair, starting } = crashing('--at-once');
    for (let call = 0; call < 5; call++) await fails(pool.getServer('loops', { tenant: 'alice' }));
    expect((await fails(pool.getServer('loops', { tenant: 'alice' }))).code).toBe('BREAKER_OPEN');
    const before = starting.length;
    repair();
    expect((await pool.getServer('loops', { tenant: 'bob' })).tenant).toBe('bob');
    expect(starting.length).toBe(before + 1);
  });
});

describe('tools that are not the same after a restart', () => {
  function changing() {
    const file = temporaryPath('tools.json');
    const has = (tools: Record<string, string>) => writeFileSync(file, JSON.stringify(tools));
    has({ kept: 'same', lost: 'soon', altered: 'before' });
    const pool = open({ tools: { ...fixture('tools-from-file', `--tools=${file}`, '--page=2'), sharing: 'shared' } });
    const changed = record(pool, 'tools:changed');
    const restarted = record(pool, 'server:restarted');
    return { pool, has, changed, restarted };
  }
  const LIST_CHANGED = 'notifications/tools/list_changed';

  /** As an SDK client does: all pages. */
  async function list({ client }: Session): Promise<string[]> {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = (await client.request('tools/list', cursor === undefined ? {} : { cursor })) as {
        tools: { name: string }[];
        nextCursor?: string;
      };
      names.push(...page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return names;
  }

  const ways: [string, (pool: MCPServerPool, pid: number | undefined) => void][] = [
    ['a crash', (_, pid) => kill(pid)],
    ['pool.restart()', (pool) => void pool.restart('tools')],
  ];
  it.each(ways)('[REAL-6] are told by an event with names, and to every client, after %s', async (_, restart) => {
    const { pool, has, changed } = changing();
    const sessions = [await connect(pool), await connect(pool), await connect(pool)] as const;
    const [one, two] = sessions;
    expect(await list(one)).toEqual(['kept', 'lost', 'altered']);
    has({ kept: 'same', altered: 'after', added: 'new' });
    restart(pool, one.lease.pid);
    const [event] = await until('it is told', () => changed.length === 1 && changed);
    expect(event).toMatchObject({ name: 'tools', lost: ['lost'], added: ['added'], changed: ['altered'] });
    expect(event).toMatchObject({ pid: one.lease.pid, instanceId: one.lease.instanceId });
    for (const { client } of sessions) expect(client.notifications(LIST_CHANGED).length).toBe(1);
    expect(await list(two)).toEqual(['kept', 'altered', 'added']);
    expect(await two.client.callTool('added')).toBe('new');
    expect(await rejection(one.client.callTool('lost'))).toMatchObject({ code: -32_602 });
  });

  it('[REAL-6] say nothing when they are the same', async () => {
    const { pool, changed, restarted } = changing();
    const session = await connect(pool);
    await list(session);
    kill(session.lease.pid);
    await until('it was restarted', () => restarted.length === 1);
    await list(session);
    expect(changed).toEqual([]);
    expect(session.client.notifications(LIST_CHANGED)).toEqual([]);
  });

  it('[REAL-6] are told once it lives, though the next process crashed before it had listed its tools', async () => {
    const { pool, has, changed, restarted } = changing();
    const session = await connect(pool);
    await list(session);
    pool.once('server:restarted', ({ pid }) => {
      has({ kept: 'same' });
      kill(pid);
    });
    kill(session.lease.pid);
    await until('it was restarted twice', () => restarted.length === 2);
    await until('it is told', () => changed.length === 1, { timeout: 3_000 });
    expect(changed).toMatchObject([{ lost: ['lost', 'altered'], added: [], changed: [] }]);
    expect(session.client.notifications(LIST_CHANGED).length).toBe(1);
  });
});

describe('what becomes of the leases of a server that crashes', () => {
  it("[REAL-3] onCrash: 'close' on a shared server ends them all, with why", async () => {
    const pool = open({ echo: { ...fixture('exit-after'), sharing: 'shared', onCrash: 'close' } });
    const restarting = record(pool, 'server:restarting');
    const sessions = [await connect(pool), await connect(pool), await connect(pool)] as const;
    const open1 = fails(sessions[1].client.request('tools/list', {}));
    const lost = await rejection(sessions[0].client.callTool('crash'));
    expect(lost).toMatchObject({ code: LOST.code, data: { ...LOST.data, retryable: false, mayHaveRun: true } });
    await open1.catch(() => {});
    for (const { client, lease } of sessions) {
      await client.closed;
      expect(client.closeCount).toBe(1);
      expect(client.errors).toMatchObject([{ code: 'SERVER_EXITED', data: { signal: 'SIGKILL' } }]);
      expect(lease.release()).toBe(false);
      expect((await fails(client.transport.send({ jsonrpc: '2.0', method: 'x' }))).code).toBe('SERVER_EXITED');
    }
    expect(restarting).toEqual([]);
    expect(pool.metrics()).toMatchObject({ restarts: 0, crashes: 1, released: 3 });
    expect((await connect(pool)).lease.pid).not.toBe(sessions[0].lease.pid);
  });

  it("[REAL-3] onCrash: 'restart' on an exclusive server keeps its one lease", async () => {
    const pool = open({
      echo: { ...fixture('exit-after'), sharing: 'exclusive', onCrash: 'restart', maxInstances: 1 },
    });
    const restarted = record(pool, 'server:restarted');
    const { client, lease } = await connect(pool);
    const { pid, id } = lease;
    expect(await rejection(client.callTool('exit', { code: 3 }))).toMatchObject({
      data: { reason: 'SERVER_EXITED', retryable: true, mayHaveRun: true, exitCode: 3, signal: null },
    });
    expect(await client.request('tools/list')).toMatchObject({ tools: expect.any(Array) });
    expect(restarted).toMatchObject([{ leases: 1 }]);
    expect(lease.id).toBe(id);
    expect(lease.pid).not.toBe(pid);
    expect(await client.callTool('pid')).toBe(lease.pid);
    expect([client.closeCount, client.errors]).toEqual([0, []]);
    expect(lease.release()).toBe(true);
    expect(client.closeCount).toBe(1);
    // The process that it was left with is as good for the next.
    expect((await connect(pool)).lease.pid).toBe(restarted[0]?.pid);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });
});
