import { existsSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PooledServer } from '../../src/index.js';
import { fixture, wrapped } from '../helpers/fixture.js';
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
  temporaryPath,
  watchProcesses,
} from '../helpers/load.js';
import { descendants, isLiving } from '../helpers/processes.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { sdkClients, textOf } from '../helpers/sdk-clients.js';
import { rejection, until } from '../helpers/until.js';

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
    for (const failure of load.failures) expect(failure).toMatchObject(LOST);
    // Each session has one call at a time.
    expect(load.failures.length).toBeLessThanOrEqual(SESSIONS);
    expectUndisturbed(sessions);

    expect(exited).toMatchObject([{ pid, instanceId, exitCode: null, signal: 'SIGKILL', unexpected: true }]);
    expect(restarting).toMatchObject([{ name: 'everything', pid, instanceId, delay: 0 }]);
    expect(restarting[0]?.leases).toHaveLength(SESSIONS);
    expect(restarting[0]?.error.code).toBe('SERVER_EXITED');
    expect(restarted).toMatchObject([{ previousInstanceId: instanceId }]);
    expect(restarted[0]?.leases).toHaveLength(SESSIONS);
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

    for (const failure of load.failures) expect(failure).toMatchObject(LOST);
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
    for (const failure of load.failures) expect(failure).toMatchObject({ ...LOST, method: failure.method });
    for (const { data } of readOnly) expect(data).toMatchObject({ mayHaveRun: true });
    expectUndisturbed(sessions);
  });

  it('[REAL-3] a caller that comes while it restarts gets the next one; one that leaves meanwhile leaves nothing behind', async () => {
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

    // The second crash in a row has to wait. No caller waits with it.
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

    // Now the server itself, so that the shell ends with 0: unexpected all the same.
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

  it('[REAL-3] a server that crashes when its program is gone ends its leases with the reason', async () => {
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
    expect(restarted).toMatchObject([{ leases: [{ leaseId: expect.any(String) }] }]);
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
