import { describe, expect, it } from 'vitest';
import { RawClient } from '../helpers/client.js';
import { fixture } from '../helpers/fixture.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { endGlobalPoolAfterEach, params, Watched } from '../helpers/stdio.js';

endGlobalPoolAfterEach();

interface Asked {
  readonly protocolVersion: string;
  readonly clientInfo: unknown;
}

describe('servers that know older protocol versions only', () => {
  for (const sharing of ['shared', 'exclusive'] as const) {
    it(`[HANDSHAKE-1] serve, when they refuse a newer one: ${sharing}`, async () => {
      for (const [how, newest, offered] of [
        ['--refuse', '2024-11-05', ['2025-11-25', '2024-11-05']],
        ['--complain', '2025-03-26', ['2025-11-25', '2025-06-18', '2025-03-26']],
      ] as const) {
        const pool = open({ old: { ...fixture('old-protocol', how, `--newest=${newest}`), sharing } });
        const server = await pool.getServer('old');
        const client = new RawClient(server.transport);
        await server.transport.start();
        expect(await client.initialize()).toMatchObject({ protocolVersion: newest });
        const asked = (await client.callTool('asked')) as Asked[];
        expect(asked.map(({ protocolVersion }) => protocolVersion)).toEqual(offered);
        await client.close();
      }
    });

    it(`[HANDSHAKE-2] serve with protocolVersion, when they do not answer a newer one: ${sharing}`, async () => {
      const old = fixture('old-protocol', '--mute');
      const clientInfo = { name: 'my-host', version: '7.1', title: 'My host' };
      const pool = open({
        set: { ...old, sharing, protocolVersion: '2025-06-18', clientInfo },
        unset: { ...old, sharing, startTimeout: 1_000, restart: { maxRestarts: 0 } },
      });
      const client = await RawClient.connect((await pool.getServer('set')).transport);
      expect(await client.callTool('asked')).toMatchObject([{ protocolVersion: '2025-06-18', clientInfo }]);
      const error = await fails(pool.getServer('unset'));
      expect(error).toMatchObject({ code: 'START_TIMEOUT', message: expect.stringContaining('protocolVersion') });
    });
  }

  it('[HANDSHAKE-1] are left to their client: dedicated, and in the drop-in', async () => {
    const pool = open({
      old: { ...fixture('old-protocol', '--refuse'), sharing: 'dedicated', protocolVersion: '2024-11-05' },
    });
    const { transport } = new Watched(params('old-protocol', '--refuse'));
    for (const each of [(await pool.getServer('old')).transport, transport]) {
      const client = new RawClient(each);
      await each.start();
      await expect(client.initialize('2025-11-25')).rejects.toThrow('Unsupported protocol version');
      expect(await client.initialize('2025-06-18')).toMatchObject({ protocolVersion: '2025-06-18' });
      const asked = (await client.callTool('asked')) as Asked[];
      expect(asked.map(({ protocolVersion }) => protocolVersion)).toEqual(['2025-11-25', '2025-06-18']);
    }
  });

  it('[HANDSHAKE-2] a process is not the same with another protocolVersion or clientInfo', async () => {
    const server = fixture('echo');
    const pool = open({ echo: server });
    const stopped = record(pool, 'server:stopped');
    const pids = new Set<number | undefined>();
    for (const change of [
      {},
      { protocolVersion: '2025-03-26' },
      { clientInfo: { name: 'x', version: '1' } },
    ] as const) {
      await pool.updateServer('echo', { ...server, ...change });
      const lease = await pool.getServer('echo');
      pids.add(lease.pid);
      lease.release();
    }
    expect(pids.size).toBe(3);
    expect(stopped.length).toBe(2);
  });

  it('[HANDSHAKE-2] [OPT-3] wrong values are refused', async () => {
    for (const wrong of [
      { protocolVersion: '2026-07-28' },
      { protocolVersion: 'newest' },
      { clientInfo: {} },
      { clientInfo: { name: 'x' } },
      { clientInfo: { name: 'x', version: 1 } },
      { clientInfo: { name: '', version: '1' } },
      { clientInfo: 'x' },
      { clientInfo: { name: 'x', version: '1', at: new Date() } },
    ]) {
      expect(() => open({ a: { ...fixture('echo'), ...(wrong as object) } })).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTIONS',
          message: expect.stringContaining(Object.keys(wrong)[0] ?? ''),
        }),
      );
    }
  });
});
