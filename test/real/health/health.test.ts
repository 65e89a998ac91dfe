import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServerDefinition } from '../../../src/index.js';
import { Caller, expectUntouched } from '../../helpers/caller.js';
import { RawClient } from '../../helpers/client.js';
import { fixture, wrapped } from '../../helpers/fixture.js';
import { isLiving } from '../../helpers/processes.js';
import { open, record } from '../../helpers/real-pool.js';
import { flush, until } from '../../helpers/until.js';

/** Minutes in some seconds. */
const QUICK = { interval: 500, timeout: 400, unhealthyAfter: 4_000 };
/** Long enough for a healthy server on a loaded machine. */
const PATIENT = { interval: 2_000, timeout: 2_000, unhealthyAfter: 60_000 };

async function setUp(sick: Omit<ServerDefinition, 'command'>, made: ServerDefinition = fixture('sick')) {
  const pool = open({
    sick: { sharing: 'shared', health: QUICK, ...made, ...sick },
    good: { ...fixture('echo'), sharing: 'shared', health: PATIENT },
  });
  const neighbour = await Caller.of(pool, 'good');
  const changes = record(pool, 'health:changed');
  const stopping = record(pool, 'server:stopping');
  const lease = await pool.getServer('sick');
  const client = await RawClient.connect(lease.transport);
  const statuses = () => changes.filter(({ name }) => name === 'sick').map(({ to }) => to);
  return { pool, neighbour, changes, stopping, lease, client, statuses, pid: lease.pid as number };
}

/** A process of the tree of `sick`, stopped until the test is over. */
function freeze(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  onTestFinished(() => {
    if (isLiving(pid)) process.kill(pid, 'SIGCONT');
  });
}

describe('a real server', () => {
  it.each([
    ['plain', fixture('sick')],
    ['below a shell', wrapped('sick')],
  ])('[HEALTH-12] that is frozen is found at once, and replaced under its lease: %s', async (_how, made) => {
    const { pool, neighbour, client, lease, statuses, stopping, pid } = await setUp({}, made);
    const server = Number(await client.callTool('pid', {}));
    freeze(server);
    await until('another process has the lease', () => lease.pid !== pid && lease.pid !== undefined);
    await until('it is ready', () => pool.status().servers.sick?.instances.some(({ state }) => state === 'ready'));
    expect(Number(await client.callTool('pid', {}))).not.toBe(server);
    expect(statuses()).toContain('unhealthy');
    expect(stopping.map(({ name, reason }) => [name, reason])).toEqual([['sick', 'unhealthy']]);
    await until('it is dead', () => !isLiving(server));
    await expectUntouched(neighbour);
  });

  it.each(['silence', 'half', 'deadlock'])(
    '[HEALTH-12] %s: its call fails with a reason, it is replaced, its lease goes on',
    async (tool) => {
      const { neighbour, client, lease, statuses, pid } = await setUp({});
      const failure = client.callTool(tool, {}).then(
        () => expect.fail('it was answered'),
        (error: Error) => error,
      );
      await until('another process has the lease', () => lease.pid !== pid && lease.pid !== undefined);
      expect((await failure).message).toContain('unhealthy');
      expect(await client.callTool('echo', { text: 'again' })).toBe('again');
      expect(
        statuses()
          .filter((status) => status !== 'busy')
          .slice(0, 2),
      ).toEqual(['degraded', 'unhealthy']);
      await expectUntouched(neighbour);
    },
  );

  it('[HEALTH-12] deadlocked, with onUnhealthy: report, is only reported', async () => {
    const { neighbour, client, lease, statuses, stopping, pid } = await setUp({
      health: { ...QUICK, onUnhealthy: 'report' },
    });
    client.callTool('deadlock', {}).catch(() => {});
    await until('it is unhealthy', () => statuses().includes('unhealthy'));
    await neighbour.more(200);
    expect([lease.pid, stopping]).toEqual([pid, []]);
    await expectUntouched(neighbour);
  });

  it('[HEALTH-12] that answers everything but a ping is healthy', async () => {
    const { pool, neighbour, client, lease, stopping } = await setUp({}, fixture('sick', '--no-ping'));
    await until('a check found it healthy', () =>
      pool.health
        .status()
        .some(
          ({ id, status, reason }) => id === lease.instanceId && status === 'healthy' && reason.includes('no ping'),
        ),
    );
    expect(await client.callTool('echo', { text: 'x' })).toBe('x');
    expect(stopping).toEqual([]);
    await expectUntouched(neighbour);
  });

  it('[HEALTH-12] that computes for long is busy, and left alone', async () => {
    const { neighbour, client, lease, statuses, stopping, pid } = await setUp({
      health: { ...QUICK, unhealthyAfter: 60_000 },
    });
    const call = client.callTool('compute', { ms: 6_000 });
    await until('it is busy', () => statuses().includes('busy'));
    expect(await call).toBe('computed');
    expect([lease.pid, stopping]).toEqual([pid, []]);
    await expectUntouched(neighbour);
  });

  it('[HEALTH-12] that waits on the network in one call, its event loop blocked, is busy, and left alone', async () => {
    const accepted: Socket[] = [];
    const network = createServer((socket) => {
      socket.on('error', () => {});
      accepted.push(socket);
    });
    await new Promise<void>((resolve) => network.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      for (const socket of accepted) socket.destroy();
      network.close();
    });
    const { neighbour, client, lease, statuses, stopping, pid } = await setUp({});
    const call = client.callTool('network', { port: (network.address() as AddressInfo).port });
    await until('it has connected', () => accepted.length > 0);
    await until('it is busy', () => statuses().includes('busy'));
    // Twice unhealthyAfter, counted in checks of a neighbour that is as often asked.
    await neighbour.more(300);
    expect([lease.pid, stopping]).toEqual([pid, []]);
    for (const socket of accepted) socket.end();
    expect(await call).toBe('arrived');
    await flush();
    await expectUntouched(neighbour);
  });
});
