import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { exampleProgram } from '../helpers/example.js';
import { startProgram } from '../helpers/host.js';
import { openAdapter, pidOf, serverParams } from '../helpers/metamcp.js';
import { descendants, isLiving } from '../helpers/processes.js';
import { rejection, until } from '../helpers/until.js';

const S = 'files';
const livingPids = () => descendants().map(({ pid }) => pid);

describe('the adapter with the shape of the pool of MetaMCP, with SDK 1.16', () => {
  it.each([
    [0, 1],
    [1, 2],
  ])('[MOVING-1] three lists at once of one cold session, %i spares: one process for it', async (spares, processes) => {
    const { adapter, starts } = openAdapter({ defaultIdleCount: spares });
    const params = serverParams(S, 'echo');
    const lists = await Promise.all([1, 2, 3].map(() => adapter.getSession('s1', S, params)));
    expect(new Set(lists).size).toBe(1);
    await until('the spares are ready', () => adapter.getPoolStatus().idle === spares);
    expect(starts).toHaveLength(processes);
    expect(adapter.getPoolStatus()).toMatchObject({ active: 1, activeSessionIds: ['s1'] });
    const pids = livingPids();
    expect(pids).toHaveLength(processes);
    expect(pids).toContain(await pidOf(lists[0]));
    expect(await adapter.getSession('s1', S, params)).toBe(lists[0]);
  });

  it('[MOVING-2] three sessions at once: a process for each, and a spare, which the next session gets', async () => {
    const { adapter, starts } = openAdapter();
    const params = serverParams(S, 'echo');
    const get = (sessionId: string) => adapter.getSession(sessionId, S, params);
    const pids = await Promise.all(['s1', 's2', 's3'].map(async (sessionId) => pidOf(await get(sessionId))));
    await until('the spare is ready', () => adapter.getPoolStatus().idle === 1);
    expect(new Set(pids).size).toBe(3);
    expect(starts).toHaveLength(4);
    expect(adapter.getPoolStatus()).toMatchObject({ active: 3, idleServerUuids: [S] });
    const [spare] = livingPids().filter((pid) => !pids.includes(pid));
    expect(await pidOf(await get('s4'))).toBe(spare);
    // Its process served it: no other session gets it.
    await adapter.cleanupSession('s4');
    await until('it has ended', () => !isLiving(spare as number));
    expect(adapter.getActiveSessionIds()).toEqual(['s1', 's2', 's3']);
  });

  it('[MOVING-2] the sessions of a server that the host declares shared have one process', async () => {
    const { adapter, starts } = openAdapter({
      defaultIdleCount: 0,
      policyOf: ({ uuid }) => (uuid === S ? { sharing: 'shared', reuse: 'tenant' } : {}),
    });
    const get = (sessionId: string, uuid: string) => adapter.getSession(sessionId, uuid, serverParams(uuid, 'echo'));
    const pids = await Promise.all(['s1', 's2', 's3'].map(async (sessionId) => pidOf(await get(sessionId, S))));
    expect(new Set(pids).size).toBe(1);
    expect(await pidOf(await get('s1', 'other'))).not.toBe(pids[0]);
    expect(starts).toHaveLength(2);
    await adapter.cleanupSession('s1');
    expect(await pidOf(await get('s2', S))).toBe(pids[0]);
  });

  it('[MOVING-3] a server that exits with code 0 in use: its session recovers, and no other is concerned', async () => {
    const crashes: unknown[] = [];
    const { adapter, logged } = openAdapter({ onServerCrash: (...crash) => crashes.push(crash) });
    const params = serverParams(S, 'exit-after');
    const get = async (sessionId: string) => {
      const connection = await adapter.getSession(sessionId, S, params);
      if (connection === undefined) throw new Error('no connection');
      return connection;
    };
    const [first, other] = [await get('s1'), await get('s2')];
    const [pid, otherPid] = [await pidOf(first), await pidOf(other)];
    const call = first.client.callTool({ name: 'exit', arguments: { code: 0 } });
    expect(String(await rejection(call))).toContain('exited with code 0');
    // At once: the caller that got the error may ask again.
    const second = await get('s1');
    expect(second).not.toBe(first);
    const secondPid = await pidOf(second);
    expect(isLiving(secondPid)).toBe(true);
    expect([pid, otherPid]).not.toContain(secondPid);
    expect(await get('s2')).toBe(other);
    expect(await pidOf(other)).toBe(otherPid);
    await until('a spare is ready again', () => adapter.getPoolStatus().idle === 1);
    expect(adapter.getPoolStatus().active).toBe(2);
    expect(livingPids()).toHaveLength(3);
    expect(crashes).toEqual([[S, 0, null]]);
    expect(logged).toEqual([`server ${S} exited: 0`]);
  });

  it('[MOVING-4] a change while a spare starts: the spare is replaced, who waits is served, who is served stays', async () => {
    const { adapter, logged, pool } = openAdapter();
    const served = await adapter.getSession('s1', S, serverParams(S, 'echo'));
    const servedPid = await pidOf(served);
    // Its starts come to no end.
    const stuck = serverParams(S, 'never-answers');
    const firstChange = adapter.invalidateIdleSession(S, stuck);
    const waiting = adapter.getSession('s2', S, stuck);
    const starting = () =>
      pool()
        .status()
        .servers[S]?.instances.filter(({ state }) => state === 'starting') ?? [];
    await until('a start is under way', () => starting().some(({ pid }) => pid !== undefined));
    const lost = starting().map(({ pid }) => pid as number);

    await adapter.invalidateIdleSession(S, serverParams(S, 'echo', '--changed'));
    await firstChange;
    expect(await adapter.getSession('s1', S, stuck)).toBe(served);
    expect(await pidOf(served)).toBe(servedPid);
    const waitingPid = await pidOf(await waiting);
    await until('the replaced starts have ended', () => !lost.some(isLiving));
    await until('the new spare is ready', () => adapter.getPoolStatus().idle === 1);
    const pids = livingPids();
    expect(pids).toHaveLength(3);
    expect(pids).toEqual(expect.arrayContaining([servedPid, waitingPid]));
    expect(adapter.getPoolStatus()).toMatchObject({ active: 2, activeSessionIds: ['s1', 's2'] });
    expect(logged).toEqual([]);
  });

  it.each([
    ['that ignores the end of stdin and SIGTERM', false],
    ['that stands still', true],
  ])('[MOVING-5] a server %s is gone after cleanupSession, which does not wait for it', async (_what, stopped) => {
    const { adapter } = openAdapter({ defaultIdleCount: 0 });
    const params = serverParams(S, 'ignore-eof-and-term');
    const connection = await adapter.getSession('s1', S, params);
    const pid = await pidOf(connection);
    if (stopped) process.kill(pid, 'SIGSTOP');
    const call = connection?.client.callTool({ name: stopped ? 'pid' : 'no-answer', arguments: {} });
    const failed = call?.catch(() => {});
    await adapter.cleanupSession('s1');
    // No turn of the event loop has passed, so no grace can have.
    expect(isLiving(pid)).toBe(true);
    expect(adapter.getPoolStatus()).toMatchObject({ active: 0, activeSessionIds: [] });
    await failed;
    await until('it is killed', () => !isLiving(pid));
    // The same session may begin again.
    const next = await adapter.getSession('s1', S, params);
    expect(await pidOf(next)).not.toBe(pid);
  });

  it('[MOVING-6] a session that ends while its server starts leaves no connection', async () => {
    const { adapter, logged } = openAdapter({ defaultIdleCount: 0 });
    const connection = adapter.getSession('s1', S, serverParams(S, 'never-answers'));
    await until('it starts', () => livingPids().length === 1);
    await adapter.cleanupSession('s1');
    expect(await connection).toBeUndefined();
    expect(adapter.getPoolStatus()).toEqual({ idle: 0, active: 0, activeSessionIds: [], idleServerUuids: [] });
    // The start goes on, for the next session; cleanupAll() ends it.
    await adapter.cleanupAll();
    expect(livingPids()).toEqual([]);
    expect(logged).toEqual([]);
  });

  it('[MOVING-6] a session that ends while it waits for a server of SSE that says nothing leaves no connection', async () => {
    let connections = 0;
    const server = createServer().on('connection', (socket) => {
      connections += 1;
      socket.resume().once('close', () => {
        connections -= 1;
      });
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { adapter, logged } = openAdapter();
    const { port } = server.address() as AddressInfo;
    const params = { uuid: S, name: S, type: 'SSE', url: `http://127.0.0.1:${port}/sse` } as const;
    const connection = adapter.getSession('s1', S, params);
    await until('it waits', () => connections === 1);
    await adapter.cleanupSession('s1');
    expect(await connection).toBeUndefined();
    await until('it is gone', () => connections === 0);
    expect(logged).toEqual([]);
  });

  it('[MOVING-6] a server that cannot be started: undefined, with the reason in the log, and later an error state', async () => {
    const { adapter, logged } = openAdapter({ policyOf: () => ({ restart: { maxRestarts: 1, cooldown: 60_000 } }) });
    const params = serverParams(S, 'dies-in-handshake');
    expect(await adapter.isServerInErrorState(S)).toBe(false);
    await until('it is refused', async () => {
      expect(await adapter.getSession('s1', S, params)).toBeUndefined();
      return adapter.isServerInErrorState(S);
    });
    expect(logged.find((line) => line.startsWith('No connection to server files: '))).toContain(
      'cannot open the vault',
    );
    await adapter.resetServerErrorState(S);
    expect(await adapter.isServerInErrorState(S)).toBe(false);
    expect(await pidOf(await adapter.getSession('s1', S, serverParams(S, 'echo')))).toBeGreaterThan(0);
    // What cannot be a definition is no reason for others to wait.
    await adapter.ensureIdleSessions({
      wrong: { uuid: 'wrong', name: 'wrong', command: null },
      other: serverParams('other', 'echo'),
    });
    expect(adapter.getPoolStatus().idleServerUuids).toContain('other');
    expect(logged.at(-1)).toMatch(/^No spare process of wrong: /);
  });

  it('[MOVING-6] a session ends at the age that the host asks for', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const lifetimes = [null, 3_600_000, -1];
    const { adapter } = openAdapter({ defaultIdleCount: 0, getSessionLifetime: async () => lifetimes.shift() ?? null });
    const pid = await pidOf(await adapter.getSession('s1', S, serverParams(S, 'echo')));
    for (const sessions of [['s1'], ['s1'], []]) {
      await vi.advanceTimersByTimeAsync(300_000);
      expect(adapter.getActiveSessionIds()).toEqual(sessions);
    }
    await until('its process has ended', () => !isLiving(pid));
  });

  it('[MOVING-6] a lifetime that cannot be read ends nothing, not the host either', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const getSessionLifetime = () => Promise.reject(new Error('the database is away'));
    const { adapter, logged } = openAdapter({ defaultIdleCount: 0, getSessionLifetime });
    await adapter.getSession('s1', S, serverParams(S, 'echo'));
    await vi.advanceTimersByTimeAsync(300_000);
    expect(adapter.getActiveSessionIds()).toEqual(['s1']);
    expect(logged).toEqual(['The lifetime of sessions is not known: the database is away']);
  });

  it('[MOVING-6] cleanupAll twice: who is told that all have ended is told the truth', async () => {
    const { adapter } = openAdapter({ defaultIdleCount: 0 });
    await adapter.getSession('s1', S, serverParams(S, 'ignore-eof-and-term'));
    await Promise.race([adapter.cleanupAll(), adapter.cleanupAll()]);
    expect(livingPids()).toEqual([]);
  });

  it('[MOVING-6] a call during cleanupAll begins anew', async () => {
    const { adapter, logged } = openAdapter({ defaultIdleCount: 0 });
    const params = serverParams(S, 'echo');
    const before = adapter.getSession('s1', S, params);
    const ended = adapter.cleanupAll();
    const after = adapter.getSession('s2', S, params);
    expect(await before).toBeUndefined();
    await ended;
    expect(await pidOf(await after)).toBeGreaterThan(0);
    expect(adapter.getActiveSessionIds()).toEqual(['s2']);
    expect(logged).toEqual([]);
  });

  it('[MOVING-6] cleanupAll ends everything, and the adapter can be used again', async () => {
    const { adapter } = openAdapter();
    const params = serverParams(S, 'echo');
    await adapter.getSession('s1', S, params);
    await adapter.cleanupAll();
    expect(livingPids()).toEqual([]);
    expect(adapter.getPoolStatus()).toEqual({ idle: 0, active: 0, activeSessionIds: [], idleServerUuids: [] });
    expect(await pidOf(await adapter.getSession('s1', S, params))).toBeGreaterThan(0);
    await adapter.cleanupIdleSession(S);
    await until('the session alone is left', () => livingPids().length === 1);
  });
});

describe('the program of the example', () => {
  const program = () => exampleProgram('metamcp/index.js', { '@modelcontextprotocol/sdk': 'mcp-sdk-1.16' });

  it('[MOVING-7] shows each of them, and leaves nothing', async () => {
    const { code, stdout, stderr } = await startProgram(process.execPath, [program()]).result;
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'files exited: 0\n' });
    expect(stdout).toContain('Three lists at once of a new session: 1 connection.\n    1 in use, 1 spare');
    expect(stdout).toMatch(/Three more sessions at once: processes \d+, \d+, \d+\.\n {4}4 in use, 1 spare/);
    expect(stdout.trimEnd().endsWith('All have ended.\n    0 in use, 0 spare, sessions: none')).toBe(true);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('[MOVING-7] ends by %s, with its servers', async (signal, expected) => {
    const { child, result, stdout } = startProgram(process.execPath, [program(), '--stay']);
    await until('it stays', () => stdout().includes('Ctrl-C ends the rest.'));
    child.kill(signal);
    const { code, stdout: all } = await result;
    expect(code).toBe(expected);
    expect(all).toContain('All have ended.');
  });
});
