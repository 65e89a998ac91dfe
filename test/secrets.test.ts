import { inspect } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { MCPServerPool } from '../src/index.js';
import { RawClient } from './helpers/client.js';
import { fixture } from './helpers/fixture.js';
import { until } from './helpers/until.js';

const SECRET = 'swordfish-71830';

it('[SECRET-1] values of env are in no event, error, status, metric or report, whatever happens to the servers', async () => {
  const env = { TOKEN: SECRET };
  const quick = { env, eofGrace: 150, termGrace: 150 };
  const pool = new MCPServerPool({
    servers: {
      echo: { ...fixture('echo'), ...quick },
      crashing: { ...fixture('exit-after'), ...quick },
      dying: { ...fixture('dies-in-handshake'), ...quick },
      refusing: { ...fixture('initialize-error'), ...quick },
      silent: { ...fixture('never-answers'), ...quick, startTimeout: 200 },
      stubborn: { ...fixture('ignore-eof-and-term'), ...quick },
      missing: { command: 'no-such-command', env },
      large: { command: 'true', env: { ...env, BIG: 'x'.repeat(200_000) } },
      nowhere: { ...fixture('echo'), env, cwd: '/no/such/folder' },
    },
    limits: { maxProcesses: 4, maxProcessesPerServer: 1 },
  });
  onTestFinished(() => pool.shutdown({ mode: 'emergency' }).then(() => {}));
  const seen: unknown[] = [];
  // Every event there is, and any that will be.
  const { emit } = pool;
  pool.emit = function spy(this: MCPServerPool, ...args: Parameters<typeof emit>) {
    seen.push(args);
    return emit.apply(this, args);
  } as typeof emit;
  for (const event of ['registry:added', 'registry:removed'] as const)
    pool.registry.on(event, (change) => seen.push(change));
  pool.on('server:stderr', () => {});

  const errors = new Map<string, string>();
  const attempt = async (name: string, options: object = {}) => {
    try {
      return await pool.getServer(name, options);
    } catch (error) {
      errors.set(name, String((error as { code?: unknown }).code));
      seen.push(error);
      return undefined;
    }
  };
  for (const name of ['dying', 'refusing', 'silent', 'missing', 'large', 'nowhere', 'unknown']) await attempt(name);
  await attempt('echo');
  await attempt('echo', { timeout: 20 });
  const stubborn = await attempt('stubborn');
  const crashing = await attempt('crashing');
  const client = await RawClient.connect(crashing?.transport ?? expect.fail('not leased'));
  seen.push(await client.callTool('exit', { code: 9 }).catch((error: unknown) => error));
  await until('the crash is reported', () => client.closeCount > 0);
  seen.push(client.errors, client.received, pool.status(), pool.metrics(), pool.registry.list(), pool.cleanup.list());
  expect(() => pool.addServer('wrong', { command: '', env })).toThrow();
  try {
    pool.addServer('wrong', { command: '', env });
  } catch (error) {
    seen.push(error);
  }
  stubborn?.release();
  seen.push(await pool.shutdown(), pool, pool.status());

  expect(Object.fromEntries(errors)).toEqual({
    dying: 'SERVER_EXITED',
    refusing: 'HANDSHAKE_FAILED',
    silent: 'START_TIMEOUT',
    missing: 'COMMAND_NOT_FOUND',
    large: 'SPAWN_FAILED',
    nowhere: 'CWD_NOT_FOUND',
    unknown: 'UNKNOWN_SERVER',
    echo: 'ACQUIRE_TIMEOUT',
  });
  const shown = seen.map((one) => inspect(one, { depth: 20, showHidden: true }));
  expect(shown.length).toBeGreaterThan(30);
  expect(shown.filter((text) => text.includes(SECRET)).map((text) => text.slice(0, 300))).toEqual([]);
  expect(JSON.stringify([pool.status(), pool.metrics(), pool.cleanup.list()])).not.toContain(SECRET);
});

it('[SECRET-1] values of env are not in a lease that a host logs', async () => {
  const pool = new MCPServerPool({ servers: { echo: { ...fixture('echo'), env: { TOKEN: SECRET } } } });
  onTestFinished(() => pool.shutdown().then(() => {}));
  const lease = await pool.getServer();
  expect(inspect(lease, { depth: 20, showHidden: true })).not.toContain(SECRET);
  expect(JSON.stringify(lease)).not.toContain(SECRET);
  expect(inspect(lease.transport, { depth: 20, showHidden: true })).not.toContain(SECRET);
});
