import { afterEach, describe, expect, it, vi } from 'vitest';
import { InstanceSupervisor } from '../../src/pool/supervision/instance-supervisor.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

// A fault is injected by a method that throws once, while the pool handles what happened to a process.

afterEach(() => {
  vi.restoreAllMocks();
});

const fault = new TypeError('injected');

function throwsOnce(method: 'ready' | 'exited' | 'lost' | 'stopping'): void {
  vi.spyOn(InstanceSupervisor.prototype, method).mockImplementationOnce(() => {
    throw fault;
  });
}

function open(definition: object) {
  const all = setUp({ servers: { a: { command: 'fake', ...definition } } });
  const faults: unknown[] = [];
  all.pool.on('internal:error', ({ error }) => faults.push(error));
  const check = async () => {
    await all.clock.advanceAndFlush(10_000);
    expect(faults).toMatchObject([{ code: 'INTERNAL_ERROR', cause: fault, data: { name: 'a' } }]);
    // Nothing is left of it: the slot is free, and the next caller gets a server.
    expect(all.launcher.servers[0]?.alive).toBe(false);
    const next = await all.pool.getServer('a');
    next.release();
    expect((await all.pool.shutdown()).survivors).toEqual([]);
  };
  return { ...all, faults, check };
}

describe.each(['shared', 'exclusive', 'dedicated'] as const)(
  'a fault of this library on a server that is %s',
  (sharing) => {
    it('[FAULT-1] [FAULT-2] while it becomes ready ends it; its caller gets the next one', async () => {
      const { pool, launcher, check } = open({ sharing });
      throwsOnce('ready');
      const lease = await pool.getServer('a');
      expect(launcher.servers).toHaveLength(2);
      lease.release();
      await check();
    });

    it.each(['exited', 'lost'] as const)('[FAULT-1] [FAULT-2] when it exits ends its lease (%s)', async (method) => {
      const { pool, launcher, check } = open({ sharing, onCrash: sharing === 'shared' ? 'restart' : 'close' });
      const lease = await pool.getServer('a');
      const client = await RawClient.connect(lease.transport);
      launcher.last.auto = { ...launcher.last.auto, answer: false };
      const call = client.request('tools/call', { name: 'x' }, 'call');
      await flush();
      throwsOnce(method);
      launcher.last.exit({ exitCode: 1 });
      expect(await rejection(call)).toMatchObject({ code: -32_000, data: { reason: 'INTERNAL_ERROR' } });
      lease.release();
      await check();
    });

    // The client of a dedicated server makes the handshake, so its start cannot time out.
    it.runIf(sharing !== 'dedicated')('[FAULT-1] [FAULT-2] when its start times out rejects the caller', async () => {
      const { pool, launcher, clock, check } = open({ sharing, startTimeout: 100 });
      launcher.auto = { ...launcher.auto, initialize: false };
      const call = rejection(pool.getServer('a'));
      await flush();
      throwsOnce('stopping');
      launcher.auto = { ...launcher.auto, initialize: true };
      await clock.advanceAndFlush(100);
      expect(await call).toMatchObject({ code: 'INTERNAL_ERROR', cause: fault });
      await check();
    });
  },
);
