import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MCPServerPool, POOL_EVENTS } from '../../src/index.js';
import { AUDITED_EVENTS } from '../../src/monitor/audit/audit-record.js';
import { auditFolder, linesOf } from '../helpers/audit.js';
import { fixture } from '../helpers/fixture.js';
import { setUpMeasured } from '../helpers/measured-pool.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { until } from '../helpers/until.js';

const SECRET = 'sk-live-0123456789';
const newPath = () => join(auditFolder(), 'audit.jsonl');
const echo = () => ({ ...fixture('echo'), env: { TOKEN: SECRET } });

describe('the audit trail of a pool', () => {
  it('[AUDIT-10] says what started and ended, by which signals, and why', async () => {
    const path = newPath();
    const pool = open({ echo: echo() }, { audit: { path } });
    const server = await pool.getServer('echo');
    server.release();
    await pool.shutdown();
    const lines = linesOf(path);
    expect(lines.map(({ event }) => event)).toEqual([
      'pool:opened',
      'server:starting',
      'server:ready',
      'pool:draining',
      'server:stopping',
      'cleanup:started',
      'signal:sent',
      'server:exited',
      'cleanup:finished',
      'server:stopped',
      'pool:closed',
    ]);
    const of = (event: string) => lines.find((line) => line.event === event);
    expect(of('server:stopping')).toMatchObject({ name: 'echo', pid: server.pid, reason: 'shutdown' });
    expect(of('signal:sent')).toMatchObject({ signal: 'eof', processes: 1, pid: server.pid });
    expect(of('pool:closed')).toMatchObject({ mode: 'graceful', survivors: [] });
  });

  it('[AUDIT-10] says why a start failed and a server crashed', async () => {
    const path = newPath();
    const dies = {
      ...fixture('dies-in-handshake'),
      args: [...fixture('dies-in-handshake').args, `--token=${SECRET}`],
    };
    const pool = open({ dies, missing: { command: '/nonexistent/command' } }, { audit: { path } });
    await fails(pool.getServer('dies'));
    await fails(pool.getServer('missing'));
    await pool.shutdown();
    const failed = linesOf(path).filter(({ event }) => event === 'server:failed');
    expect(failed).toMatchObject([
      { name: 'dies', error: 'SERVER_EXITED' },
      { name: 'missing', error: 'COMMAND_NOT_FOUND' },
    ]);
    expect(linesOf(path)).toContainEqual(
      expect.objectContaining({ event: 'server:exited', name: 'dies', unexpected: true }),
    );
  });

  it('[AUDIT-9] has no secret of a server, and no output of it', async () => {
    const path = newPath();
    const noisy = fixture('noisy-stderr');
    const pool = open({ echo: echo(), noisy: { ...noisy, args: [...noisy.args, SECRET] } }, { audit: { path } });
    const stderr = record(pool, 'server:stderr');
    for (const name of ['echo', 'noisy']) (await pool.getServer(name, { tenant: SECRET, owner: SECRET })).release();
    await until('output', () => stderr.length > 0);
    await pool.shutdown();
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(stderr[0]?.line);
  });

  it('[AUDIT-10] that cannot be written is one event, and the pool works', async () => {
    const path = newPath();
    chmodSync(dirname(path), 0o777);
    const pool = open({ echo: echo() }, { audit: { path } });
    const failures = record(pool, 'audit:failed');
    for (let count = 0; count < 3; count++) {
      const server = await pool.getServer('echo', { owner: `${count}` });
      server.release();
      await server.ended;
    }
    expect((await pool.shutdown()).survivors).toEqual([]);
    expect(failures).toMatchObject([{ path, problem: expect.stringContaining('chmod go-w') }]);
    expect(existsSync(path)).toBe(false);
  });

  it('[AUDIT-10] [AUDIT-11] is no listener: none with it, none without', () => {
    for (const audit of [{}, { audit: { path: newPath() } }]) {
      const pool = open({ echo: echo() }, audit);
      const heard = POOL_EVENTS.filter((event) => pool.listenerCount(event) > 0);
      expect([heard, pool.cleanup.eventNames(), pool.monitor.eventNames()]).toEqual([[], [], []]);
    }
  });

  it('[AUDIT-11] goes on when the host removes all listeners, and the pool passes on what its parts emit', async () => {
    const path = newPath();
    const servers = { a: { command: 'fake', memoryLimitMB: 100 } };
    const { pool, pass, server } = setUpMeasured({ servers, audit: { path } });
    for (const emitter of [pool, pool.cleanup, pool.monitor]) emitter.removeAllListeners();
    const limits = record(pool, 'limit:exceeded');
    const ends = record(pool, 'cleanup:finished');
    await pool.getServer('a');
    server(0).load = { memoryMB: 130 };
    await pass(60_000);
    await pool.shutdown();
    expect([limits.length, ends.length]).toEqual([1, 1]);
    expect(linesOf(path).map(({ event }) => event)).toEqual([
      'pool:opened',
      'server:starting',
      'server:ready',
      'limit:exceeded',
      'action:taken',
      'server:stopping',
      'cleanup:started',
      'signal:sent',
      'cleanup:finished',
      'server:exited',
      'server:stopped',
      'limit:recovered',
      'pool:draining',
      'pool:closed',
    ]);
  });

  it('[AUDIT-10] says when starts wait, and when they are free again', async () => {
    const path = newPath();
    const { pool, pass, server } = setUpMeasured({
      servers: { a: { command: 'fake' } },
      limits: { memoryLimitMB: 1_000 },
      audit: { path },
    });
    (await pool.getServer('a')).release();
    server(0).load = { memoryMB: 1_200 };
    await pass(120_000);
    await pool.shutdown();
    const actions = linesOf(path).filter(({ event }) => event === 'action:taken');
    expect(actions).toMatchObject([
      { action: 'hold-starts', reason: 'all trees use 1200 MB of 1000 MB' },
      { action: 'end-idle' },
      { action: 'free-starts', reason: 'no server lives' },
    ]);
  });

  it('[AUDIT-10] has each event of a pool, or leaves it out on purpose', () => {
    const leftOut = [
      // For each call: that would be one line for each lease.
      ...['lease:acquired', 'lease:released', 'lease:moved', 'lease:leaked'],
      ...['queue:waiting', 'queue:served', 'queue:rejected'],
      // What servers and clients say.
      ...['server:stderr', 'server:noise', 'tools:changed', 'capability:undeclared'],
      // Of the host, and of the trail itself.
      ...['listener:error', 'audit:failed'],
      // For each check.
      'health:checked',
      // What has begun, or changes nothing.
      ...['package:resolving', 'package:check-failed', 'config:warned'],
    ];
    expect([...AUDITED_EVENTS, ...leftOut].sort()).toEqual([...POOL_EVENTS].sort());
  });

  it.each([
    [{ path: 'audit.jsonl' }, 'audit.path must be an absolute path'],
    [{ path: '/var/log/x', maxMB: 0 }, 'audit.maxMB must be'],
    [{ path: '/var/log/x', keep: 101 }, 'audit.keep must be a whole number from 0 to 100'],
    [{ maxMB: 3 }, 'audit.path must be set'],
  ])('[OPT-1] refuses %o', (audit, message) => {
    expect(() => new MCPServerPool({ audit })).toThrow(message);
  });
});
