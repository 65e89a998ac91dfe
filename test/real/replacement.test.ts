import { describe, expect, it } from 'vitest';
import type { MCPServerPool, PooledServer } from '../../src/index.js';
import type { RawClient } from '../helpers/client.js';
import { fixture } from '../helpers/fixture.js';
import {
  connect,
  connectAll,
  everything,
  expectUndisturbed,
  kill,
  LOST,
  Load,
  SESSIONS,
  type Session,
  watchProcesses,
} from '../helpers/load.js';
import { descendants, isLiving } from '../helpers/processes.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { rejection, until } from '../helpers/until.js';

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
    // A call that takes its time has begun when the process is replaced; it reports its progress.
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
    expect(restarted).toMatchObject([{ previousInstanceId: instanceId }]);
    expect(restarted[0]?.leases).toHaveLength(SESSIONS + 1);
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
    '[REAL-4] with maxInstances: %i is not counted among the restarts after crashes',
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
    for (const failure of load.failures) expect(failure).toMatchObject(LOST);
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

  it('[REAL-4] what is not finished in time is lost, and nothing else; a caller that leaves does not hold it up', async () => {
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

    // The one with the call that all wait for closes.
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
    await until('both are done', () => ends.length === 2);
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
    ['restart(), the new one first', 2, (pool) => pool.restart('remembers')],
    ['restart(), the old one first', 1, (pool) => pool.restart('remembers')],
    ['a crash', 1, async (_, pid) => kill(pid)],
  ];
  it.each(replacements)('[REAL-4] subscriptions and log levels survive %s', async (_, maxInstances, replace) => {
    const pool = open({ remembers: { ...fixture('remembers'), sharing: 'shared', maxInstances } });
    const restarted = record(pool, 'server:restarted');
    const [{ client: a, lease }, { client: b }] = [await connect(pool), await connect(pool)];
    await a.request('resources/subscribe', { uri: 'a://1' });
    await b.request('resources/subscribe', { uri: 'a://1' });
    await b.request('resources/subscribe', { uri: 'a://2' });
    await b.request('resources/subscribe', { uri: 'a://3' });
    await b.request('resources/unsubscribe', { uri: 'a://3' });
    await a.request('logging/setLevel', { level: 'warning' });
    await b.request('logging/setLevel', { level: 'error' });
    const expected = { level: 'warning', uris: ['a://1', 'a://2'] };
    expect(await a.callTool('remembered')).toEqual(expected);

    await replace(pool, lease.pid);
    // Sent while there may be no process: heeded by the next one.
    const later = b.request('resources/subscribe', { uri: 'a://4' });
    await until('it was replaced', () => restarted.length === 1);
    expect(await later).toEqual({});
    expect(await a.callTool('pid')).toBe(restarted[0]?.pid);
    expect(await a.callTool('remembered')).toEqual({ ...expected, uris: [...expected.uris, 'a://4'] });
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
    await until('it is notified', () => client.notifications('notifications/resources/updated').length > 0);
    expect(client.notifications('notifications/resources/updated')).toEqual([{ uri }]);
    expect(other.notifications('notifications/resources/updated')).toEqual([]);
    expect(lease.pid).not.toBe(pid);
  });
});
