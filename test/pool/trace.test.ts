import { describe, expect, it } from 'vitest';
import { runHost } from '../helpers/host.js';
import { MARKER } from '../helpers/processes.js';

const host = (timeout: string) => `
  const { MCPServerPool } = await import(SRC + '/index.js');
  const server = { command: process.execPath, args: [FIXTURES + '/echo.js'], inheritEnv: ['${MARKER}'] };
  const pool = new MCPServerPool({ servers: { s: server } });
  const lease = await pool.getServer('s', { owner: 'secret-owner' });
  pool.on('server:draining', () => lease.release());
  const restarted = pool.restart('s', ${timeout});
  await lease.ended;
  await restarted;
  await pool.shutdown();
`;

describe('NODE_DEBUG=mcp-server-pool', () => {
  it.each([
    ['{}', 'timeout=Infinity'],
    ['{ timeout: 10_000 }', 'timeout=10000'],
  ])('[DEF-3] shows for how many leases a call waits, and how long: restart(name, %s)', async (options, shown) => {
    const { code, stderr } = await runHost(host(options), { env: { NODE_DEBUG: 'mcp-server-pool' } });
    expect(code).toBe(0);
    const line = stderr.split('\n').find((text) => text.includes('server:draining'));
    expect(line).toContain(shown);
    expect(line).toContain('reason=restart');
    expect(line).toContain('leases=1');
    expect(stderr).not.toContain('secret-owner');
  });

  it('[GUEST-3] writes nothing without it', async () => {
    const { code, stderr, stdout } = await runHost(host('{}'));
    expect([code, stderr, stdout]).toEqual([0, '', '']);
  });
});
