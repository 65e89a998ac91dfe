import { describe, expect, it } from 'vitest';
import { HealthMonitor, type PoolOptions } from '../../../src/index.js';
import { OpenQuestions } from '../../../src/pool/health/open-questions.js';
import { ManualClock } from '../../helpers/clock.js';
import type { FakeServer } from '../../helpers/fake-launcher.js';
import { setUp as setUpPool } from '../../helpers/fake-pool.js';
import { connect, pings } from '../../helpers/give-up.js';
import { record } from '../../helpers/real-pool.js';
import { flush, rejection } from '../../helpers/until.js';

const shared = { command: 'fake', sharing: 'shared' } as const;

function setUp(options: PoolOptions) {
  const all = setUpPool({ defaults: { idleTimeout: Infinity }, ...options });
  return {
    ...all,
    pass: (ms: number) => all.clock.advanceAndFlush(ms),
    server: (index: number) => all.launcher.servers[index] as FakeServer,
    mute: (server: FakeServer) => {
      server.auto = { ...server.auto, answer: false };
      server.onRequest = undefined;
    },
  };
}

const idleActivity = async () => ({ cpuTime: 0, ioBytes: 0, hasStopped: false, isOnNetwork: false });

describe('checkNow() in a listener', () => {
  it('[HEALTH-7] ends no checks', async () => {
    const clock = new ManualClock();
    const health = new HealthMonitor({ clock, overload: () => undefined });
    let checks = 0;
    health.add({ id: 'x', name: 'x', check: () => void checks++ });
    health.once('health:checked', ({ id }) => void health.checkNow(id));
    await clock.advanceAndFlush(600_000);
    health.close();
    expect(checks).toBeGreaterThan(10);
  });

  it('[HEALTH-4] a server that hangs is replaced all the same', async () => {
    const { pool, pass, server, mute } = setUp({ servers: { a: shared } });
    pool.on('health:changed', ({ id, to }) => {
      if (to === 'degraded') return pool.health.checkNow(id);
      return undefined;
    });
    await pool.getServer('a');
    mute(server(0));
    await pass(3_600_000);
    expect(server(0).kills).toBe(1);
  });
});

describe('the time until a hang is found', () => {
  it('[HEALTH-1] [SLO-5] is below a minute for a server in use, and the service level does not show less than it was', async () => {
    const { pool, clock, server, mute } = setUp({ servers: { a: shared } });
    const { client, lease } = await connect(pool, 'a');
    const changes = record(pool, 'health:changed');
    await pool.health.checkNow(lease.instanceId);
    await client.request('tools/call', { name: 'x' });
    mute(server(0));
    const since = clock.now();
    while (changes.length === 0 && clock.now() - since < 300_000) await clock.advanceAndFlush(500);
    const took = clock.now() - since;
    const { detectionTime } = pool.serviceLevels().servers.a!;
    // What is reported is not shorter than what it took.
    expect.soft(detectionTime.p95).toBeGreaterThanOrEqual(took - 1_000);
    expect(took).toBeLessThan(60_000);
  });
});

describe('a launcher whose activity() does not settle', () => {
  it('[HEALTH-7] stops no checks', async () => {
    const { pool, pass, server, mute } = setUp({ servers: { a: shared } });
    const changes = record(pool, 'health:changed');
    await pool.getServer('a');
    mute(server(0));
    Object.assign(server(0), { leaderState: () => 'running', activity: () => new Promise(() => {}) });
    await pass(3_600_000);
    expect(changes.map(({ to }) => to)).toContain('unhealthy');
  });
});

describe('what is not checked any more', () => {
  it('[HEALTH-11] [ALERT-9] has no alert', async () => {
    const { pool, pass, server } = setUp({ servers: { a: { ...shared, health: { onUnhealthy: 'report' } } } });
    await pool.getServer('a');
    Object.assign(server(0), { leaderState: () => 'stopped', activity: idleActivity });
    await pass(120_000);
    expect(pool.alerts.active()).toMatchObject([{ kind: 'unresponsive', holds: true }]);
    await pool.updateServer('a', { ...shared, health: { check: false, onUnhealthy: 'report' } });
    Object.assign(server(0), { leaderState: () => 'running' });
    await pass(86_400_000);
    expect(pool.alerts.active()).toEqual([]);
  });

  it('[HEALTH-7] has a last event that says so, also when a listener removes it', async () => {
    const clock = new ManualClock();
    const health = new HealthMonitor({ clock, overload: () => undefined });
    const last = new Map<string, string>();
    health.on('health:changed', ({ id, to }) => void last.set(id, to));
    health.on('health:checked', ({ id, status }) => {
      if (status === 'unhealthy') health.remove(id);
    });
    health.add({ id: 'x', name: 'x', check: () => Promise.reject(new Error('no')) });
    await clock.advanceAndFlush(600_000);
    expect(health.status()).toEqual([]);
    expect(last.get('x')).toBe('healthy');
  });
});

describe('a ping that is lost', () => {
  it.each(['auto', 'ping'] as const)(
    '[HEALTH-5] does not end a server that answers every later question: %s',
    async (check) => {
      const { pool, pass, server } = setUp({ servers: { a: { ...shared, health: { check } } } });
      await pool.getServer('a');
      const asked = new Set<unknown>();
      // The first of each is lost, as while it loads its configuration anew.
      server(0).onRequest = ({ method }) => {
        if (asked.has(method)) return {};
        asked.add(method);
        return undefined;
      };
      await pass(600_000);
      expect(server(0).kills).toBe(0);
      expect(pings(server(0)).length).toBeGreaterThan(1);
    },
  );
});

describe('questions that are never answered', () => {
  it('[HEALTH-5] are three at most, and nothing is kept for the checks that have waited', async () => {
    let asked = 0;
    const questions = new OpenQuestions(() => {
      asked += 1;
      return new Promise(() => {});
    });
    let heard = 0;
    for (let check = 0; check < 1_000; check++) questions.ask(() => void heard++)();
    expect([asked, heard]).toEqual([3, 0]);
    let answer = (_value: unknown) => {};
    const answered = new OpenQuestions(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const late = answered.ask(() => void heard++);
    for (let check = 0; check < 2; check++) answered.ask(() => void heard++);
    late();
    answer('pong');
    await flush();
    expect(heard).toBe(2);
    answered.ask(() => void heard++);
    answer('pong');
    await flush();
    expect(heard).toBe(3);
  });
});

describe('a check that ends with its server', () => {
  it('[HEALTH-7] asks a launcher no more, and leaves no timer', async () => {
    const { pool, clock, pass, server, mute } = setUp({ servers: { a: { ...shared, onCrash: 'close' } } });
    await pool.getServer('a');
    mute(server(0));
    let looks = 0;
    Object.assign(server(0), { leaderState: () => 'running', activity: () => new Promise(() => void looks++) });
    await pass(30_001);
    const before = looks;
    await pool.shutdown({ mode: 'emergency' });
    await flush();
    expect([looks, clock.pending]).toEqual([before, 0]);
  });
});

describe('a process of the definition before', () => {
  it('[BREAKER-1] that crashes while it is replaced opens no breaker of the new one', async () => {
    const restart = { maxRestarts: 0, cooldown: Infinity } as const;
    const { pool, launcher } = setUp({ servers: { a: { ...shared, restart } } });
    await pool.getServer('a');
    launcher.auto = { ...launcher.auto, initialize: false };
    const updated = pool.updateServer('a', { ...shared, restart, args: ['new'] });
    await flush();
    launcher.auto = { ...launcher.auto, initialize: true };
    launcher.servers[0]?.exit({ exitCode: 1 });
    await flush();
    for (const one of launcher.living) one.initialize();
    await updated;
    expect(pool.status().servers.a?.breakers).toEqual([]);
    (await pool.getServer('a')).release();
  });
});

describe('a fault on the way to a verdict', () => {
  it('[HEALTH-3] never ends a server', async () => {
    const { pool, pass, server } = setUp({ servers: { a: { ...shared, onCrash: 'close' } } });
    const { client } = await connect(pool, 'a');
    server(0).onRequest = ({ method }) => (method === 'ping' ? {} : undefined);
    Object.assign(server(0), {
      leaderState: () => {
        throw new Error('the container runtime does not answer');
      },
    });
    client.request('tools/call', { name: 'long' }).catch(() => {});
    await pass(3_600_000);
    expect(server(0).kills).toBe(0);
  });
});

describe('a fault on the way to a verdict of a server that is unhealthy already', () => {
  it('[HEALTH-3] does not end it while its client waits', async () => {
    const { pool, pass, server, mute } = setUp({ servers: { a: { ...shared, onCrash: 'close' } } });
    const { client } = await connect(pool, 'a');
    let isBroken = false;
    const leaderState = () => {
      if (isBroken) throw new Error('the container runtime does not answer');
      return 'running';
    };
    Object.assign(server(0), { leaderState, activity: idleActivity });
    mute(server(0));
    client.request('tools/call', { name: 'x' }).catch(() => {});
    for (let step = 0; step < 40 && pool.health.status()[0]?.status !== 'unhealthy'; step++) await pass(5_000);
    expect(pool.health.status()).toMatchObject([{ status: 'unhealthy' }]);
    isBroken = true;
    await pass(600_000);
    expect(server(0).kills).toBe(0);
    isBroken = false;
    await pass(600_000);
    expect(server(0).kills).toBe(1);
  });
});

describe('a host that stood still between two checks', () => {
  it('[HEALTH-3] does not end a server that works on a call after a single miss', async () => {
    const { pool, clock, pass, server, mute } = setUp({ servers: { a: shared } });
    const { client, lease } = await connect(pool, 'a');
    await pool.health.checkNow(lease.instanceId);
    mute(server(0));
    client.request('tools/call', { name: 'x' }).catch(() => {});
    await flush();
    Object.assign(server(0), { leaderState: () => 'running', activity: idleActivity });
    // Host and server were paused together (SIGSTOP, a paused VM, a debugger).
    clock.jump(600_000);
    await pass(15_000);
    expect(pool.health.status()).toMatchObject([{ status: 'degraded', misses: 1 }]);
    expect(server(0).kills).toBe(0);
  });
});

describe('a runtime that uses some CPU time by itself', () => {
  const background = (clock: ManualClock) => ({
    leaderState: () => 'running',
    // 0.3 % of a core: timers of a JVM, a file watcher.
    activity: async () => ({ ...(await idleActivity()), cpuTime: clock.now() * 0.003 }),
  });

  it('[HEALTH-4] is replaced when it is deadlocked in a call', async () => {
    const { pool, clock, pass, server, mute } = setUp({ servers: { a: { ...shared, onCrash: 'close' } } });
    const { client } = await connect(pool, 'a');
    mute(server(0));
    Object.assign(server(0), background(clock));
    client.request('tools/call', { name: 'x' }).catch(() => {});
    await pass(24 * 3_600_000);
    expect(server(0).kills).toBe(1);
  });

  it('[HEALTH-4] is replaced within unhealthyAfter and one interval when it hangs without a call', async () => {
    const { pool, clock, pass, server, mute } = setUp({ servers: { a: shared } });
    await pool.getServer('a');
    mute(server(0));
    Object.assign(server(0), background(clock));
    await pass(180_000 + 30_000 + 10_000);
    expect(server(0).kills).toBe(1);
  });
});

describe('a shorter interval', () => {
  it('[HEALTH-11] counts at once', async () => {
    const slow = { interval: 3_600_000, unhealthyAfter: 7_300_000 };
    const { pool, pass, server } = setUp({ servers: { a: { ...shared, health: slow } } });
    await pool.getServer('a');
    await pool.updateServer('a', { ...shared, health: { interval: 5_000, timeout: 1_000, unhealthyAfter: 20_000 } });
    await pass(120_000);
    expect(pings(server(0)).length).toBeGreaterThan(5);
  });
});

describe('an essential server', () => {
  it('[HEALTH-10] is not ok while it is started again for its leases', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, priority: 'essential' } } });
    await pool.getServer('a');
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(pool.health.verdict()).toMatchObject({
      status: 'degraded',
      checks: [{}, { name: 'a', status: 'degraded' }],
    });
  });
});

describe('maxUnavailablePercent', () => {
  it('[HEALTH-6] counts what could not be proven dead, too', async () => {
    const health = { interval: 10_000, timeout: 1_000, unhealthyAfter: 11_000 };
    const { pool, pass, launcher, mute } = setUp({
      servers: { a: { command: 'fake', maxInstances: 4, health } },
      limits: { maxProcesses: 4 },
      cleanup: { retries: 0 },
    });
    for (const owner of ['1', '2', '3', '4']) await pool.getServer('a', { owner });
    for (const server of launcher.servers) {
      mute(server);
      server.auto = { ...server.auto, end: false };
    }
    await pass(60_000);
    const killed = () => launcher.servers.filter(({ kills }) => kills > 0);
    expect(killed()).toHaveLength(2);
    for (let round = 0; round < 10; round++) {
      for (const server of killed()) server.survive();
      await pass(1_000);
    }
    expect(pool.status().servers.a?.instances.filter(({ state }) => state === 'quarantined')).toHaveLength(2);
    await pass(60_000);
    expect(killed()).toHaveLength(2);
  });
});

describe('a check that throws what cannot be a string', () => {
  it('[READYCHECK-1] is a failed attempt to start, and the host goes on', async () => {
    const unhandled: unknown[] = [];
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => unhandled.push(reason));
    try {
      let tries = 0;
      const readyCheck = () => {
        tries += 1;
        return Promise.reject(Object.create(null));
      };
      const { pool, pass } = setUp({ servers: { a: { ...shared, readyCheck } } });
      const call = rejection(pool.getServer('a', { timeout: 120_000 }));
      await pass(61_000);
      expect.soft(unhandled).toEqual([]);
      expect(tries).toBeGreaterThan(1);
      expect(await call).toMatchObject({ code: 'START_TIMEOUT' });
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const one of others) process.on('unhandledRejection', one);
    }
  });

  it('[HEALTH-7] is a miss', async () => {
    const clock = new ManualClock();
    const health = new HealthMonitor({ clock, overload: () => undefined });
    health.add({ id: 'x', name: 'x', check: () => Promise.reject(Object.create(null)) });
    await clock.advanceAndFlush(120_000);
    const [report] = health.status();
    health.close();
    expect(report?.status).toBe('unhealthy');
  });
});
