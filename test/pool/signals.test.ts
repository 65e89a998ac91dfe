import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startHost } from '../helpers/host.js';
import { AS_INIT, obstacleToNamespaces } from '../helpers/namespace.js';
import { descendants, MARKER, marked } from '../helpers/processes.js';
import { until } from '../helpers/until.js';

/** A host with two pools of servers that do not end by end of file, and a lease on each. */
const host = (more = '') => `
  const { MCPServerPool } = await import(SRC + '/index.js');
  const server = { command: process.execPath, args: [FIXTURES + '/ignore-eof-and-term.js'], inheritEnv: ['${MARKER}'] };
  const pools = [0, 1].map((number) => {
    const pool = new MCPServerPool({ servers: { s: { ...server, eofGrace: EOF, termGrace: EOF } }, handleSignals: true });
    pool.on('pool:draining', () => console.log('draining'));
    pool.on('pool:closed', ({ mode, survivors }) => console.log('closed', number, mode, survivors.length));
    return pool;
  });
  await Promise.all(pools.map((pool) => pool.getServer('s')));
  ${more}
  console.log('ready', process.listenerCount('SIGTERM'));
  setInterval(() => {}, 1_000);
`;

const servers = () => marked().filter(({ pid }) => command(pid).includes('ignore-eof-and-term.js'));
const command = (pid: number) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
};

const obstacle = obstacleToNamespaces();

describe('handleSignals', () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '[SIGNAL-1] %s shuts all pools down, then ends the host by itself',
    async (signal) => {
      const { child, result, stdout } = startHost(host().replaceAll('EOF', '100'));
      await until('it is ready', () => stdout().includes('ready 1'));
      child.kill(signal);
      const ended = await result;
      expect([ended.signal, ended.stderr]).toEqual([signal, '']);
      expect(ended.stdout.match(/closed \d graceful 0/g)).toHaveLength(2);
      expect(servers()).toEqual([]);
    },
  );

  it('[SIGNAL-1] a second signal makes it an emergency', async () => {
    const { child, result, stdout } = startHost(host().replaceAll('EOF', '15_000'));
    await until('it is ready', () => stdout().includes('ready 1'));
    child.kill('SIGTERM');
    await until('it has begun', () => stdout().includes('draining'));
    child.kill('SIGINT');
    const ended = await result;
    expect(ended.signal).toBe('SIGTERM');
    expect(ended.stdout.match(/closed \d emergency 0/g)).toHaveLength(2);
    expect(servers()).toEqual([]);
  });

  it.skipIf(obstacle !== undefined)(
    `[SIGNAL-1] ends a host that is process 1, from which the kernel keeps signals (${obstacle ?? 'as root'})`,
    async () => {
      const { child, result, stdout } = startHost(host().replaceAll('EOF', '100'), { before: AS_INIT });
      await until('it is ready', () => stdout().includes('ready 1'));
      const init = await until('process 1 is seen', () => descendants(child.pid)[0]);
      process.kill(init.pid, 'SIGTERM');
      const ended = await result;
      expect([ended.code, ended.stderr]).toEqual([143, '']);
      expect(ended.stdout.match(/closed \d graceful 0/g)).toHaveLength(2);
      expect(servers()).toEqual([]);
    },
  );

  it('[SIGNAL-1] a host that listens itself decides when it ends', async () => {
    const own = "process.on('SIGTERM', () => console.log('heard'));";
    const { child, result, stdout } = startHost(host(own).replaceAll('EOF', '100'));
    await until('it is ready', () => stdout().includes('ready 2'));
    child.kill('SIGTERM');
    await until('both are closed', () => stdout().match(/closed/g)?.length === 2);
    expect(stdout().match(/heard/g)).toHaveLength(1);
    expect(child.exitCode).toBe(null);
    child.kill('SIGKILL');
    await result;
    expect(servers()).toEqual([]);
  });

  it('[SIGNAL-1] [GUEST-3] leaves no handler when the pools were shut down', async () => {
    const { result } = startHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const pools = [0, 1].map(() => new MCPServerPool({ handleSignals: true }));
      console.log(process.listenerCount('SIGTERM'));
      await pools[0].shutdown();
      console.log(process.listenerCount('SIGTERM'));
      await pools[1].shutdown();
      console.log(process.listenerCount('SIGTERM'));
    `);
    expect((await result).stdout.trim().split('\n')).toEqual(['1', '1', '0']);
  });
});
