import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ServerDefinition } from '../../src/config/options.js';
import { PoolError } from '../../src/errors.js';
import { CleanupQueue } from '../../src/process/cleanup-queue.js';
import { ProcessRegistry } from '../../src/process/process-registry.js';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import { KeepAlive } from '../../src/runtime/keep-alive.js';
import { Outbox } from '../../src/runtime/outbox.js';
import { ServerInstance } from '../../src/server/server-instance.js';
import { RawClient } from '../helpers/client.js';
import { ManualClock } from '../helpers/clock.js';
import { define } from '../helpers/definition.js';
import { type Automatic, FakeLauncher } from '../helpers/fake-launcher.js';
import { FakeTable } from '../helpers/fake-table.js';
import { flush, outcome, rejection, until } from '../helpers/until.js';
import { UNOBSERVED } from '../helpers/wire.js';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const end of cleanUp.splice(0)) await end();
});

/** An instance of a server without a process, and everything that it reports. */
function setUp(auto: Partial<Automatic> = {}, policy: Partial<ServerDefinition> = {}) {
  const launcher = new FakeLauncher(auto);
  const clock = new ManualClock();
  const registry = new ProcessRegistry(new FakeTable());
  const cleanup = new CleanupQueue({ retries: 0 });
  const keepAlive = new KeepAlive();
  const reported: string[] = [];
  const errors: PoolError[] = [];
  /** As the pool does: the lease learns why it is lost. */
  const lost = { push: (error: PoolError) => lessees.get(instance)?.(error) };
  const instance = new ServerInstance(
    define({ command: 'node', startTimeout: 1_000, ...policy }),
    { tenant: undefined, owner: undefined },
    {
      host: { launcherFor: () => launcher },
      clock,
      registry,
      cleanup,
      keepAlive,
      writeBudget: new WriteBudget(1_000_000),
      copyBudget: new WriteBudget(1_000_000),
      requests: UNOBSERVED,
    },
    {
      run: (operation) => operation(),
      onReady: () => reported.push('ready'),
      onStartFailed: (_instance, error) => {
        reported.push(`failed ${error.code}`);
        errors.push(error);
      },
      onStopping: (_instance, reason) => reported.push(`stopping ${reason}`),
      onExited: (_instance, { exitCode, signal }, unexpected) =>
        reported.push(`exited ${exitCode ?? signal}${unexpected ? ' unexpected' : ''}`),
      onStopped: () => reported.push('stopped'),
      onQuarantined: (_instance, { survivors }) => reported.push(`quarantined with ${survivors.length}`),
      onInternalError: (_instance, error) => reported.push(`fault ${error.code}`),
      onLost: (_instance, error) => lost.push(error),
      isAwaited: () => false,
      onUndeclared: () => {},
      onToolsChanged: () => {},
      onNoise: (_instance, { lines }) => reported.push(`noise ${lines.join('|')}`),
      onStderrLine: (_instance, line) => reported.push(`stderr ${line}`),
      wantsStderr: () => true,
    },
  );
  cleanUp.push(async () => {
    for (const server of launcher.living) server.exit();
    await cleanup.whenIdle();
    await flush();
    keepAlive.dispose();
  });
  return { instance, launcher, clock, registry, cleanup, reported, errors };
}

async function ready(auto: Partial<Automatic> = {}, policy: Partial<ServerDefinition> = {}) {
  const all = setUp(auto, policy);
  all.instance.start();
  await until('it is ready', () => all.instance.state === 'ready');
  return { ...all, server: all.launcher.last };
}

const lessees = new WeakMap<ServerInstance, (error: PoolError) => void>();

/** A lease on it, with a client. */
async function lease(instance: ServerInstance) {
  const ended: PoolError[] = [];
  let closeRequests = 0;
  const session = instance.openSession({
    outbox: new Outbox(),
    closeRequested: () => {
      closeRequests += 1;
    },
    touched: () => {},
  });
  lessees.set(instance, (error) => {
    session.end({ asked: false, error: () => error });
    ended.push(error);
  });
  const client = await RawClient.connect(session);
  return { client, session, ended, closeRequests: () => closeRequests };
}

describe('a start', () => {
  it('[SPAWN-1] is in the registry in the tick in which it is spawned', () => {
    const { instance, launcher, registry } = setUp({ spawn: false });
    instance.start();
    expect(registry.list()).toMatchObject([{ id: instance.id, name: 'test', pid: launcher.last.pid, startTime: 1 }]);
    expect(instance).toMatchObject({ state: 'starting', pid: launcher.last.pid });
  });

  it('[ROUTE-5] is ready when initialize was answered, which is sent once', async () => {
    const { instance, reported, server, clock } = await ready();
    await flush();
    expect(server.received.map(({ method }) => method)).toEqual(['initialize', 'notifications/initialized']);
    const { client } = await lease(instance);
    expect(server.received).toHaveLength(2);
    expect(await client.request('tools/list')).toEqual({ echo: undefined });
    expect(reported).toEqual(['ready']);
    expect(clock.pending).toBe(0);
  });

  it('[ROUTE-9] of a dedicated server is ready when it runs: its client initializes it', async () => {
    const { instance, server } = await ready({ initialize: false }, { sharing: 'dedicated' });
    expect(server.received).toEqual([]);
    const connecting = lease(instance);
    await until('it is asked by the client', () => server.received.length === 1);
    expect(server.received[0]).toMatchObject({
      id: 1,
      method: 'initialize',
      params: { clientInfo: { name: 'raw-client' } },
    });
    server.initialize();
    await connecting;
  });

  it('[START-2] that the launcher refuses is stopped at once, and nothing of it is registered', () => {
    const { instance, launcher, registry, reported, clock } = setUp();
    launcher.onLaunch = () => {
      throw new PoolError('COMMAND_NOT_FOUND', 'no such command');
    };
    expect(() => instance.start()).toThrowError(expect.objectContaining({ code: 'COMMAND_NOT_FOUND' }));
    expect(instance.state).toBe('stopped');
    expect([registry.size, clock.pending, reported]).toEqual([0, 0, []]);
  });

  it('[START-2] that the operating system refuses is stopped at once', async () => {
    const { instance, launcher, registry, reported, clock } = setUp({ spawn: false });
    instance.start();
    launcher.last.refuse(new PoolError('SPAWN_FAILED', 'EAGAIN'));
    await instance.ended;
    expect(reported).toEqual(['failed SPAWN_FAILED', 'stopped']);
    expect([instance.state, registry.size, clock.pending, launcher.last.ends]).toEqual(['stopped', 0, 0, []]);
  });

  it.each([
    ['answers too late', 'START_TIMEOUT', { initialize: false }, () => {}],
    [
      'answers with an error',
      'HANDSHAKE_FAILED',
      { initialize: false },
      ({ last }: FakeLauncher) => last.say({ jsonrpc: '2.0', id: 1, error: { code: -1, message: 'no' } }),
    ],
    [
      'answers with an error that is null',
      'HANDSHAKE_FAILED',
      { initialize: false },
      ({ last }: FakeLauncher) => last.say('{"jsonrpc":"2.0","id":1,"error":null}\n'),
    ],
    [
      'answers with nonsense',
      'HANDSHAKE_FAILED',
      { initialize: false },
      ({ last }: FakeLauncher) => last.answer(1, 'hello'),
    ],
    [
      'writes a line that is too long',
      'MESSAGE_TOO_LARGE',
      { initialize: false },
      ({ last }: FakeLauncher) => last.say('x'.repeat(2_000_000)),
    ],
    [
      'exits',
      'SERVER_EXITED',
      { initialize: false },
      ({ last }: FakeLauncher) => {
        last.complain('no config');
        last.exit({ exitCode: 0 });
      },
    ],
  ])('[START-2] [SPAWN-1] that %s is reported once as %s, and ended', async (_what, code, auto, happens) => {
    const { instance, launcher, registry, reported, errors, clock } = setUp(auto, { maxMessageMB: 1 });
    instance.start();
    await until('it is asked', () => launcher.last.received.length > 0);
    happens(launcher);
    await flush();
    clock.advance(1_000);
    await instance.ended;
    expect(reported.filter((what) => what.startsWith('failed'))).toEqual([`failed ${code}`]);
    expect(reported.at(-1)).toBe('stopped');
    expect(reported).not.toContain('ready');
    expect(errors[0]).toBeInstanceOf(PoolError);
    expect(errors[0]?.data).toMatchObject({ name: 'test', instanceId: instance.id, pid: launcher.last.pid });
    expect([launcher.living, registry.size, clock.pending]).toEqual([[], 0, 0]);
  });

  it('[START-5] that is too late names the variables of the network that it did not get, without values', async () => {
    vi.stubEnv('HTTPS_PROXY', 'http://secret@proxy');
    for (const policy of [{}, { inheritEnv: ['HTTPS_PROXY'] }]) {
      const { instance, launcher, errors, clock } = setUp({ initialize: false }, policy);
      instance.start();
      await until('it is asked', () => launcher.last.received.length > 0);
      clock.advance(1_000);
      await instance.ended;
      const isNamed = /as npx does, name [\w, ]*HTTPS_PROXY[\w, ]* in inheritEnv/.test(errors[0]?.message ?? '');
      expect(isNamed).toBe(!('inheritEnv' in policy));
      expect(errors[0]?.message).not.toContain('secret');
    }
  });

  it('[START-3] that is stopped while it starts never becomes ready, whatever still comes', async () => {
    const { instance, launcher, reported, clock } = setUp({ spawn: false, initialize: false, end: false });
    instance.start();
    const server = launcher.last;
    server.spawned();
    await until('it is asked', () => server.received.length > 0);
    const stopping = instance.stop('unwanted');
    server.initialize();
    server.say('x\n');
    await flush();
    clock.advance(10_000);
    expect(instance.state).toBe('stopping');
    server.exit({ signal: 'SIGTERM' });
    expect(await stopping).toMatchObject({ confirmed: true });
    expect(reported).toEqual(['stopping unwanted', 'exited SIGTERM', 'stopped']);
  });

  it('[START-3] that is stopped before it runs does not initialize later', async () => {
    const { instance, launcher, reported } = setUp({ spawn: false, end: false });
    instance.start();
    void instance.stop('unwanted');
    launcher.last.spawned();
    await flush();
    expect(launcher.last.received).toEqual([]);
    launcher.last.exit();
    await instance.ended;
    expect(reported).toEqual(['stopping unwanted', 'exited 0', 'stopped']);
  });
});

describe('an end', () => {
  it.each([0, 1])('[DEATH-1] that the pool did not ask for is a crash, with code %i', async (exitCode) => {
    const { instance, server, reported, registry } = await ready({ answer: false });
    const { client, ended } = await lease(instance);
    const lost = rejection(client.request('tools/call', { name: 'x' }));
    await flush();
    server.complain('last words');
    server.exit({ exitCode });
    expect(instance.state).toBe('stopping');
    await instance.ended;
    expect(await lost).toMatchObject({
      code: -32000,
      data: { reason: 'SERVER_EXITED', exitCode, signal: null, retryable: false },
    });
    expect(client.closeCount).toBe(1);
    expect(ended).toMatchObject([{ code: 'SERVER_EXITED', data: { exitCode, stderrTail: 'last words\n' } }]);
    expect(reported).toEqual([
      'ready',
      'stderr last words',
      'stopping crashed',
      `exited ${exitCode} unexpected`,
      'stopped',
    ]);
    expect(registry.size).toBe(0);
  });

  it('[DEATH-3] of its leader kills what is left at once, before the queue has room', async () => {
    const { server } = await ready();
    server.exit({ exitCode: 1 });
    expect(server.kills).toBe(1);
  });

  it('[DEATH-2] comes after the last answer that it wrote', async () => {
    const { instance, server } = await ready({ answer: false });
    const { client } = await lease(instance);
    const answered = client.request('tools/call', { name: 'x' });
    await until('it has the request', () => server.received.some(({ method }) => method === 'tools/call'));
    const id = server.received.at(-1)?.id ?? 0;
    server.exit({ exitCode: 0 }, { jsonrpc: '2.0', id, result: 'last answer' });
    expect(await answered).toBe('last answer');
    await instance.ended;
    expect(client.closeCount).toBe(1);
  });

  it('[PROOF-1] that could not be proven is quarantined, and stays in the registry until it is', async () => {
    const { instance, server, reported, registry } = await ready({ end: false });
    const stopping = instance.stop('idle');
    await until('it is asked to end', () => server.ending);
    server.survive();
    expect(await stopping).toMatchObject({ confirmed: false, survivors: [{ pid: server.pid }] });
    expect([instance.state, registry.size]).toEqual(['quarantined', 1]);
    const checking = instance.recheck();
    await until('it is asked to end again', () => server.ending);
    server.exit({ signal: 'SIGKILL' });
    expect(await checking).toMatchObject({ confirmed: true });
    await until('it is stopped', () => instance.state === 'stopped');
    expect(registry.size).toBe(0);
    expect(reported).toEqual(['ready', 'stopping idle', 'quarantined with 1', 'exited SIGKILL', 'stopped']);
  });

  it('[NOISE-4] [NOISE-5] comes when the protocol is broken, and the client learns why', async () => {
    const tooLarge = await ready({}, { maxMessageMB: 1 });
    const one = await lease(tooLarge.instance);
    tooLarge.server.say(`${'x'.repeat(2_000_000)}\n`);
    await tooLarge.instance.ended;
    expect(one.ended).toMatchObject([{ code: 'MESSAGE_TOO_LARGE', data: { instanceId: tooLarge.instance.id } }]);
    expect(one.client.closeCount).toBe(1);
    expect(tooLarge.reported).toContain('stopping broken');

    const deaf = await ready();
    const two = await lease(deaf.instance);
    deaf.server.stdin.destroy(new Error('EPIPE'));
    const call = two.client.request('tools/list');
    // Mostly a pipe closes because the process exits: only when that does not follow, it is broken.
    expect(await outcome(call)).toBe('pending');
    expect(deaf.reported).toEqual(['ready']);
    deaf.clock.advance(1_000);
    await deaf.instance.ended;
    expect(await rejection(call)).toMatchObject({ data: { reason: 'SERVER_EXITED' } });
    expect(two.client.closeCount).toBe(1);
    expect(deaf.reported).toContain('stopping broken');
  });

  it('[END-3] that is an emergency hurries one that is graceful', async () => {
    const { instance, server } = await ready({ end: false });
    void instance.stop('shutdown');
    await until('it is asked to end', () => server.ending);
    expect(server.ends[0]?.signal?.aborted).toBe(false);
    void instance.stop('shutdown', 'emergency');
    expect(server.ends[0]?.signal?.aborted).toBe(true);
    server.exit();
    expect(await instance.ended).toMatchObject({ confirmed: true, escalated: 'asked' });
  });

  it('[LEASE-3] of a session leaves the process alone', async () => {
    const { instance, server, reported } = await ready();
    const { client, session } = await lease(instance);
    await client.request('tools/list');
    session.end({ asked: true, error: () => new PoolError('LEASE_RELEASED', 'released') });
    expect(client.closeCount).toBe(1);
    expect(await rejection(client.request('tools/list'))).toMatchObject({ code: 'LEASE_RELEASED' });
    expect([instance.state, server.alive, reported]).toEqual(['ready', true, ['ready']]);
    const next = await lease(instance);
    expect(await next.client.request('tools/list')).toBeDefined();
  });

  it('[LEASE-3] of the transport by its client is a wish that the lease decides', async () => {
    const { instance, server } = await ready();
    const { client, closeRequests } = await lease(instance);
    await client.close();
    expect(closeRequests()).toBe(1);
    expect(server.alive).toBe(true);
  });
});
