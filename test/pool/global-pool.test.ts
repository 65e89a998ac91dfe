import { describe, expect, it } from 'vitest';
import { MCPServerPool, type PoolError } from '../../src/index.js';
import { runHost } from '../helpers/host.js';
import { endGlobalPoolAfterEach, program, Watched } from '../helpers/stdio.js';
import { rejection } from '../helpers/until.js';

endGlobalPoolAfterEach();

describe('MCPServerPool.global()', () => {
  it('[GLOBAL-1] [GLOBAL-2] is one pool, until it is shut down', async () => {
    const first = MCPServerPool.global({ acquireTimeout: 4711 });
    expect(MCPServerPool.global()).toBe(first);
    expect(first).toBeInstanceOf(MCPServerPool);
    const ending = first.shutdown();
    const second = MCPServerPool.global({ acquireTimeout: 4712 });
    expect(second).not.toBe(first);
    await ending;
    // The end of an old one, or of any other pool, takes nothing away.
    await first.shutdown();
    await new MCPServerPool().shutdown();
    expect(MCPServerPool.global()).toBe(second);
  });

  it('[GLOBAL-2] refuses options when it exists, and wrong ones always', () => {
    const refused = expect.objectContaining({ code: 'INVALID_OPTIONS' });
    expect(() => MCPServerPool.global({ maxWaitin: 1 } as object)).toThrowError(refused);
    expect(() => MCPServerPool.global({ limits: 5 as never })).toThrowError(refused);
    expect(() => MCPServerPool.global('options' as never)).toThrowError(refused);
    const pool = MCPServerPool.global();
    expect(() => MCPServerPool.global({})).toThrowError(/exists already/);
    expect(() => MCPServerPool.global({})).toThrowError(refused);
    expect(MCPServerPool.global(undefined)).toBe(pool);
  });

  it.each([undefined, {}, { limits: {} }, { limits: { maxProcesses: undefined }, cleanup: { retries: 1 } }])(
    '[GLOBAL-3] has no cap that %j does not set: more than the 15 of other pools',
    async (options) => {
      const pool = MCPServerPool.global(options);
      expect(pool.status().maxProcesses).toBe(Infinity);
      if (options !== undefined) return;
      const all = Array.from({ length: 18 }, () => new Watched(program('cat')).transport);
      await Promise.all(all.map((transport) => transport.start()));
      expect(new Set(all.map(({ pid }) => pid)).size).toBe(18);
      await Promise.all(all.map((transport) => transport.close()));
      expect(pool.status()).toMatchObject({ processes: 0, servers: {} });
    },
  );

  it('[GLOBAL-3] has the caps that the host sets, also for the drop-in', async () => {
    const pool = MCPServerPool.global({
      limits: { maxProcesses: 1 },
      acquireTimeout: 200,
      defaults: { minIdle: 1, sharing: 'exclusive', eofGrace: 50 },
    });
    const first = new Watched(program('cat')).transport;
    const second = new Watched(program('cat')).transport;
    await first.start();
    const error = (await rejection(second.start())) as PoolError;
    expect(error.code).toBe('ACQUIRE_TIMEOUT');
    await first.close();
    await second.start();
    expect(pool.metrics()).toMatchObject({ started: 2, mostProcesses: 1 });
    await second.close();
    expect(pool.status()).toMatchObject({ processes: 0, servers: {} });
  });

  it('[GLOBAL-1] is the same for two installed copies of the package', async () => {
    const { code, stdout, stderr } = await runHost(`
      import { cpSync, rmSync } from 'node:fs';
      const COPY = SRC.replace('/src-', '/copy-') + '-' + process.pid;
      cpSync(SRC, COPY, { recursive: true });
      try {
        const [one, two] = await Promise.all([import(SRC + '/index.js'), import(COPY + '/index.js')]);
        const stdio = await Promise.all([import(SRC + '/stdio.js'), import(COPY + '/stdio.js')]);
        const pool = two.MCPServerPool.global();
        const server = { command: 'cat', env: { MCP_POOL_TEST: process.env.MCP_POOL_TEST } };
        const transports = stdio.map(({ StdioClientTransport }) => new StdioClientTransport(server));
        await Promise.all(transports.map((transport) => transport.start()));
        const during = pool.status();
        const failed = await new stdio[0].StdioClientTransport({ command: 'no-such-command' }).start().catch((error) => error);
        await Promise.all(transports.map((transport) => transport.close()));
        const report = await pool.shutdown();
        console.log(JSON.stringify({
          copies: one.MCPServerPool !== two.MCPServerPool,
          same: one.MCPServerPool.global() !== pool && two.MCPServerPool.global() === one.MCPServerPool.global(),
          leases: during.leases,
          names: Object.keys(during.servers).length,
          ours: failed instanceof one.PoolError,
          code: failed.code,
          survivors: report.survivors,
        }));
        await one.MCPServerPool.global().shutdown();
      } finally {
        rmSync(COPY, { recursive: true });
      }`);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      copies: true,
      same: true,
      leases: 2,
      names: 2,
      ours: true,
      code: 'COMMAND_NOT_FOUND',
      survivors: [],
    });
    expect(code).toBe(0);
  });
});
