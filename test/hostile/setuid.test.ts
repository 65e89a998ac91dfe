import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { endStrays, findStrays, type ServerDefinition } from '../../src/index.js';
import { MARK_VARIABLE, newHostMark, rlimitValue } from '../../src/process/marks/marker.js';
import { newTag, tagged } from '../helpers/escapes.js';
import { fixturePath } from '../helpers/fixture.js';
import { type RunningHost, startHost } from '../helpers/host.js';
import { MARKER } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';
import { until } from '../helpers/until.js';
import { NO_SETUID, RAISES, raises, unreadable } from './setuid.js';
import { type Forger, forger, limitOf, MALLORY, OTHER } from './strangers.js';

// Programs with the setuid bit that make all their users one. Needs root, two users that need no account, and a C compiler.

const CAN = NO_SETUID === undefined;

/** A process that another user has started, and that has become one of `user`; `started`: what it has started as such. */
async function raised(user: number, limit: string, what: 'itself' | 'what it has started'): Promise<Forger> {
  const script = `exec ${raises(user)} "$0"${what === 'itself' ? '' : ' sleep 50 "$0"'}`;
  const forged = forger({ script, command: what === 'itself' ? RAISES : 'sleep' });
  await forged.forge(limit);
  await until('it has become that user', () => usersOf(forged.tag).every((users) => users === String(user)));
  return forged;
}

/** A dedicated lease is there before the shell has set the limit. */
const theLimitOf = (pid: number) =>
  until('the server has its limit', () => {
    try {
      return limitOf(pid);
    } catch {
      return undefined;
    }
  });

/** The users of each process with the tag: one number if all four are one. */
function usersOf(tag: string): string[] {
  return tagged(tag).map(({ pid }) => {
    const [, users = ''] = /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
    return [...new Set(users.split('\t'))].join(' ');
  });
}

describe('the limit of a server of root, on a setuid program of another user that has become root', () => {
  const cases = [
    ['shared', 'itself', 'graceful'],
    ['exclusive', 'itself', 'emergency'],
    ['dedicated', 'what it has started', 'graceful'],
    ['exclusive', 'what it has started', 'emergency'],
  ] as const;

  it.runIf(CAN).each(cases)(
    '[SETUID-1] [PROOF-4] lives on and holds no slot (%s, %s, %s)',
    async (sharing, what, mode) => {
      const tag = newTag();
      const definition = { command: process.execPath, args: [fixturePath('echo.js'), tag], inheritEnv: [MARKER] };
      const server = { ...definition, sharing, eofGrace: 200, termGrace: 100, containment: 'markers' } as const;
      const pool = open({ server: server as ServerDefinition });
      const lease = await pool.getServer('server');
      const forged = await raised(0, await theLimitOf(lease.pid as number), what);
      lease.release();
      const report = await pool.shutdown({ mode });
      expect([report.survivors, tagged(tag), forged.lives()]).toEqual([[], [], true]);
    },
  );
});

/** Runs a host of `user` with one server, which ends it on SIGUSR2. */
async function hostOf(user: number, args: readonly string[], containment = 'markers', guardian = false) {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  spawnSync('chown', [String(user), folder]);
  const host = startHost(
    `const { MCPServerPool } = await import(SRC + '/index.js');
    ${user === 0 ? '' : `process.setgroups([]); process.setgid(${user}); process.setuid(${user});`}
    const [command, ...args] = ${JSON.stringify(args)};
    const a = { command, args, inheritEnv: ['${MARKER}'], eofGrace: 200, termGrace: 100 };
    const guardian = { enabled: ${guardian}, runtimeDirectory: process.env.FOLDER };
    const pool = new MCPServerPool({ servers: { a }, cleanup: { retries: 0 }, containment: '${containment}', guardian });
    const lease = await pool.getServer('a');
    const hold = setInterval(() => {}, 1_000);
    const asked = new Promise((resolve) => process.once('SIGUSR2', resolve));
    console.log(JSON.stringify({ pid: lease.pid, guardian: pool.status().containment.guardian }));
    await asked;
    clearInterval(hold);
    console.log(JSON.stringify((await pool.shutdown()).survivors));`,
    { env: { FOLDER: folder } },
  );
  const line = await until('the host is ready', () => host.stdout().split('\n')[0]);
  return { host, ...(JSON.parse(line) as { pid: number; guardian?: number }) };
}

/** The survivors that the host reports. */
async function ended({ child, result }: RunningHost): Promise<unknown> {
  child.kill('SIGUSR2');
  const { stdout, stderr } = await result;
  expect(stderr).toBe('');
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

describe('hosts of their own, beside a setuid program that another user has started', () => {
  const echo = (tag: string) => [process.execPath, fixturePath('echo.js'), tag];

  it.runIf(CAN).each(['itself', 'what it has started'] as const)(
    '[SETUID-1] [PROOF-4] a host without privileges ends nothing of a program that has become its user (%s)',
    async (what) => {
      const tag = newTag();
      const { host, pid } = await hostOf(OTHER, echo(tag));
      const forged = await raised(OTHER, limitOf(pid), what);
      expect(await ended(host)).toEqual([]);
      expect([tagged(tag), forged.lives()]).toEqual([[], true]);
    },
  );

  it('[SETUID-1] [MARK-4] what is started by the user of the host ends, though it does not show that (no dump)', async ({
    skip,
  }) => {
    if (NO_SETUID !== undefined) skip(NO_SETUID);
    const tag = newTag();
    // The limit is all that shows it: it may not be read, and has left its tree.
    const script = `(env -i setsid sh -c '${unreadable('sleep')} 50 "$0" & true' "$0" &); exec "$@"`;
    const { host } = await hostOf(OTHER, ['sh', '-c', script, tag, ...echo(tag)]);
    await until('it is there', () => tagged(tag).some(({ command }) => command === 'sleep'));
    expect(await ended(host)).toEqual([]);
    expect(tagged(tag)).toEqual([]);
  });
});

describe('a server of another user that starts a setuid program', () => {
  it.runIf(CAN).each(['', ' sleep 50 "$0"'])(
    '[SETUID-2] [MARK-14] directs a host of root to no process of root (it starts%s)',
    async (starts) => {
      const tag = newTag();
      const foreign = newHostMark();
      const written = `${MARK_VARIABLE}="$${MARK_VARIABLE}:${foreign.id}.1.${'0'.repeat(32)}"`;
      const script = `(setsid sh -c '${written} ${raises(0)} "$0"${starts} & true' "$0" &); exec "$@"`;
      const user = ['setpriv', '--reuid', `${MALLORY}`, '--regid', `${MALLORY}`, '--clear-groups'];
      const { host } = await hostOf(0, [...user, 'sh', '-c', script, tag, process.execPath, fixturePath('echo.js')]);
      const name = starts === '' ? RAISES : 'sleep';
      await until('it runs as root', () =>
        tagged(tag).some(({ command }, index) => command === name && usersOf(tag)[index] === '0'),
      );
      const helper = forger({ user: 0, script: 'exec env -i sleep 50 "$0"' });
      await helper.forge(String(rlimitValue({ host: foreign, instance: 5 })));
      expect(await ended(host)).toEqual([]);
      expect([tagged(tag), helper.lives()]).toEqual([[], true]);
    },
  );
});

describe('findStrays() and endStrays()', () => {
  it('[SETUID-1] [STRAY-2] list and end no setuid program that another user has started', async ({ skip }) => {
    if (NO_SETUID !== undefined) skip(NO_SETUID);
    const limit = String(rlimitValue({ host: newHostMark(), instance: 1 }));
    const forged = forger({ script: `(true | exec ${raises(0)} "$0" &)`, command: RAISES });
    await forged.forge(limit);
    await until('it is root', () => usersOf(forged.tag).every((users) => users === '0'));
    const found = await findStrays({ patterns: [forged.tag], olderThan: 0 });
    expect(found).toEqual([]);
    const [{ pid = 0, startTime = 0, command = '' } = {}] = tagged(forged.tag);
    const listed = { pid, startTime, command, reasons: [''] } as unknown as (typeof found)[number];
    expect(await endStrays([listed], { termGrace: 100 })).toMatchObject([{ outcome: 'changed', signal: undefined }]);
    expect(forged.lives()).toBe(true);
  });
});
