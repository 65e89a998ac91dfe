import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, uptime } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServerPolicy } from '../../../src/config/options.js';
import { checkJoined } from '../../../src/process/cgroup/cgroup-choice.js';
import { findCgroup } from '../../../src/process/cgroup/cgroup-probe.js';
import {
  HostCgroup,
  hostCgroups,
  killHostCgroup,
  onHostCgroup,
  removeHostCgroup,
  removeHostCgroupsNow,
  removeIdleHostCgroups,
} from '../../../src/process/cgroup/host-cgroup.js';
import { forgetProblems, knownProblems } from '../../../src/process/containment-problems.js';
import { hostMark, newHostMark } from '../../../src/process/marks/marker.js';
import { linux } from '../../../src/process/platforms/linux.js';
import type { TerminationReport } from '../../../src/process/termination-report.js';
import { CGROUP_ROOT, cgroup, hasCgroups, hostFolders, isRoot, makeFor } from '../../helpers/cgroups.js';
import { BEYOND_MARKS, ESCAPES, newTag, tagged } from '../../helpers/escapes.js';
import { runHost, startHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { isLiving, MARKER, type ProcessInfo, readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const GRACES = { eofGrace: 100, termGrace: 1_000 };
const UNMARKED = { environment: false, rlimit: false };
const NOBODY = 65_534;

/** Starts `script` with a new tag as `$0`, and waits until `count` processes with the tag are there. */
async function start(script: string, count: number, policy: ServerPolicy & { cgroupParent?: string } = {}) {
  const tag = newTag();
  const { cgroupParent, ...given } = policy;
  const definition = { command: 'sh', args: ['-c', script, tag], inheritEnv: [MARKER], ...GRACES };
  const server = launch({ ...definition, containment: 'cgroup', ...given }, cgroupParent ? { cgroupParent } : {});
  await until(`${count} are there`, () => tagged(tag).length >= count);
  return { tag, server };
}

/** Waits for the process of `BEYOND_MARKS` that has none: not what forks it, in the session of the server, or as leader. */
async function marksGone(tag: string, leader: number): Promise<void> {
  const isIt = ({ pid, parent, session }: ProcessInfo) => parent === 1 && session !== pid && session !== leader;
  await until('both marks are gone', () => tagged(tag).some(isIt));
}

function expectEnded(report: TerminationReport, tag: string): void {
  expect(tagged(tag).map(({ pid }) => pid)).toEqual([]);
  expect(report.survivors).toEqual([]);
}

/** Its groups are removed between the start and the join, as by an administrator. */
class Vanishing extends HostCgroup {
  override make(...given: Parameters<HostCgroup['make']>) {
    const made = super.make(...given);
    made.cgroup.remove();
    return made;
  }
}

/** As the kernel shows it; an empty string for a process that is gone. */
const cgroupOf = (pid: number) => /^0::(.*)$/m.exec(readIfThere(`/proc/${pid}/cgroup`))?.[1] ?? '';

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}

describe.runIf(hasCgroups)('a server in a cgroup of its own', () => {
  it('[CGROUP-2] is in it from its first instruction, and its folder goes with it', async () => {
    const seen: string[] = [];
    onTestFinished(onHostCgroup((folder) => seen.push(folder)));
    const { server } = await start('sed -n s/^0:://p /proc/self/cgroup >&2; cat', 1);
    const [host] = hostCgroups().filter((folder) => !folder.startsWith('/tmp'));
    await until('it has said where it is', () => server.process.stderrTail !== '');
    expect(server.process.stderrTail.trim()).toBe(cgroupOf(server.pid));
    expect(basename(dirname(cgroupOf(server.pid)))).toBe(`mcp-server-pool-${hostMark().id}`);
    expect(hostFolders()).toEqual([basename(cgroupOf(server.pid))]);
    expect(seen.every((folder) => folder === host)).toBe(true);
    await server.process.end({ mode: 'graceful' });
    expect(existsSync(host!)).toBe(false);
  });

  it("[CGROUP-1] takes in a server that no caller waits for (containment: 'auto'), and what it has forked meanwhile", async () => {
    const { tag, server } = await start('sleep 50 "$0" & sleep 50 "$0" & cat', 2, { containment: 'auto' });
    const cgroup = () => cgroupOf(server.pid);
    await until('it is in', () => cgroup().includes(hostMark().id));
    await until('its children are in', () => tagged(tag).every(({ pid }) => cgroupOf(pid) === cgroup()));
    expectEnded(await server.process.end({ mode: 'graceful' }), tag);
  });

  it("[CGROUP-1] does not stand in the way of one that ends at once (containment: 'auto')", async () => {
    for (let round = 0; round < 20; round++) {
      const server = launch({ command: 'true', containment: 'auto' });
      await server.exited;
      expect(await server.process.end({ mode: 'emergency' })).toMatchObject({ survivors: [] });
    }
    expect(hostFolders()).toEqual([]);
  });

  it.each(Object.keys(ESCAPES))('[CGROUP-2] ends with all that it started, without any mark: %s', async (how) => {
    const { tag, server } = await start(ESCAPES[how] ?? '', how === 'plain' ? 1 : 2, { markers: UNMARKED });
    expectEnded(await server.process.end({ mode: 'graceful' }), tag);
  });

  it('[CGROUP-2] asks a process that has reset both marks by SIGTERM before it kills it', async () => {
    const { tag, server } = await start(BEYOND_MARKS, 2, { termGrace: 60_000 });
    await marksGone(tag, server.pid);
    const report = await server.process.end({ mode: 'graceful' });
    expectEnded(report, tag);
    expect(report.endedBy).toBe('SIGTERM');
  });

  it.each([
    ['emergency', (server: Awaited<ReturnType<typeof start>>['server']) => server.process.end({ mode: 'emergency' })],
    ['killNow', async (server: Awaited<ReturnType<typeof start>>['server']) => server.process.killNow()],
  ] as const)('[CGROUP-2] kills a process that has reset both marks (%s)', async (_how, end) => {
    const { tag, server } = await start(BEYOND_MARKS, 2);
    await marksGone(tag, server.pid);
    await end(server);
    await until('all are dead', () => tagged(tag).length === 0);
  });

  it('[CGROUP-2] by its marks alone, a process that has reset both lives on', async () => {
    const { tag, server } = await start(BEYOND_MARKS, 2, { containment: 'markers' });
    await marksGone(tag, server.pid);
    await server.process.end({ mode: 'emergency' });
    expect(tagged(tag)).not.toEqual([]);
  });

  it.runIf(isRoot).each([
    ['with groups of its own', ':'],
    ['with a frozen one', 'echo 1 >"$d/a/cgroup.freeze"'],
  ])('[CGROUP-2] ends %s', async (_what, more) => {
    const { tag, server } = await start(
      `d="${CGROUP_ROOT}$(sed -n s/^0:://p /proc/self/cgroup)"; mkdir "$d/a" "$d/a/b"
       sh -c 'echo 0 >"$1/a/b/cgroup.procs"; exec env -i setsid sleep 50 "$0"' "$0" "$d" &
       until grep -q . "$d/a/b/cgroup.procs"; do sleep 0.01; done; ${more}; cat >/dev/null`,
      2,
      { markers: UNMARKED, termGrace: 100 },
    );
    await until('it lives in its inner cgroup', () => tagged(tag).some(({ pid }) => cgroupOf(pid).endsWith('/a/b')));
    expectEnded(await server.process.end({ mode: 'graceful' }), tag);
  });

  it.runIf(isRoot)('[CGROUP-2] that leaves it is still ended by its mark', async () => {
    const { tag, server } = await start(`echo 0 >"${CGROUP_ROOT}/cgroup.procs"; ${ESCAPES['double fork + env -i']}`, 2);
    expectEnded(await server.process.end({ mode: 'graceful' }), tag);
  });

  it('[CGROUP-2] notes nothing of one that was killed a moment before, and has left it by its death', async () => {
    forgetProblems('cgroup');
    const { server, tag } = await start('cat >/dev/null', 1);
    const { startTime = 0 } = readProcess(server.pid) ?? {};
    await until('it is old enough to be missed', () => uptime() * 100 - startTime > 110);
    server.process.killNow();
    // In this tick, in which Node cannot collect it.
    const end = performance.now() + 5_000;
    while (isLiving(server.pid) && performance.now() < end);
    expect(isLiving(server.pid)).toBe(false);
    expectEnded(await server.process.end({ mode: 'emergency' }), tag);
    expect(knownProblems().filter(({ part }) => part === 'cgroup')).toEqual([]);
  });

  it('[CGROUP-2] notes that one is not where it was started, and tries the place out anew', () => {
    forgetProblems('cgroup');
    const host = findCgroup();
    if (!(host instanceof HostCgroup)) throw new Error(host.problem);
    const { cgroup } = host.make(2 ** 31 - 1);
    const self = { pid: process.pid, startTime: 500 };
    checkJoined(cgroup, self, 5.5);
    expect([knownProblems().length, findCgroup() === host]).toEqual([0, true]);
    checkJoined(cgroup, self, 7);
    expect(knownProblems()[0]).toMatchObject({
      part: 'cgroup',
      reason: expect.stringMatching(/was not in the cgroup/),
    });
    expect(findCgroup()).not.toBe(host);
    expect(cgroup.remove()).toBe(true);
    forgetProblems('cgroup');
  });

  it.runIf(isRoot)('[CONTAIN-3] is refused when it cannot join it, and the place is tried out anew', async () => {
    const parent = cgroup();
    const host = findCgroup(parent);
    const platform = { ...linux, cgroups: () => new Vanishing(parent, hostMark()) };
    const server = launch({ command: 'cat', containment: 'cgroup' }, { platform });
    expect(await server.exited).toEqual({ exitCode: 126, signal: null });
    await server.process.drained();
    expect(server.process.refusal).toMatchObject({
      code: 'CONTAINMENT_UNAVAILABLE',
      reason: expect.stringMatching(/^the cgroup \/.* could not be joined$/),
    });
    expect(findCgroup(parent)).not.toBe(host);
    const other = launch({ command: 'cat', containment: 'auto' }, { platform });
    await other.spawned;
    expect(await other.process.end({ mode: 'graceful' })).toMatchObject({ survivors: [] });
    expect(await other.exited).toEqual({ exitCode: 0, signal: null });
  });

  it.runIf(isRoot)('[CGROUP-1] below a folder that was named', async () => {
    const parent = cgroup();
    const { server } = await start('echo ready >&2; cat', 1, { cgroupParent: parent });
    await until('a shell has become it', () => server.process.stderrTail !== '');
    expect(`${CGROUP_ROOT}${cgroupOf(server.pid)}`).toMatch(`${parent}/mcp-server-pool-${hostMark().id}/`);
    await server.process.end({ mode: 'graceful' });
    expect(existsSync(join(parent, `mcp-server-pool-${hostMark().id}`))).toBe(false);
  });

  it('[CGROUP-2] leaves no folder when its command cannot be started', async () => {
    expect(() => launch({ command: 'true', args: ['x'.repeat(200_000)], containment: 'cgroup' })).toThrowError(
      expect.objectContaining({ code: 'SPAWN_FAILED' }),
    );
    expect(hostFolders()).toEqual([]);
  });
});

describe.runIf(hasCgroups)('the cgroup of a host', () => {
  it('[CGROUP-3] is killed by one write of another process', async () => {
    const servers = [await start(BEYOND_MARKS, 2), await start(BEYOND_MARKS, 2)];
    const canary = spawn('sleep', ['50'], { stdio: 'ignore' });
    onTestFinished(() => {
      canary.kill('SIGKILL');
    });
    const folder = join(dirname(cgroupOf(servers[0]!.server.pid)));
    const { code, stderr } = await runHost(
      `const { killHostCgroup } = await import(SRC + '/process/cgroup/host-cgroup.js');
       killHostCgroup(${JSON.stringify(CGROUP_ROOT + folder)}, ${JSON.stringify(hostMark())});`,
    );
    expect([code, stderr]).toEqual([0, '']);
    await until('all are dead', () => servers.every(({ tag }) => tagged(tag).length === 0));
    expect(isLiving(canary.pid!)).toBe(true);
  });

  it.runIf(isRoot)('[CGROUP-3] is not taken for one by its place alone', () => {
    const parent = cgroup();
    const folder = join(parent, 'mcp-server-pool-x');
    mkdirSync(folder);
    const child = spawn('sleep', ['50'], { stdio: 'ignore' });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    writeFileSync(join(parent, 'cgroup.procs'), String(child.pid));
    // The folder of another host, a link to one, a folder elsewhere that looks like one.
    const mark = newHostMark();
    const name = `mcp-server-pool-${mark.id}`;
    const elsewhere = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
    onTestFinished(() => rmSync(elsewhere, { recursive: true }));
    symlinkSync(parent, join(elsewhere, name));
    mkdirSync(join(elsewhere, 'd', name), { recursive: true });
    writeFileSync(join(elsewhere, 'd', name, 'cgroup.kill'), 'kept');
    const others = [join(elsewhere, name), join(elsewhere, 'd', name), `${parent}/../${basename(parent)}/${name}`];
    for (const path of [parent, folder, '/tmp', '', ...others]) {
      killHostCgroup(path, mark);
      expect(removeHostCgroup(path, mark)).toBe(false);
    }
    expect(readFileSync(join(elsewhere, 'd', name, 'cgroup.kill'), 'utf8')).toBe('kept');
    expect(existsSync(folder)).toBe(true);
    expect(isLiving(child.pid!)).toBe(true);
    child.kill('SIGKILL');
    // So that the folder can be removed.
    return until('it is gone', () => !isLiving(child.pid!));
  });

  const HOST = `
    const { withEnvironment } = await import(SRC + '/config/environment.js');
    const { localLauncher } = await import(SRC + '/process/start/local-launcher.js');
    const { linux } = await import(SRC + '/process/platforms/linux.js');
    const { hostCgroups } = await import(SRC + '/process/cgroup/host-cgroup.js');
    const { findCgroup } = await import(SRC + '/process/cgroup/cgroup-probe.js');
    const { resolvePoolOptions } = await import(SRC + '/config/resolve-options.js');
    const { knownProblems } = await import(SRC + '/process/containment-problems.js');
    const { readFileSync } = await import('node:fs');
    const handlers = { onSpawn() {}, onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => false };
    const launch = (args, containment = 'cgroup') => {
      const { servers } = resolvePoolOptions({ command: 'sh', args, containment, eofGrace: 100, termGrace: 1_000, inheritEnv: ['${MARKER}'] });
      return localLauncher(linux).launch(withEnvironment(servers.get('default')), handlers);
    };
    const saying = (server) => new Promise((resolve) => server.stderr.once('data', resolve));
    // Not before: the modules may be in a folder of root's.
    const become = (uid) => { process.setgroups([]); process.setgid(uid); process.setuid(uid); };
    const hold = setInterval(() => {}, 1_000);
  `;
  const SAYS = `echo ready >&2; ${BEYOND_MARKS}`;

  it('[CGROUP-2] is killed whole, unless all that is in it was killed before', async () => {
    const made = new HostCgroup(cgroup(), newHostMark()).make(1).cgroup;
    const sleepers = [1, 2].map(() => spawn('sleep', ['50'], { stdio: 'ignore' }));
    onTestFinished(() => {
      for (const child of sleepers) child.kill('SIGKILL');
    });
    const pids = sleepers.map(({ pid }) => pid as number);
    for (const pid of pids) writeFileSync(join(made.folder, 'cgroup.procs'), String(pid));
    made.killUnless((pid) => pids.includes(pid));
    expect(pids.map(isLiving)).toEqual([true, true]);
    made.killUnless((pid) => pid === pids[0]);
    await until('both are dead', () => !pids.some(isLiving));
    await until('it is removed', () => !made.isPopulated() && made.remove());
  });

  it('[CGROUP-7] is removed by a later host if it was left empty for long, and nothing in it lives', async () => {
    const parent = cgroup();
    const [left, used, own] = [newHostMark(), newHostMark(), newHostMark()].map((mark) => new HostCgroup(parent, mark));
    const folders = [left, used].map((one) => join(parent, basename(one!.folder)));
    for (const folder of folders) mkdirSync(join(folder, '1'), { recursive: true });
    mkdirSync(join(left!.folder, '2.joining'));
    own!.make(1);
    const child = spawn('sleep', ['50'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    writeFileSync(join(used!.folder, '1', 'cgroup.procs'), String(child.pid));
    const there = () => [left, used, own].map((one) => existsSync(one!.folder));
    removeIdleHostCgroups(parent);
    expect(there()).toEqual([true, true, true]);
    removeIdleHostCgroups(parent, Date.now() + 4_000_000);
    expect(there()).toEqual([false, true, true]);
    child.kill('SIGKILL');
    await until('it is empty', () => !isLiving(child.pid as number));
  });

  it('[CGROUP-7] is removed also if any number of others come before it, but not too many at once', () => {
    const parent = cgroup();
    for (let host = 0; host < 320; host++) mkdirSync(join(parent, `mcp-server-pool-${newHostMark().id}`));
    const hosts = () => readdirSync(parent).filter((name) => name.startsWith('mcp-server-pool-'));
    const later = Date.now() + 4_000_000;
    const used = hosts().slice(0, 120);
    // As if something had been made in them a moment ago.
    for (const name of used) utimesSync(join(parent, name), later / 1_000, later / 1_000);
    removeIdleHostCgroups(parent, later);
    expect(hosts()).toHaveLength(220);
    for (let next = 0; next < 2; next++) removeIdleHostCgroups(parent, later);
    expect(hosts().sort()).toEqual(used.sort());
  });

  it('[CGROUP-3] is killed by a host that exits, and removed by its guardian when that could not wait', async () => {
    const tag = newTag();
    const { stdout, stderr } = await runHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const { hostCgroups } = await import(SRC + '/process/cgroup/host-cgroup.js');
      const definition = { command: 'sh', args: ['-c', ${JSON.stringify(SAYS)}, '${tag}'], inheritEnv: ['${MARKER}'] };
      const pool = new MCPServerPool({ ...definition, containment: 'cgroup', sharing: 'dedicated' });
      const { stderr } = await pool.getServer();
      // No server holds its host open.
      setInterval(() => {}, 1_000);
      await new Promise((resolve) => stderr.once('data', resolve));
      console.log(hostCgroups()[0]);
      process.exit();`);
    expect(stderr).toBe('');
    expect(stdout.trim()).toContain('mcp-server-pool-');
    await until('all are dead', () => tagged(tag).length === 0);
    await until('its folder is removed', () => !existsSync(stdout.trim()));
  });

  it('[CGROUP-3] is removed by a host that exits once it is empty', async () => {
    const { stdout, stderr } = await runHost(`${HOST}
      const server = launch(['-c', 'echo ready >&2; exec cat']);
      await saying(server);
      const [folder] = hostCgroups();
      process.kill(server.pid, 'SIGKILL');
      // In this tick, so that only the exit of the host can remove it.
      while (readFileSync(folder + '/cgroup.events', 'utf8').includes('populated 1'));
      console.log(folder);
      process.exit();`);
    expect(stderr).toBe('');
    expect(stdout.trim()).toContain('mcp-server-pool-');
    expect(existsSync(stdout.trim())).toBe(false);
  });

  it('[CGROUP-3] holds a host that exits up for a moment only', async () => {
    const { tag, server } = await start(BEYOND_MARKS, 2);
    const folder = `${CGROUP_ROOT}${dirname(cgroupOf(server.pid))}`;
    const started = performance.now();
    removeHostCgroupsNow();
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(existsSync(folder)).toBe(true);
    expectEnded(await server.process.end({ mode: 'emergency' }), tag);
  });

  it('[CGROUP-3] that was killed is killed and removed by any process that knows its folder', async () => {
    const tag = newTag();
    const host = startHost(`${HOST}
      await saying(launch(['-c', ${JSON.stringify(`trap '' TERM; ${SAYS}`)}, '${tag}']));
      console.log(hostCgroups()[0]);`);
    const folder = await until('it runs', () => host.stdout().trim());
    await until('it has left', () => tagged(tag).some(({ parent }) => parent === 1));
    host.child.kill('SIGKILL');
    await host.result;
    const mark = { id: basename(folder).slice('mcp-server-pool-'.length) };
    expect(removeHostCgroup(folder, mark)).toBe(false);
    killHostCgroup(folder, newHostMark());
    expect(tagged(tag)).not.toEqual([]);
    killHostCgroup(folder, mark);
    await until('it is removed', () => removeHostCgroup(folder, mark));
    expect(tagged(tag)).toEqual([]);
    // Once more is no error.
    killHostCgroup(folder, mark);
    expect(removeHostCgroup(folder, mark)).toBe(false);
  });

  it.runIf(isRoot)('[CGROUP-6] [CONTAIN-3] is not to be had without a delegated one', async () => {
    const { stdout, stderr } = await runHost(`${HOST} become(${NOBODY});
      const server = launch(['-c', 'cat'], 'auto');
      const { survivors } = await server.end({ mode: 'graceful' });
      let refused;
      try { launch(['-c', 'cat']); } catch ({ code, message }) { refused = { code, message }; }
      console.log(JSON.stringify({ survivors, refused, problems: knownProblems() }));
      clearInterval(hold);`);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      survivors: [],
      refused: {
        code: 'CONTAINMENT_UNAVAILABLE',
        message: expect.stringMatching(/EACCES.* Delegate=yes.* cgroupParent/),
      },
      // So it is on most machines: no news.
      problems: [],
    });
  });

  it.runIf(isRoot).each(['a delegated one', 'a delegated unit around it', 'a unit with processes'])(
    '[CGROUP-6] [CGROUP-1] of a user without privileges is in %s',
    async (what) => {
      const around = cgroup(NOBODY, what.includes('unit') ? '.service' : '');
      const own = what.includes('unit') ? join(around, 'main') : around;
      if (own !== around) makeFor(NOBODY, own);
      if (what === 'a unit with processes') {
        const child = spawn('sleep', ['50'], { stdio: 'ignore' });
        writeFileSync(join(around, 'cgroup.procs'), String(child.pid));
        onTestFinished(async () => {
          child.kill('SIGKILL');
          await until('it is gone', () => !isLiving(child.pid!));
        });
      }
      const tag = newTag();
      const { stdout, stderr } = await runHost(
        `${HOST} become(${NOBODY});
        const server = launch(['-c', ${JSON.stringify(SAYS)}, '${tag}']);
        await saying(server);
        const path = readFileSync('/proc/' + server.pid + '/cgroup', 'utf8');
        const { survivors } = await server.end({ mode: 'graceful' });
        console.log(JSON.stringify({ uid: process.getuid(), folder: hostCgroups()[0], path, survivors }));
        clearInterval(hold);`,
        { before: `echo 0 >${own}/cgroup.procs` },
      );
      expect(stderr).toBe('');
      const { uid, folder, path, survivors } = JSON.parse(stdout);
      expect([uid, survivors, tagged(tag)]).toEqual([NOBODY, [], []]);
      expect(dirname(folder)).toBe(what === 'a delegated unit around it' ? around : own);
      expect(path).toContain(folder.slice(CGROUP_ROOT?.length));
      expect(existsSync(folder)).toBe(false);
    },
  );
});
