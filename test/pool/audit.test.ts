import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MCPServerPool } from '../../src/index.js';
import { AUDITED_EVENTS } from '../../src/monitor/audit/audit-record.js';
import { auditFolder, linesOf } from '../helpers/audit.js';
import { fixture } from '../helpers/fixture.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { EVERY_EVENT } from '../helpers/settled.js';
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
      'server:exited',
      'signal:sent',
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

  it('[AUDIT-10] costs nothing where there is none: no listener', () => {
    const pool = open({ echo: echo() });
    const heard = AUDITED_EVENTS.filter((event) => pool.listenerCount(event as never) > 0);
    expect(heard).toEqual([]);
  });

  it('[AUDIT-10] hears no event that is emitted for each lease', () => {
    const pool = open({ echo: echo() }, { audit: { path: newPath() } });
    for (const event of ['lease:acquired', 'lease:released', 'queue:waiting', 'server:stderr'] as const) {
      expect(pool.listenerCount(event)).toBe(0);
    }
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
    ];
    expect([...AUDITED_EVENTS, ...leftOut].sort()).toEqual([...EVERY_EVENT].sort());
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
