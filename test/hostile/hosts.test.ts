import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MARK_VARIABLE, newHostMark, rlimitValue } from '../../src/process/marks/marker.js';
import { ESCAPES, newTag, tagged } from '../helpers/escapes.js';
import { hostArgs, type RunningHost, startHost } from '../helpers/host.js';
import { isLiving, killProcess, MARKER } from '../helpers/processes.js';
import { until } from '../helpers/until.js';
import { forgeries } from './forgeries.js';
import {
  asUser,
  type Forger,
  forger,
  HOSTS,
  limitOf,
  MALLORY,
  OBSTACLE,
  OTHER,
  oldSession,
  SELF,
  setuidCopy,
} from './strangers.js';

// Hosts of their own: of root, and of a user without privileges, beside another one that forges their marks.

const ECHO = "process.execPath, FIXTURES + '/echo.js'";
const LEAVES = ESCAPES['double fork + env -i']?.replace(/; [^;]*; sleep 50$/, '');
const READY = (pids: string) => `const hold = setInterval(() => {}, 1_000);
  // Before the line: without its handler the signal would end the host.
  const asked = new Promise((resolve) => process.once('SIGUSR2', resolve));
  console.log(JSON.stringify(${pids}));
  await asked;
  clearInterval(hold);`;

type Mode = 'graceful' | 'emergency';

/** A pool with three servers that each leave a daemon; it ends on SIGUSR2. */
function poolScript(user: number, tag: string, sharing: string, containment: string, mode: Mode = 'graceful'): string {
  return `
    const { MCPServerPool } = await import(SRC + '/index.js');
    ${becomes(user)}
    const args = ['-c', ${JSON.stringify(`${LEAVES}; exec "$@"`)}, '${tag}', ${ECHO}, '${tag}'];
    const server = { command: 'sh', args, inheritEnv: ['${MARKER}'], eofGrace: 500, termGrace: 200, sharing: '${sharing}' };
    const servers = { a: server, b: server, c: server };
    const pool = new MCPServerPool({ servers, containment: '${containment}', guardian: { runtimeDirectory: process.env.FOLDER } });
    const quarantined = [];
    pool.on('server:quarantined', ({ name }) => quarantined.push(name));
    const leases = await Promise.all(Object.keys(servers).map((name) => pool.getServer(name)));
    ${READY('{ pids: leases.map(({ pid }) => pid), guardian: pool.status().containment.guardian }')}
    ${mode === 'graceful' ? 'for (const lease of leases) lease.release();' : ''}
    const { survivors } = await pool.shutdown({ mode: '${mode}' });
    console.log(JSON.stringify({ survivors, quarantined }));`;
}

/** A host after another one, which it finds by the ledger in the same folder. */
function nextScript(user: number, containment: string): string {
  return `
    const { MCPServerPool } = await import(SRC + '/index.js');
    ${becomes(user)}
    const echo = { command: process.execPath, args: [FIXTURES + '/echo.js'], inheritEnv: ['${MARKER}'] };
    const guardian = { runtimeDirectory: process.env.FOLDER };
    const pool = new MCPServerPool({ servers: { echo }, containment: '${containment}', guardian });
    const { pid } = await pool.getServer('echo');
    ${READY('{ pids: [pid] }')}
    const { survivors } = await pool.shutdown();
    console.log(JSON.stringify({ survivors, quarantined: [] }));`;
}

/** The modules are loaded before: they may be in a folder of root's. */
function becomes(user: number): string {
  return user === SELF ? '' : `process.setgroups([]); process.setgid(${user}); process.setuid(${user});`;
}

function folderOf(user: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  if (user !== SELF) spawnSync('chown', [String(user), folder]);
  return folder;
}

function run(script: string, user: number, folder = folderOf(user)): RunningHost {
  return startHost(script, { env: { FOLDER: folder } });
}

interface Ready {
  readonly pids: readonly number[];
  readonly guardian?: number;
}

async function ready(host: RunningHost): Promise<Ready> {
  const line = await until('the host is ready', () => host.stdout().split('\n')[0]);
  return JSON.parse(line) as Ready;
}

/** The last line that the host wrote. */
async function ended(host: RunningHost): Promise<unknown> {
  host.child.kill('SIGUSR2');
  const { stdout, stderr } = await host.result;
  expect(stderr).toBe('');
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** Three processes under the limits of the servers, each of which starts others all the time. */
async function forgeAll(pids: readonly number[], user: number): Promise<Forger[]> {
  const script = '(while sleep 0.02 "$0"; do :; done) & exec sleep 50 "$0"';
  const forgers = pids.map(() => forger({ user, script }));
  await Promise.all(forgers.map((one, index) => one.forge(limitOf(pids[index] as number))));
  return forgers;
}

const DAEMONS = (tag: string) => tagged(tag).filter(({ command }) => command === 'sleep').length;

describe('another user forges the limits of all servers', () => {
  const cases = [
    ['a host without privileges', MALLORY, OTHER, 'exclusive', 'markers'],
    ['a host without privileges', MALLORY, OTHER, 'shared', 'auto'],
    ['a host without privileges', MALLORY, OTHER, 'dedicated', 'markers'],
    ['a host of root in a cgroup, if it can', 0, MALLORY, 'exclusive', 'auto'],
  ] as const;

  it.runIf(OBSTACLE === undefined).each(cases)(
    '[PROOF-4] [MARK-12] of %s (users %i and %i, %s, %s): no slot is held',
    async (...[, user, forging, sharing, containment]) => {
      const tag = newTag();
      const host = run(poolScript(user, tag, sharing, containment), user);
      const { pids } = await ready(host);
      await until('the daemons are there', () => DAEMONS(tag) === 3);
      const forgers = await forgeAll(pids, forging);
      expect(await ended(host)).toEqual({ survivors: [], quarantined: [] });
      expect(tagged(tag)).toEqual([]);
      expect(forgers.map((one) => one.lives())).toEqual([true, true, true]);
    },
  );

  it.runIf(OBSTACLE === undefined).each(HOSTS)(
    '[PROOF-4] [MARK-12] of the drop-in of user %i: it closes, and nothing of it is left',
    async (user) => {
      const tag = newTag();
      const host = run(
        `const { StdioClientTransport } = await import(SRC + '/stdio.js');
      ${becomes(user)}
      const args = ['-c', ${JSON.stringify(`${LEAVES}; exec "$@"`)}, '${tag}', ${ECHO}, '${tag}'];
      const env = { ...process.env };
      const transport = new StdioClientTransport({ command: 'sh', args, env });
      await transport.start();
      ${READY('{ pids: [transport.pid] }')}
      await transport.close();
      console.log(JSON.stringify('closed'));`,
        user,
      );
      const { pids } = await ready(host);
      await until('the daemon is there', () => DAEMONS(tag) === 1);
      const forgers = await forgeAll(pids, OTHER);
      expect(await ended(host)).toBe('closed');
      expect(tagged(tag)).toEqual([]);
      expect(forgers.map((one) => one.lives())).toEqual([true]);
    },
  );

  it.runIf(OBSTACLE === undefined).each(HOSTS.flatMap((user) => [[user, 'markers'] as const, [user, 'auto'] as const]))(
    '[MARK-12] [GUARD-1] of a host of user %i that is killed (%s)',
    async (user, containment) => {
      const tag = newTag();
      const host = run(poolScript(user, tag, 'exclusive', containment), user);
      const { pids, guardian } = await ready(host);
      await until('the daemons are there', () => DAEMONS(tag) === 3);
      const forgers = await forgeAll(pids, OTHER);
      await killed(host, tag, guardian);
      expect(forgers.map((one) => one.lives())).toEqual([true, true, true]);
    },
  );
});

/** Kills the host, and waits until its servers are dead and its guardian has looked at everything. */
async function killed(host: RunningHost, tag: string, guardian: number | undefined): Promise<void> {
  host.child.kill('SIGKILL');
  await until('the servers are dead', () => tagged(tag).length === 0);
  await until('the guardian has done its work', () => !isLiving(guardian as number));
}

/** What every user can know of the variable: host and number of the instance, but not the key. */
function variableOf(pid: number): Record<string, string> {
  const [, own = ''] =
    new RegExp(`${MARK_VARIABLE}=([^\\0]*)`).exec(readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? [];
  const [id, instance] = own.split(':').at(-1)?.split('.') ?? [];
  return { [MARK_VARIABLE]: `${id}.${instance}.${'0'.repeat(32)}` };
}

describe('all that can forge the limit and the variable of a server, at the same time', () => {
  const cases = HOSTS.flatMap((user) => [
    [user, 'exclusive', 'markers', 'released'] as const,
    [user, 'shared', 'auto', 'released'] as const,
    [user, 'dedicated', 'auto', 'killed'] as const,
    [user, 'exclusive', 'markers', 'killed'] as const,
    [user, 'shared', 'markers', 'in an emergency'] as const,
    [user, 'exclusive', 'auto', 'in an emergency'] as const,
    [user, 'exclusive', 'markers', 'killed with its guardian'] as const,
    [user, 'dedicated', 'auto', 'killed with its guardian'] as const,
  ]);

  const possible = (user: number) =>
    Object.entries(forgeries(user)).filter(([, { obstacle }]) => obstacle === undefined);
  // Without root there are only containers of the same user.
  const shown = OBSTACLE === undefined ? '[MARK-12] [MARK-13] [MARK-15] [MARK-18] [PROOF-4]' : '[MARK-15]';

  it.runIf(HOSTS.every((user) => possible(user).length > 0)).each(cases)(
    `${shown} lives on, is not moved, and holds no slot (a host of user %i, %s, %s) when the host is %s`,
    async (user, sharing, containment, end) => {
      const tag = newTag();
      const folder = folderOf(user);
      const mode = end === 'in an emergency' ? 'emergency' : 'graceful';
      const host = run(poolScript(user, tag, sharing, containment, mode), user, folder);
      const { pids, guardian } = await ready(host);
      await until('the daemons are there', () => DAEMONS(tag) === 3);
      const [pid = 0] = pids;
      const forgers = possible(user).map(([what, { make }]) => ({ what, forged: make(variableOf(pid)) }));
      await Promise.all(forgers.map(({ forged }) => forged.forge(limitOf(pid))));
      const seen = () => forgers.map(({ what, forged }) => ({ what, lives: forged.lives(), place: forged.place() }));
      const before = seen();
      if (end === 'killed') await killed(host, tag, guardian);
      else if (end === 'killed with its guardian') {
        // Stopped first: it would start another guardian.
        host.child.kill('SIGSTOP');
        process.kill(guardian as number, 'SIGKILL');
        host.child.kill('SIGKILL');
        await host.result;
        expect(DAEMONS(tag)).toBe(3);
        const next = run(nextScript(user, containment), user, folder);
        await ready(next);
        await until('the next host has ended them', () => tagged(tag).length === 0);
        expect(await ended(next)).toEqual({ survivors: [], quarantined: [] });
      } else expect(await ended(host)).toEqual({ survivors: [], quarantined: [] });
      expect(tagged(tag)).toEqual([]);
      expect(seen()).toEqual(before.map((one) => ({ ...one, lives: true })));
    },
  );
});

describe('a host in a session with a process of another user', () => {
  const cases = HOSTS.flatMap((user) => [
    [user, 'markers', 'gone'] as const,
    [user, 'auto', 'gone'] as const,
    [user, 'markers', 'living'] as const,
  ]);

  it.runIf(OBSTACLE === undefined).each(cases)(
    '[MARK-11] [MARK-12] lives through the end of its servers, and so does all in its group (of user %i, %s, its leader is %s)',
    async (user, containment, leader) => {
      const tag = newTag();
      const script = `process.env.FOLDER = ${JSON.stringify(folderOf(user))};
        console.log(process.pid);
        ${poolScript(user, tag, 'exclusive', containment)}`;
      const old = oldSession([process.execPath, ...hostArgs(script)], { leader, user: OTHER });
      const lines = () => old.stdout().split('\n').slice(0, -1);
      const [pid, shown] = await until('the host is ready', () => lines().length >= 2 && lines());
      await until('the daemons are there', () => DAEMONS(tag) === 3);
      const { pids } = JSON.parse(shown ?? '') as Ready;
      await old.forge(limitOf(pids[0] as number));
      process.kill(Number(pid), 'SIGUSR2');
      await until('the host has ended its servers', () => lines().length >= 3);
      expect(JSON.parse(lines()[2] ?? '')).toEqual({ survivors: [], quarantined: [] });
      expect([tagged(tag), old.lives(), old.daemon()]).toEqual([[], true, true]);
    },
  );
});

describe('what an inner host hands on', () => {
  it.runIf(OBSTACLE === undefined).each(HOSTS)(
    '[MARK-14] a server directs a host of user %i to nothing of a third user',
    async (hostUser) => {
      const tag = newTag();
      const foreign = newHostMark();
      const written = `${foreign.id}.1.${'0'.repeat(32)}`;
      // It runs as another user than a host of root, and adds the mark of a foreign host to its own.
      const mark = `MCP_SERVER_POOL_MARK="$MCP_SERVER_POOL_MARK:${written}"`;
      const user = hostUser === 0 ? asUser(MALLORY).join(' ') : '';
      const script = `setsid ${user} env ${mark} sleep 50 "$0" & exec "$@"`;
      const host = run(
        `const { MCPServerPool } = await import(SRC + '/index.js');
      ${becomes(hostUser)}
      const args = ['-c', ${JSON.stringify(script)}, '${tag}', ${ECHO}, '${tag}'];
      const a = { command: 'sh', args, inheritEnv: ['${MARKER}'], eofGrace: 500, termGrace: 200 };
      const pool = new MCPServerPool({ servers: { a }, containment: 'markers', guardian: { enabled: false } });
      const lease = await pool.getServer('a');
      ${READY('{ pids: [lease.pid] }')}
      console.log(JSON.stringify((await pool.shutdown()).survivors));`,
        hostUser,
      );
      await ready(host);
      await until('the liar is there', () => DAEMONS(tag) === 1);
      // Helpers of the foreign host, with an empty environment: of a third user, of root, and of the liar itself.
      const limit = String(rlimitValue({ host: foreign, instance: 5 }));
      const script2 = 'exec env -i sleep 50 "$0"';
      const helpers = [OTHER, 0, MALLORY].map((one) => forger({ user: one, script: script2 }));
      await Promise.all(helpers.map((one) => one.forge(limit)));
      expect(await ended(host)).toEqual([]);
      expect(tagged(tag)).toEqual([]);
      expect(helpers.map((one) => one.lives())).toEqual([true, true, false]);
    },
  );
});

describe('a process of ours that may not be signalled', () => {
  it('[PROOF-4] [PROOF-1] is reported as a survivor, with the reason', async ({ skip }) => {
    if (OBSTACLE !== undefined) skip(OBSTACLE);
    const tag = newTag();
    const becomeRoot = setuidCopy('setpriv');
    const script = `${becomeRoot} --reuid 0 --regid 0 --clear-groups sleep 50 "$0" & exec "$@"`;
    const host = run(
      `const { MCPServerPool } = await import(SRC + '/index.js');
      ${becomes(MALLORY)}
      const args = ['-c', ${JSON.stringify(script)}, '${tag}', ${ECHO}, '${tag}'];
      const a = { command: 'sh', args, inheritEnv: ['${MARKER}'], eofGrace: 200, termGrace: 200 };
      const cleanup = { retries: 0 };
      const pool = new MCPServerPool({ servers: { a }, cleanup, containment: 'markers', guardian: { enabled: false } });
      const lease = await pool.getServer('a');
      ${READY('{ pids: [lease.pid] }')}
      console.log(JSON.stringify((await pool.shutdown()).survivors));`,
      MALLORY,
    );
    await ready(host);
    const [left] = await until('it runs as root', () => {
      const found = tagged(tag).filter(({ command }) => command === 'sleep');
      return found.length > 0 && found;
    });
    const reason = expect.stringContaining('EPERM');
    expect(await ended(host)).toEqual([{ name: 'a', pid: left?.pid, command: 'sleep', reason }]);
    expect(tagged(tag).map(({ pid }) => pid)).toEqual([left?.pid]);
    if (left) killProcess(left);
  });
});
