import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MCPServerPool, ServerDefinition } from '../../src/index.js';
import { MARK_VARIABLE } from '../../src/process/marks/marker.js';
import { ESCAPES, newTag, tagged } from '../helpers/escapes.js';
import { fixturePath } from '../helpers/fixture.js';
import { MARKER } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';
import { until } from '../helpers/until.js';
import { forgeries } from './forgeries.js';
import { forger, limitOf, OBSTACLE, oldSession, SELF } from './strangers.js';

// Another user forges the marks of this process, which is the host. Most needs root, and two users that need no account.

const SLEEP = 'sleep 50 "$0"';

/** A server that leaves a daemon which only the limit shows, by MCP's rules otherwise. */
function server(tag: string, policy: Partial<ServerDefinition> = {}): ServerDefinition {
  const leaves = ESCAPES['double fork + env -i']?.replace(/; [^;]*; sleep 50$/, '');
  const args = ['-c', `${leaves}; exec "$@"`, tag, process.execPath, fixturePath('echo.js'), tag];
  return { command: 'sh', args, inheritEnv: [MARKER], eofGrace: 500, termGrace: 200, ...policy } as ServerDefinition;
}

async function started(policy: Partial<ServerDefinition> = {}, hasLimit = true) {
  const tag = newTag();
  const plain = { command: process.execPath, args: [fixturePath('echo.js'), tag], inheritEnv: [MARKER], ...policy };
  const pool = open({ test: hasLimit ? server(tag, policy) : plain });
  const lease = await pool.getServer('test');
  if (!hasLimit) return { pool, lease, tag, limit: '' };
  await until('its daemon is there', () => tagged(tag).some(({ command }) => command === 'sleep'));
  return { pool, lease, tag, limit: limitOf(lease.pid as number) };
}

/** Ends everything, and shows that the own tree ended whole and no slot is held. */
async function endWhole(pool: MCPServerPool, tag: string, mode: 'graceful' | 'emergency') {
  const report = await pool.shutdown({ mode });
  expect(report.survivors).toEqual([]);
  expect(report.servers.map(({ survivors }) => survivors)).toEqual([[]]);
  expect(tagged(tag)).toEqual([]);
}

const MODES = ['shared', 'exclusive', 'dedicated'] as const;

describe('the limit of a host, forged on', () => {
  for (const [what, { make, obstacle, ids }] of Object.entries(forgeries(SELF))) {
    for (const containment of ['markers', 'auto'] as const) {
      it(`${ids} ${what}: it lives on, is not moved, and delays nothing (${containment})`, async ({ skip }) => {
        if (obstacle !== undefined) skip(obstacle);
        const { pool, tag, limit } = await started({ containment });
        const forged = make();
        await forged.forge(limit);
        const place = forged.place();
        await endWhole(pool, tag, 'graceful');
        expect([forged.lives(), forged.place()]).toEqual([true, place]);
      });
    }
  }

  it('[MARK-12] root itself: it lives on, if the server was started without a limit', async ({ skip }) => {
    if (OBSTACLE !== undefined) skip(OBSTACLE);
    const { pool, lease } = await started({ containment: 'markers', markers: { rlimit: false } }, false);
    const marks = new RegExp(`${MARK_VARIABLE}=([^\\0]*)`).exec(
      readFileSync(`/proc/${lease.pid}/environ`, 'latin1'),
    )?.[1];
    const [id = '', instance = ''] = marks?.split(':').at(-1)?.split('.') ?? [];
    const number = BigInt(Number.parseInt(id.slice(0, 8), 16) & 0x7fff_ffff);
    const forged = forger({ user: 0 });
    await forged.forge(String((number << 31n) | BigInt(instance)));
    expect((await pool.shutdown()).survivors).toEqual([]);
    expect(forged.lives()).toBe(true);
  });

  it.runIf(OBSTACLE === undefined).each(MODES)(
    '[MARK-11] [MARK-12] [PROOF-4] a process in an older session without a leader (%s)',
    async (sharing) => {
      const old = oldSession();
      await until('the daemon is there', old.daemon);
      const { pool, lease, tag, limit } = await started({ sharing, containment: 'markers' });
      await old.forge(limit);
      lease.release();
      await endWhole(pool, tag, 'emergency');
      expect([old.lives(), old.daemon()]).toEqual([true, true]);
    },
  );
});

describe('the variable of a host of root, forged', () => {
  it('[MARK-13] counts for nothing without the key, which no other user can read', async ({ skip }) => {
    if (OBSTACLE !== undefined) skip(OBSTACLE);
    const { pool, lease, tag, limit } = await started({ containment: 'markers' });
    const own = new RegExp(`${MARK_VARIABLE}=([^\\0]*)`).exec(
      readFileSync(`/proc/${lease.pid}/environ`, 'latin1'),
    )?.[1];
    const [id, instance] = own?.split('.') ?? [];
    const marks = `${id}.${instance}.${'0'.repeat(32)}`;
    const forged = [forger({ env: { [MARK_VARIABLE]: marks } }), forger({ env: { [MARK_VARIABLE]: marks }, user: 0 })];
    // That of root has the limit of another host: only its variable is ours.
    await Promise.all([forged[0]?.forge(limit), forged[1]?.forge(String((77n << 31n) | 1n))]);
    const read = forger({ script: `cat /proc/${lease.pid}/environ >/dev/null 2>&1 || exec ${SLEEP}` });
    await read.forge(limit);
    await endWhole(pool, tag, 'graceful');
    expect([...forged, read].map((one) => one.lives())).toEqual([true, true, true]);
  });
});
