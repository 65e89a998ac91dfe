import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../../src/errors.js';
import { type HealthContext, MCPServerPool, type PoolOptions } from '../../../src/index.js';
import type { ServerProcess } from '../../../src/process/launcher.js';
import type { JsonRpcMessage } from '../../../src/protocol/json-rpc.js';
import { RawClient } from '../../helpers/client.js';
import type { FakeServer } from '../../helpers/fake-launcher.js';
import { setUp as setUpPool } from '../../helpers/fake-pool.js';
import { connect, pings } from '../../helpers/give-up.js';
import { endGlobalPoolAfterEach, program, Watched } from '../../helpers/stdio.js';
import { flush, rejection } from '../../helpers/until.js';

const shared = { command: 'fake', sharing: 'shared' } as const;
const exclusive = { command: 'fake', sharing: 'exclusive' } as const;

/** A pool with health checks. `work`: CPU time that the last look at a server has shown. */
function setUp(options: PoolOptions) {
  const all = setUpPool({ defaults: { idleTimeout: Infinity }, ...options });
  const { clock, launcher, emitted } = all;
  const changes = () => emitted.flatMap(({ event, payload }) => (event === 'health:changed' ? [payload] : []));
  return {
    ...all,
    changes,
    statuses: () => changes().map(({ to }) => to),
    pass: (ms: number) => clock.advanceAndFlush(ms),
    server: (index: number) => launcher.servers[index] as FakeServer,
    /** The server answers nothing from now on. */
    mute: (server: FakeServer) => {
      server.auto = { ...server.auto, answer: false };
      server.onRequest = undefined;
    },
  };
}

/** What a look at the processes of a server shows. */
function shows(server: FakeServer, { work = false, isOnNetwork = false, state = 'running' as const } = {}) {
  let cpuTime = 0;
  const process: Partial<ServerProcess> = {
    leaderState: () => state,
    activity: async () => {
      if (work) cpuTime += 1_000;
      return { cpuTime, ioBytes: 0, hasStopped: false, isOnNetwork };
    },
  };
  Object.assign(server, process);
}

const answersAllBut =
  (...methods: string[]) =>
  ({ method, params }: JsonRpcMessage) =>
    methods.includes(method ?? '') ? undefined : { echo: params };

describe.each([
  ['shared', shared],
  ['exclusive', exclusive],
])('the health of a server that is %s', (_sharing, definition) => {
  it('[HEALTH-5] is asked by a ping, past maxInFlight, when it has sent nothing since the last check', async () => {
    const { pool, pass, server, statuses } = setUp({ servers: { a: { ...definition, maxInFlight: 1 } } });
    const { client } = await connect(pool, 'a');
    await pass(60_000);
    expect(pings(server(0)).length).toBeGreaterThan(0);
    expect(pool.status().servers.a?.instances[0]?.health).toBe('healthy');
    const before = pings(server(0)).length;
    for (let time = 0; time < 300_000; time += 5_000) {
      await client.request('tools/call', { name: 'x' });
      await pass(5_000);
    }
    expect(pings(server(0)).length).toBe(before);
    // One that works on a call is asked all the same.
    server(0).onRequest = answersAllBut('tools/call');
    void client.request('tools/call', { name: 'long' }).catch(() => {});
    await pass(60_000);
    expect(pings(server(0)).length).toBeGreaterThan(before);
    expect(statuses()).toEqual([]);
  });

  it('[HEALTH-5] a refusal is an answer; a server that answers no ping but a list is healthy, with check: ping it is not', async () => {
    const { pool, pass, launcher, server, statuses } = setUp({
      servers: { a: definition, b: definition, c: { ...definition, health: { check: 'ping' } } },
    });
    for (const name of ['a', 'b', 'c']) (await pool.getServer(name)).release();
    server(0).onRequest = ({ method, id }) => {
      if (method === 'ping') server(0).say({ jsonrpc: '2.0', id: id!, error: { code: -32_601, message: 'no' } });
      return undefined;
    };
    for (const index of [1, 2]) server(index).onRequest = answersAllBut('ping');
    await pass(60_000);
    const byName = () => pool.health.status().map(({ name, status, reason }) => [name, status, reason]);
    expect(byName().slice(0, 2)).toEqual([
      ['a', 'healthy', 'it has answered a ping'],
      ['b', 'healthy', 'it answers tools/list, but no ping'],
    ]);
    expect(statuses()).toEqual(['degraded']);
    await pass(120_000);
    expect(launcher.servers.filter(({ definition: { name } }) => name !== 'c')).toHaveLength(2);
    expect(server(2).kills).toBe(1);
  });

  it('[HEALTH-4] is replaced when it does not answer and nobody waits: as after a crash', async () => {
    const { pool, pass, launcher, server, mute, statuses, emitted } = setUp({
      servers: { a: { ...definition, minIdle: 1 } },
    });
    await flush();
    mute(server(0));
    await pass(180_000);
    expect(statuses()).toEqual(['degraded', 'unhealthy']);
    expect(server(0).kills).toBe(1);
    expect(launcher.livingOf('a')).toHaveLength(1);
    expect(emitted).toContainEqual({
      event: 'server:stopping',
      payload: expect.objectContaining({ reason: 'unhealthy' }),
    });
    await pass(60_000);
    expect(pool.status().servers.a?.instances).toMatchObject([{ health: 'healthy' }]);
  });

  it('[HEALTH-2] [HEALTH-4] with a call that a client waits for: left alone while it works; without life for unhealthyAfter it ends', async () => {
    const { pool, pass, server, mute, statuses } = setUp({ servers: { a: { ...definition, onCrash: 'close' } } });
    const { lease, client } = await connect(pool, 'a');
    mute(server(0));
    shows(server(0), { work: true });
    const call = client.request('tools/call', { name: 'x' });
    call.catch(() => {});
    await pass(600_000);
    expect(statuses()).toEqual(['busy']);
    shows(server(0));
    await pass(150_000);
    expect(statuses()).toEqual(['busy', 'degraded', 'unhealthy']);
    expect(server(0).kills).toBe(0);
    await pass(70_000);
    expect(server(0).kills).toBe(1);
    const error = (await rejection(call)) as Error;
    expect(error).toMatchObject({ data: { reason: 'SERVER_UNRESPONSIVE' } });
    expect(error.message).toContain('unhealthy');
    expect(await lease.ended).toBeDefined();
  });

  it('[HEALTH-2] one that works in bursts, between its checks, is busy', async () => {
    const { pool, pass, server, mute, statuses } = setUp({ servers: { a: definition } });
    const { client } = await connect(pool, 'a');
    mute(server(0));
    let [looks, cpuTime] = [0, 0];
    const activity = async () => {
      // Two looks at each check, when half of its time is over and at its end: it works after the second one.
      if (looks++ % 2 === 0) cpuTime += 1_000;
      return { cpuTime, ioBytes: 0, hasStopped: false, isOnNetwork: false };
    };
    Object.assign(server(0), { leaderState: () => 'running', activity });
    client.request('tools/call', { name: 'x' }).catch(() => {});
    await pass(600_000);
    expect(looks).toBeGreaterThan(10);
    expect(statuses().at(-1)).toBe('busy');
    expect(server(0).kills).toBe(0);
  });

  it('[HEALTH-2] [HEALTH-8] a call that waits for the network is left alone; given up, its server is replaced', async () => {
    const { pool, pass, server, mute, statuses } = setUp({
      servers: { a: { ...definition, giveUpGrace: 3_600_000, onCrash: 'close' } },
    });
    const { client } = await connect(pool, 'a');
    mute(server(0));
    shows(server(0), { isOnNetwork: true });
    void client.request('tools/call', { name: 'x' }, 'x').catch(() => {});
    await pass(600_000);
    expect(statuses()).toEqual(['busy']);
    await client.notify('notifications/cancelled', { requestId: 'x' });
    await pass(150_000);
    expect(statuses()).toEqual(['busy', 'degraded', 'unhealthy']);
    expect(server(0).kills).toBe(1);
  });

  it('[HEALTH-1] a server that was stopped is unhealthy with the next check, and is not asked', async () => {
    const { pool, pass, server, statuses } = setUp({
      servers: { a: { ...definition, health: { onUnhealthy: 'report' } } },
    });
    const lease = await pool.getServer('a');
    shows(server(0), { state: 'stopped' as never });
    await pass(30_000);
    expect(statuses()).toEqual(['unhealthy']);
    expect(pings(server(0))).toEqual([]);
    expect(pool.metrics()).toMatchObject({ activeProcesses: 1, healthyProcesses: 0 });
    await pass(600_000);
    expect(server(0).kills).toBe(0);
    lease.release();
  });

  it('[HEALTH-8] one that is unhealthy after each start is restarted as often as its policy allows, then refused', async () => {
    const health = { interval: 1_000, timeout: 500, unhealthyAfter: 2_000 };
    const { pool, pass, launcher, mute, emitted } = setUp({
      servers: {
        a: { ...definition, minIdle: 1, health, restart: { maxRestarts: 2, window: 600_000, cooldown: Infinity } },
      },
    });
    launcher.auto = { ...launcher.auto, answer: false };
    mute(launcher.last);
    await pass(300_000);
    expect(launcher.servers).toHaveLength(3);
    expect(emitted.filter(({ event }) => event === 'breaker:opened')).toHaveLength(1);
    expect(((await rejection(pool.getServer('a'))) as PoolError).code).toBe('BREAKER_OPEN');
  });
});

describe('the health of the servers of a pool', () => {
  it('[HEALTH-6] no more than maxUnavailablePercent of the instances of a server are restarted at once', async () => {
    const health = { interval: 10_000, timeout: 1_000, unhealthyAfter: 11_000 };
    const { pool, pass, launcher, mute } = setUp({
      servers: { a: { ...exclusive, maxInstances: 4, health } },
      limits: { maxProcesses: 4 },
    });
    for (const owner of ['1', '2', '3', '4']) await pool.getServer('a', { owner });
    launcher.auto = { ...launcher.auto, end: false };
    for (const server of launcher.servers) {
      mute(server);
      server.auto = { ...server.auto, end: false };
    }
    await pass(120_000);
    expect(launcher.servers.filter(({ kills }) => kills > 0)).toHaveLength(2);
    for (const server of launcher.servers) if (server.kills > 0) server.exit({ signal: 'SIGKILL' });
    await pass(60_000);
    expect(launcher.servers.filter(({ kills }) => kills > 0).length).toBeGreaterThan(2);
  });

  it('[HEALTH-9] a dedicated server is never asked: it is well while it sends something, or owes no answer', async () => {
    const { pool, pass, server, statuses } = setUp({ servers: { a: { command: 'fake', sharing: 'dedicated' } } });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    await pass(300_000);
    expect([pings(server(0)), statuses()]).toEqual([[], []]);
    server(0).onRequest = () => undefined;
    const call = client.request('tools/call', { name: 'x' });
    call.catch(() => {});
    for (let time = 0; time < 300_000; time += 5_000) {
      server(0).say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
      await pass(5_000);
    }
    expect(statuses()).toEqual([]);
    // It may wait for its client: silence is no proof.
    await pass(3_600_000);
    expect(statuses()).toEqual(['degraded']);
    shows(server(0), { state: 'stopped' as never });
    await pass(60_000);
    expect(statuses()).toEqual(['degraded', 'unhealthy']);
    expect(server(0).kills).toBe(1);
    expect(await rejection(call)).toMatchObject({ data: { reason: 'SERVER_UNRESPONSIVE' } });
  });

  it('[HEALTH-5] a server that hangs gets each question three times at most, and one answer is enough', async () => {
    const { pool, pass, server, mute } = setUp({ servers: { a: { ...shared, health: { onUnhealthy: 'report' } } } });
    await pool.getServer('a');
    mute(server(0));
    await pass(3_600_000);
    expect(pings(server(0))).toHaveLength(3);
    const [, ping] = pings(server(0));
    server(0).answer(ping?.id as number, {});
    await pass(30_000);
    expect(pool.status().servers.a?.instances[0]?.health).toBe('healthy');
  });

  it('[HEALTH-11] a changed definition switches checks of running instances on, and a new function resets nothing', async () => {
    const never = { ...exclusive, restart: { maxRestarts: 0, cooldown: Infinity } } as const;
    const { pool, pass, server, launcher } = setUp({ servers: { a: { ...shared, health: { check: false } } } });
    await pool.getServer('a');
    await pass(60_000);
    await pool.updateServer('a', shared);
    await pass(60_000);
    expect(pings(server(0)).length).toBeGreaterThan(0);
    const written = () => ({ ...never, health: { check: () => {} } });
    pool.setServer('b', written());
    launcher.auto = { ...launcher.auto, initialize: false };
    const call = rejection(pool.getServer('b'));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await call;
    expect(pool.setServer('b', written())).toBe(false);
    expect(((await rejection(pool.getServer('b'))) as PoolError).code).toBe('BREAKER_OPEN');
  });

  it('[HEALTH-7] a function checks each instance, and can ask it', async () => {
    const seen: unknown[] = [];
    const check = async ({ name, instanceId, request }: HealthContext) => {
      seen.push([name, instanceId, await request('tools/list')]);
    };
    const { pool, pass } = setUp({ servers: { a: { ...shared, health: { check } } } });
    const { instanceId } = await pool.getServer('a');
    await pass(30_000);
    expect(seen).toEqual([['a', instanceId, { echo: undefined }]]);
    expect((await pool.health.checkNow(instanceId))?.status).toBe('healthy');
  });

  it('[HEALTH-11] check: false of a server, of all, and of a changed definition: nothing is asked', async () => {
    const { pool, pass, server } = setUp({ servers: { a: { ...shared, health: { check: false } }, b: shared } });
    await pool.getServer('a');
    await pool.getServer('b');
    await pass(60_000);
    expect(pings(server(0))).toEqual([]);
    const before = pings(server(1)).length;
    expect(before).toBeGreaterThan(0);
    await pool.updateServer('b', { ...shared, health: { check: false } });
    await pass(120_000);
    expect(pings(server(1))).toHaveLength(before);
    const off = setUpPool({ servers: { a: shared }, defaults: { health: { check: false } } });
    await off.pool.getServer('a');
    await off.clock.advanceAndFlush(300_000);
    expect([pings(off.launcher.servers[0]!), off.pool.health.status()]).toEqual([[], []]);
  });

  it.each([
    [{ check: 'tcp' }, "servers.a.health.check must be 'auto', 'ping', false"],
    [{ interval: 30 }, 'if these are seconds'],
    [{ interval: 1_000, timeout: 2_000 }, 'health.timeout must not be above interval'],
    [{ unhealthyAfter: 15_000, interval: 10_000, timeout: 10_000 }, 'interval and timeout together (20000)'],
    [{ maxUnavailablePercent: 0 }, 'from 1 to 100'],
    [{ check: { url: 'http://u:secret@h', more: 1 } }, "'more' is not known"],
  ])('[HEALTH-11] refuses %j', (health, message) => {
    const make = () => new MCPServerPool({ servers: { a: { ...shared, health: health as never } } });
    expect(make).toThrow(message);
    expect(make).not.toThrow(/secret/);
  });

  it('[HEALTH-10] readiness: a flaky server does not count, an essential one does, all of them do', async () => {
    const policy = { restart: { maxRestarts: 0, cooldown: Infinity } };
    const { pool, launcher } = setUp({
      servers: {
        a: { ...exclusive, ...policy },
        b: { ...exclusive, ...policy },
        c: { ...exclusive, ...policy, priority: 'essential' },
      },
    });
    const verdict = () => pool.health.verdict();
    expect(verdict()).toMatchObject({
      status: 'ok',
      checks: [{ name: 'pool' }, { name: 'a' }, { name: 'b' }, { name: 'c' }],
    });
    const breaks = async (name: string) => {
      launcher.auto = { ...launcher.auto, initialize: false };
      const call = rejection(pool.getServer(name));
      await flush();
      launcher.last.exit({ exitCode: 1 });
      await call;
      launcher.auto = { ...launcher.auto, initialize: true };
    };
    await breaks('a');
    expect(verdict()).toMatchObject({ status: 'degraded' });
    // What a probe answers is shown to all, so it quotes no server.
    const reason = 'its starts are refused, since they have failed too often (SERVER_EXITED)';
    expect(verdict().checks.find(({ name }) => name === 'a')).toMatchObject({ status: 'down', reason });
    await breaks('b');
    expect(verdict().status).toBe('degraded');
    await breaks('c');
    expect(verdict().status).toBe('down');
    expect(pool.health.verdict({ probe: 'liveness' }).status).toBe('ok');
    pool.resetBreaker('c');
    (await pool.getServer('c')).release();
    expect(verdict().status).toBe('degraded');
    await pool.shutdown();
    expect(verdict().status).toBe('down');
    expect(verdict().checks[0]).toMatchObject({ name: 'pool', status: 'down' });
  });
});

describe('a global pool', () => {
  endGlobalPoolAfterEach();

  it('[HEALTH-11] that was made without options checks no server, another one does', async () => {
    for (const options of [undefined, {}]) {
      const pool = MCPServerPool.global(options);
      const { transport } = new Watched(program('cat'));
      await transport.start();
      expect(pool.health.status()).toHaveLength(options === undefined ? 0 : 1);
      await transport.close();
      await pool.shutdown();
    }
  });
});
