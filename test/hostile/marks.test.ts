import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MCPServerPool, ServerDefinition } from '../../src/index.js';
import { MARK_VARIABLE } from '../../src/process/marks/marker.js';
import { ESCAPES, newTag, tagged } from '../helpers/escapes.js';
import { fixturePath } from '../helpers/fixture.js';
import { MARKER } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';
import { until } from '../helpers/until.js';
import {
  type Forger,
  type ForgerOptions,
  forger,
  limitOf,
  MALLORY,
  NO_LOGIN,
  NO_NAMESPACES,
  OBSTACLE,
  oldSession,
  setuidCopy,
} from './strangers.js';

// Another user forges the marks of a host that runs as root. Needs root, and two users that need no account.

const SLEEP = 'sleep 50 "$0"';
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
const CONTAINER = [...NAMESPACE, '--mount', '--uts', '--ipc', '--net', '--cgroup'];

interface Forgery {
  readonly make: () => Forger;
  readonly obstacle?: string | undefined;
}
const of = (options: ForgerOptions, obstacle = OBSTACLE): Forgery => ({ make: () => forger(options), obstacle });

/** Processes of other users, and what is forged on them. */
const FORGERIES: Readonly<Record<string, Forgery>> = {
  'a daemon': of({}),
  'an orphan': of({ script: `(${SLEEP} &)` }),
  'a chain of processes, each in a session of its own': of({
    script: `i=0; while [ $i -lt 400 ]; do setsid sleep 0.01 "$0"; i=$((i+1)); done & exec ${SLEEP}`,
  }),
  'a setuid program': { make: () => forger({ script: `exec ${setuidCopy('sleep')} 50 "$0"` }), obstacle: OBSTACLE },
  'root, by sudo of another user': of(
    { user: 0, script: `echo ${MALLORY} >/proc/self/loginuid; exec ${SLEEP}` },
    NO_LOGIN,
  ),
  'another pid namespace': of({ within: NAMESPACE, user: 0 }, NO_NAMESPACES),
  'root in a container': of({ within: CONTAINER, user: 0 }, NO_NAMESPACES),
  'root in a user namespace': of({ within: ['unshare', '--user', '--map-root-user'] }, NO_NAMESPACES),
};

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

describe('the limit of a host of root, forged on', () => {
  for (const [what, { make, obstacle }] of Object.entries(FORGERIES)) {
    it(`[MARK-12] [PROOF-4] ${what}: it lives on, and delays nothing`, async ({ skip }) => {
      if (obstacle !== undefined) skip(obstacle);
      const { pool, tag, limit } = await started({ containment: 'markers' });
      const forged = make();
      await forged.forge(limit);
      await endWhole(pool, tag, 'graceful');
      expect(forged.lives()).toBe(true);
    });
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
