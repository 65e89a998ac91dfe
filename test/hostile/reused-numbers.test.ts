import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { JOINING } from '../../src/process/cgroup/cgroup-files.js';
import { HostCgroup } from '../../src/process/cgroup/host-cgroup.js';
import { reapHost } from '../../src/process/guardian/dead-hosts.js';
import { newHostMark } from '../../src/process/marks/marker.js';
import { linux } from '../../src/process/platforms/linux.js';
import { CGROUP_ROOT, cgroup, hasCgroups, isRoot } from '../helpers/cgroups.js';
import { newTag, tagged } from '../helpers/escapes.js';
import { startHost } from '../helpers/host.js';
import { isLiving, MARKER } from '../helpers/processes.js';
import { canSetPids, SET_LAST, within } from '../helpers/reuse.js';
import { until } from '../helpers/until.js';

// A server is moved into its cgroup by its number, and the kernel looks that up late. Here the number belongs to a
// stranger by then: in a pid namespace of one's own, /proc/sys/kernel/ns_last_pid says which number comes next.

/** The number that a process has in its own namespace. */
function innerPid(pid: number): number {
  const [, numbers = ''] = /^NSpid:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(numbers.trim().split(/\s+/).at(-1));
}

const POSSIBLE = isRoot && hasCgroups && canSetPids();

/**
 * Starts a server with `containment: 'auto'`. Before the host writes the number of the process that `victim` chooses
 * into a cgroup, that process ends, and a stranger gets its number. `meanwhile` runs while the stranger is in there.
 */
const host = (tag: string, script: string, victim: 'leader' | 'child', meanwhile: string, more: string) => `
  const { writeFileSync, writeSync, readFileSync, existsSync } = await import('node:fs');
  const { spawn } = await import('node:child_process');
  const { syncBuiltinESMExports } = await import('node:module');
  const { setTimeout: pause } = await import('node:timers/promises');
  const files = (await import('node:fs/promises')).default;
  const { open } = files;
  let stranger;
  const replace = async (pid) => {
    // A start time is in hundredths of a second: in the same one, the stranger would be the same process to all.
    await pause(30);
    process.kill(pid, 'SIGKILL');
    while (existsSync('/proc/' + pid)) await new Promise((resolve) => setImmediate(resolve));
    for (let tries = 0; tries < 500; tries++) {
      writeFileSync('${SET_LAST}', String(pid - 1));
      const child = spawn('sleep', ['50', '${tag}'], { stdio: 'ignore', detached: true });
      if (child.pid === pid) return void (stranger = pid);
      child.kill('SIGKILL');
    }
    throw new Error('no stranger got the number ' + pid);
  };
  let moves = 0;
  files.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    if (!String(path).includes('mcp-server-pool-')) return handle;
    const write = handle.write.bind(handle);
    handle.write = async (text) => {
      moves += 1;
      const isIt = moves === ${victim === 'leader' ? 1 : 2};
      const children = '/proc/' + text + '/task/' + text + '/children';
      if (isIt) await replace(Number(text));
      // What it forks later is in its cgroup from the beginning, and need not be moved.
      else while (moves === 1 && readFileSync(children, 'utf8') === '') await pause(1);
      const written = isIt ? writeSync(handle.fd, text) : await write(text);
      if (isIt) { writeSync(1, stranger + '\\n'); ${meanwhile} }
      return written;
    };
    return handle;
  };
  syncBuiltinESMExports();
  const { MCPServerPool } = await import(SRC + '/index.js');
  setInterval(() => {}, 1_000);
  const pool = new MCPServerPool({
    command: 'sh', args: ['-c', ${JSON.stringify(script)}], containment: 'auto', sharing: 'dedicated', inheritEnv: ['${MARKER}'],
    eofGrace: 100, termGrace: 100,
  });
  const lease = await pool.getServer();
  while (stranger === undefined) await pause(1);
  ${more}
  await pool.shutdown({ mode: 'emergency' });
  await pause(100);
  const isThere = existsSync('/proc/' + stranger) && !/ Z /.test(readFileSync('/proc/' + stranger + '/stat', 'utf8'));
  console.log(JSON.stringify({ moves, isThere, cgroup: isThere ? readFileSync('/proc/' + stranger + '/cgroup', 'utf8') : '' }));
  process.exit();`;

/** It forks no more after that: its next child would get the number. */
const CHILD = 'sleep 50 & wait; exec cat >/dev/null';

describe.runIf(POSSIBLE)(
  'a stranger with the number of a process that is moved (needs root and a pid namespace)',
  () => {
    it.each([
      ['leader', 'the ladder', 'exec cat', ''],
      ['leader', 'a release', 'exec cat', 'lease.release();'],
      ['child', 'the ladder', CHILD, ''],
      ['child', 'a crash', CHILD, `process.kill(lease.pid, 'SIGKILL'); await pause(50);`],
    ] as const)('[REUSE-1] of a %s is moved back before %s kills', async (victim, _end, script, more) => {
      const tag = newTag();
      const { result } = startHost(host(tag, script, victim, '', more), { before: within(':') });
      const { stdout, stderr } = await result;
      expect(stderr).toBe('');
      const { moves, isThere, cgroup: path } = JSON.parse(stdout.split('\n')[1] ?? '');
      expect(isThere).toBe(true);
      expect(moves).toBeGreaterThanOrEqual(victim === 'leader' ? 1 : 2);
      expect(path).not.toContain('mcp-server-pool-');
    });

    it.each([
      ['is killed', `process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});`],
      ['exits', 'process.exit();'],
    ])('[REUSE-1] lives on when the host %s while it is in there', async (_end, meanwhile) => {
      const tag = newTag();
      const child = startHost(host(tag, CHILD, 'child', meanwhile, ''), {
        before: within('sleep 20'),
      });
      const number = await until('it is in there', () => Number(child.stdout()));
      const stranger = await until('it runs', () => tagged(tag).find(({ pid }) => innerPid(pid) === number));
      const path = () => readFileSync(`/proc/${stranger.pid}/cgroup`, 'utf8');
      // The reaper moves it out when all of the host is dead.
      await until('it is moved out', () => !isLiving(stranger.pid) || !path().includes('mcp-server-pool-'));
      expect(isLiving(stranger.pid)).toBe(true);
      child.child.kill('SIGKILL');
    });
  },
);

/**
 * Ends a member and the leader of a tree, and gives the number of the member to a stranger, until that was started within
 * the same tick three times. A stranger is signalled when the pool ends the tree.
 */
const sameTick = (containment: string) => `
  const { writeFileSync, readFileSync, existsSync } = await import('node:fs');
  const { spawn } = await import('node:child_process');
  const { once } = await import('node:events');
  const { setTimeout: pause } = await import('node:timers/promises');
  const { MCPServerPool } = await import(SRC + '/index.js');
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const startOf = (pid) => readFileSync('/proc/' + pid + '/stat', 'latin1').split(') ')[1].split(' ')[19];
  const children = (pid) => readFileSync('/proc/' + pid + '/task/' + pid + '/children', 'latin1');
  const pool = new MCPServerPool({
    command: 'sh', args: ['-c', 'while read -r line; do sleep 50 & wait; done'], inheritEnv: ['${MARKER}'],
    containment: '${containment}', sharing: 'dedicated', eofGrace: 100, termGrace: 100,
  });
  const found = { same: 0, lived: 0, tries: 0 };
  for (; found.same < 3 && found.tries < 500; found.tries++) {
    pool.resetBreaker('default');
    const lease = await pool.getServer();
    await lease.transport.start();
    void lease.transport.send({ jsonrpc: '2.0', method: 'fork' });
    let member;
    while (!(member = Number(children(lease.pid)))) await turn();
    // Now the pool knows the member.
    pool.plan('emergency');
    const start = startOf(member);
    process.kill(member, 'SIGKILL');
    process.kill(lease.pid, 'SIGKILL');
    while (existsSync('/proc/' + member)) await turn();
    writeFileSync('${SET_LAST}', String(member - 1));
    const stranger = spawn('sleep', ['50'], { stdio: 'ignore', detached: true });
    const exit = once(stranger, 'exit');
    const isSame = stranger.pid === member && startOf(member) === start;
    await lease.ended;
    await Promise.race([exit, pause(20)]);
    if (isSame) found.same += 1;
    if (isSame && stranger.signalCode === null) found.lived += 1;
    stranger.kill('SIGKILL');
    await exit;
  }
  await pool.shutdown({ mode: 'emergency' });
  console.log(JSON.stringify(found));
  process.exit();`;

describe.runIf(POSSIBLE)('a stranger with the number of a member, started within the same tick', () => {
  it.each(['markers', 'group'])('[REUSE-3] lives on when that tree ends (containment: %s)', async (containment) => {
    const { result } = startHost(sameTick(containment), { before: within(':') });
    const { stdout, stderr } = await result;
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ same: 3, lived: 3 });
  });
});

describe.runIf(isRoot && hasCgroups)('what a host leaves that died while it moved servers in', () => {
  function sleeper(folder: string): ChildProcess {
    const child = spawn('sleep', ['50', newTag()], { stdio: 'ignore', detached: true });
    onTestFinished(() => void child.kill('SIGKILL'));
    writeFileSync(join(folder, 'cgroup.procs'), String(child.pid));
    return child;
  }

  it('[REUSE-1] ends in the cgroups that are its own alone; a stranger is moved out, and no folder is left', async () => {
    const mark = newHostMark();
    const parent = cgroup();
    const made = new HostCgroup(parent, mark);
    const [own, joining] = [made.make(1), made.make(2)].map((one) => one.cgroup.folder);
    mkdirSync(joining + JOINING);
    const [server, stranger] = [sleeper(own!), sleeper(joining!)];
    const { killed } = await reapHost({ mark, startTime: 0, cgroups: [made.folder] }, linux);
    await until('the server is dead', () => !isLiving(server.pid!));
    expect([isLiving(stranger.pid!), killed.map(({ pid }) => pid)]).toEqual([true, [server.pid]]);
    expect(readFileSync(`/proc/${stranger.pid}/cgroup`, 'utf8')).not.toContain('mcp-server-pool-');
    expect(existsSync(made.folder)).toBe(false);
    expect(CGROUP_ROOT).toBeDefined();
  });
});
