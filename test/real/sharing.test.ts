import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PooledServer, ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { fixture } from '../helpers/fixture.js';
import { descendants, MARKER } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';
import { sdkClients, tap, textOf } from '../helpers/sdk-clients.js';
import { until } from '../helpers/until.js';

const { resolve } = createRequire(import.meta.url);

/** A published server, shared. */
function official(name: 'everything' | 'memory', policy: Partial<ServerDefinition> = {}): ServerDefinition {
  const args = [resolve(`@modelcontextprotocol/server-${name}/dist/index.js`)];
  return { command: process.execPath, args, inheritEnv: [MARKER], sharing: 'shared', ...policy };
}

/** A folder that is gone after the test. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-sharing-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const LONG = 'trigger-long-running-operation';

describe('1,000 sessions on one real server', () => {
  it('[REAL-1] each gets every answer and every progress notice of its own, once, in order', async () => {
    const SESSIONS = 1_000;
    const pool = open({ everything: official('everything', { maxSessions: SESSIONS, maxInstances: 1 }) });
    const leases = await Promise.all(Array.from({ length: SESSIONS }, () => pool.getServer('everything')));
    expect(new Set(leases.map(({ pid }) => pid)).size).toBe(1);
    expect(descendants().map(({ pid }) => pid)).toEqual([leases[0]?.pid]);
    const sdks = Object.values(sdkClients);
    const raws = leases.slice(0, SESSIONS - sdks.length);

    const others = leases.slice(raws.length).map(async (lease, number) => {
      const client = (sdks[number] as (typeof sdks)[0])();
      await client.connect(lease.transport);
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain(LONG);
      const message = `an SDK's ${number}`;
      expect(textOf(await client.callTool({ name: 'echo', arguments: { message } }))).toBe(`Echo: ${message}`);
      const notices: unknown[] = [];
      const reported = tap(lease.transport, 'notifications/progress');
      const args = { duration: 0.02, steps: 5 + number };
      const onprogress = (notice: unknown) => notices.push(notice);
      const result = await client.callTool({ name: LONG, arguments: args }, { onprogress });
      expect(textOf(result)).toContain(`Steps: ${args.steps}.`);
      const expected = Array.from({ length: args.steps }, (_, step) => ({ progress: step + 1, total: args.steps }));
      expect(reported).toMatchObject(expected);
      expect(reported.length).toBe(expected.length);
      expect(notices).toEqual(expected);
      await client.close();
    });

    const all = raws.map(async (lease, number) => {
      const client = await RawClient.connect(lease.transport);
      // All of them use the same ids and the same two tokens, so that one that goes astray meets a match.
      const progressToken = number % 2 === 0 ? 7 : '7';
      const { tools } = (await client.request('tools/list')) as { tools: { name: string }[] };
      expect(tools.length).toBeGreaterThan(10);
      const mine = `session ${number}`;
      const echo = client.request('tools/call', { name: 'echo', arguments: { message: mine } });
      // The server reports 1, 2 and 3 of `steps` in all, a number that no other session has.
      const steps = 2 + (number + 1) / 10_000;
      const long = client.request('tools/call', {
        name: LONG,
        arguments: { duration: 0.02, steps },
        _meta: { progressToken },
      });
      expect(textOf(await echo)).toBe(`Echo: ${mine}`);
      expect(textOf(await long)).toContain(`Steps: ${steps}.`);
      // Nothing but this has come, in this order: the answers to initialize, list and echo, the notices, the result.
      // (As soon as it is initialized, this server adds tools, and notifies all that are there already.)
      const received = client.received.filter(({ method }) => method !== 'notifications/tools/list_changed');
      expect(received.map(({ id, params }) => id ?? params)).toEqual([
        1,
        2,
        3,
        ...[1, 2, 3].map((progress) => ({ progressToken, progress, total: steps })),
        4,
      ]);
      expect(client.strays).toEqual([]);
      expect(client.errors).toEqual([]);
      await client.close();
      expect(client.closeCount).toBe(1);
    });
    await Promise.all([...all, ...others]);

    const { instances, ...status } = pool.status().servers.everything ?? { instances: [] };
    expect(status).toMatchObject({ idle: 1, waiting: 0 });
    expect(instances).toMatchObject([{ pid: leases[0]?.pid, state: 'ready', leases: 0, uses: SESSIONS }]);
    await until(
      'nothing is open at the server',
      () => pool.status().servers.everything?.instances[0]?.openRequests === 0,
    );
    expect(pool.metrics()).toMatchObject({ started: 1, acquired: SESSIONS, released: SESSIONS, mostProcesses: 1 });
    expect(pool.status()).toMatchObject({ processes: 1, leases: 0, waiting: 0 });
    // And it serves on.
    const client = await RawClient.connect((await pool.getServer('everything')).transport);
    expect(await client.callTool('echo', { message: 'once more' })).toBe('Echo: once more');
  });
});

describe('a real server that loses concurrent writes', () => {
  it('[REAL-2] keeps 20 pipelined ones of 20 sessions with maxInFlight: 1', async () => {
    const file = join(temporaryFolder(), 'memory.jsonl');
    const pool = open({ memory: official('memory', { maxInFlight: 1, env: { MEMORY_FILE_PATH: file } }) });
    const clients = await Promise.all(
      Array.from({ length: 20 }, async () => RawClient.connect((await pool.getServer('memory')).transport)),
    );
    const names = clients.map((_, number) => `entity ${number}`);
    // All are sent in one tick.
    const answers = await Promise.all(
      clients.map((client, number) =>
        client.callTool('create_entities', {
          entities: [{ name: names[number], entityType: 'test', observations: [`of session ${number}`] }],
        }),
      ),
    );
    expect(answers.map((answer) => (answer as { name: string }[])[0]?.name)).toEqual(names);
    const graph = (await clients[0]?.callTool('read_graph')) as { entities: { name: string }[] };
    expect(graph.entities.map(({ name }) => name).sort()).toEqual([...names].sort());
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { name: string }).name).sort()).toEqual([...names].sort());
  });
});

describe('sharing', () => {
  it('[SHARE-5] never happens between two tenants, and does between callers of one tenant', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared' } });
    const tenants = ['alice', 'bob', undefined];
    const leases = await Promise.all(
      [...tenants, ...tenants].map((tenant) => pool.getServer('echo', tenant === undefined ? {} : { tenant })),
    );
    const pids = await Promise.all(
      leases.map(async ({ transport }) => (await RawClient.connect(transport)).callTool('pid')),
    );
    expect(pids).toEqual(leases.map(({ pid }) => pid));
    expect(pids.slice(0, 3)).toEqual(pids.slice(3));
    expect(new Set(pids).size).toBe(3);
    expect(
      descendants()
        .map(({ pid }) => pid)
        .sort(),
    ).toEqual([...new Set(pids)].sort());
    expect(pool.status().servers.echo?.instances.map(({ tenant, leases: count }) => [tenant, count])).toEqual(
      tenants.map((tenant) => [tenant, 2]),
    );
  });

  it('[SHARE-5] never two definitions of which a process could see a difference', async () => {
    const folder = temporaryFolder();
    const base: ServerDefinition = { ...fixture('echo'), sharing: 'shared' };
    const changes: Partial<ServerDefinition>[] = [
      {},
      // The same under another name.
      {},
      { env: { COLOUR: 'red' } },
      { env: { COLOUR: 'blue' } },
      { cwd: folder },
      { clientCapabilities: { sampling: {} } },
    ];
    const servers = changes.map((change, number) => [`server ${number}`, { ...base, ...change }] as const);
    const pool = open(Object.fromEntries(servers));
    const leases = await Promise.all([...servers, ...servers].map(([name]) => pool.getServer(name)));
    const pids = leases.map(({ pid }) => pid);
    expect(pids.slice(0, changes.length)).toEqual(pids.slice(changes.length));
    expect(new Set(pids).size).toBe(changes.length);
    const clients = await Promise.all(leases.map(({ transport }) => RawClient.connect(transport)));
    expect(await Promise.all(clients.slice(0, changes.length).map((client) => client.callTool('cwd')))).toEqual(
      changes.map(({ cwd }) => cwd ?? process.cwd()),
    );
    const seen = (await clients[5]?.callTool('seen')) as { method: string; params: object }[];
    expect(seen.filter(({ method }) => method === 'initialize')).toMatchObject([
      { params: { capabilities: { sampling: {} } } },
    ]);
  });

  it('[SHARE-5] a changed env, cwd or capability moves the sessions to another process, one at a time', async () => {
    const base: ServerDefinition = { ...fixture('echo'), sharing: 'shared' };
    const pool = open({ echo: base });
    const [first, second] = [await pool.getServer('echo'), await pool.getServer('echo')];
    const pids = [first.pid];
    for (const change of [
      { env: { COLOUR: 'red' } },
      { cwd: temporaryFolder() },
      { clientCapabilities: { sampling: {} } },
    ]) {
      await pool.updateServer('echo', { ...base, ...change });
      expect(second.pid).toBe(first.pid);
      expect((await pool.getServer('echo')).pid).toBe(first.pid);
      pids.push(first.pid);
    }
    expect(new Set(pids).size).toBe(4);
    await until('the old ones are gone', () => descendants().length === 1);
  });

  it('[SHARE-5] up to maxSessions, then the next instance, then the queue; the least loaded takes the next', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', maxSessions: 3, maxInstances: 2 } });
    const leases: PooledServer[] = [];
    const next = async () => {
      const lease = await pool.getServer('echo');
      leases.push(lease);
      return lease;
    };
    const count = (pid: number | undefined) =>
      pool.status().servers.echo?.instances.find((instance) => instance.pid === pid)?.leases;

    const { pid: a } = await next();
    expect([(await next()).pid, (await next()).pid]).toEqual([a, a]);
    const { pid: b } = await next();
    expect(b).not.toBe(a);
    expect([count(a), count(b)]).toEqual([3, 1]);
    expect(descendants().length).toBe(2);

    // Two of the first give up their seats: 1 and 1, then 1 and 2; the next caller goes to the first.
    leases.shift()?.release();
    leases.shift()?.release();
    const { pid: tied } = await next();
    const lighter = tied === a ? b : a;
    expect((await next()).pid).toBe(lighter);
    expect([count(a), count(b)]).toEqual([2, 2]);
    await next();
    await next();
    expect([count(a), count(b)]).toEqual([3, 3]);

    const served: string[] = [];
    const waiting = ['first', 'second'].map(async (caller) => {
      const lease = await pool.getServer('echo', { timeout: 10_000 });
      served.push(caller);
      return lease;
    });
    await until('both wait', () => pool.status().servers.echo?.waiting === 2);
    expect(descendants().length).toBe(2);
    const leaving = leases.filter(({ pid }) => pid === b).slice(0, 2);
    for (const lease of leaving) lease.release();
    expect((await Promise.all(waiting)).map(({ pid }) => pid)).toEqual([b, b]);
    expect(served).toEqual(['first', 'second']);
    expect(pool.metrics()).toMatchObject({ started: 2, mostProcesses: 2 });
  });

  it('[SHARE-5] 20 callers at once on a cold server with eight seats each: just as many processes as they need', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'shared', maxSessions: 8, maxInstances: 5 } });
    const leases = await Promise.all(Array.from({ length: 20 }, () => pool.getServer('echo')));
    const loads = new Map<number | undefined, number>();
    for (const { pid } of leases) loads.set(pid, (loads.get(pid) ?? 0) + 1);
    expect([...loads.values()].every((load) => load <= 8)).toBe(true);
    expect(pool.metrics()).toMatchObject({ started: 3, mostProcesses: 3 });
  });
});
