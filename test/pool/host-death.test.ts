import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MCPServerPool, type PoolError } from '../../src/index.js';
import { findCgroup } from '../../src/process/cgroup/cgroup-probe.js';
import { HostCgroup } from '../../src/process/cgroup/host-cgroup.js';
import { containmentStatus } from '../../src/process/containment-status.js';
import { refusesToBeNode } from '../../src/process/guardian/electron-fuse.js';
import { findReaper } from '../../src/process/guardian/reaper-program.js';
import { linux } from '../../src/process/platforms/linux.js';
import { BEYOND_MARKS, ESCAPES, newTag, tagged } from '../helpers/escapes.js';
import { fixture } from '../helpers/fixture.js';
import { type HostOptions, startHost } from '../helpers/host.js';
import { everyDescendant, isGuardian, isLiving, type ProcessInfo } from '../helpers/processes.js';
import { open, record } from '../helpers/real-pool.js';
import { until } from '../helpers/until.js';

/** What only root may do: namespaces of its own. */
const ROOT = process.getuid?.() === 0;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  chmodSync(path, 0o755);
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const guardians = (host = process.pid) => everyDescendant(host).filter(({ pid }) => isGuardian(pid));

interface Doomed extends HostOptions {
  readonly pool?: object;
  readonly escapes?: readonly string[];
}

/** A host with servers that lose their processes, and the events about its containment. */
async function host({
  pool = {},
  escapes = ['plain', 'setsid', 'double fork', 'double fork + env -i'],
  ...options
}: Doomed = {}) {
  const tags = escapes.map((how) => ({ how, tag: newTag() }));
  const servers = tags.map(({ how, tag }) => {
    return [how, { command: '/bin/sh', args: ['-c', ESCAPES[how] ?? BEYOND_MARKS, tag], sharing: 'dedicated' }];
  });
  const running = startHost(
    `const { MCPServerPool } = await import(SRC + '/index.js');
    const say = (event, payload) => console.log(JSON.stringify({ ...payload, event }));
    const servers = ${JSON.stringify(Object.fromEntries(servers))};
    const pool = new MCPServerPool({ servers, handleSignals: true, ...${JSON.stringify(pool)} });
    for (const event of ['containment:degraded', 'orphan:reaped', 'pool:closed']) pool.on(event, (news) => say(event, news));
    for (const name of ${JSON.stringify(escapes)}) await pool.getServer(name);
    say('up');
    setInterval(() => {}, 1_000);`,
    options,
  );
  const events = (name: string) =>
    running
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event === name);
  await until('it is up', () => events('up').length > 0);
  // What is to be found is a sleep, or has left its parent.
  const isThere = ({ command, parent }: ProcessInfo) => command === 'sleep' || parent === 1;
  await until('all are there', () => tags.every(({ tag }) => tagged(tag).some(isThere)));
  const left = () => Object.fromEntries(tags.map(({ how, tag }) => [how, tagged(tag).length]));
  const none = Object.fromEntries(tags.map(({ how }) => [how, 0]));
  const pid = running.child.pid as number;
  const end = async (signal: NodeJS.Signals) => {
    process.kill(pid, signal);
    await running.result;
    await until('nothing is left', () => tags.every(({ tag }) => tagged(tag).length === 0)).catch(() => {});
    expect(left()).toEqual(none);
  };
  return { ...running, pid, events, end, tags };
}

describe('when its host is killed', () => {
  it('[GUARD-1] nothing of a server lives on', async () => {
    const { pid, end } = await host();
    expect(guardians(pid)).toHaveLength(1);
    await end('SIGKILL');
  });

  it('[GUARD-4] nothing does when the guardian was killed before', async () => {
    const { pid, end } = await host();
    const [first] = guardians(pid);
    process.kill(first!.pid, 'SIGKILL');
    await until('another is there', () => guardians(pid).some((guardian) => guardian.pid !== first!.pid));
    await end('SIGKILL');
  });

  it('[LEDGER-1] together with its guardian, the next one ends what it left, and says so', async () => {
    const env = { XDG_RUNTIME_DIR: folder() };
    const first = await host({ env });
    const [guardian] = guardians(first.pid);
    process.kill(first.pid, 'SIGSTOP');
    process.kill(guardian!.pid, 'SIGKILL');
    process.kill(first.pid, 'SIGKILL');
    await first.result;
    const next = await host({ env, escapes: ['plain'] });
    const [reaped] = await until(
      'it has reaped',
      () => next.events('orphan:reaped').length > 0 && next.events('orphan:reaped'),
    );
    expect(reaped).toMatchObject({ hostPid: first.pid, survivors: [] });
    expect(reaped.processes.length).toBeGreaterThanOrEqual(4);
    await next.end('SIGTERM');
    expect(readdirSync(join(env.XDG_RUNTIME_DIR, 'mcp-server-pool'))).toEqual([]);
  });

  it('[GUARD-1] [LEDGER-3] its ledger goes with what it has left', async () => {
    const env = { XDG_RUNTIME_DIR: folder() };
    const { end } = await host({ env, escapes: ['setsid'] });
    const ledgers = () => readdirSync(join(env.XDG_RUNTIME_DIR, 'mcp-server-pool'));
    expect(ledgers()).toHaveLength(1);
    await end('SIGKILL');
    await until('its ledger is gone', () => ledgers().length === 0);
  });

  // What has reset both marks is in a cgroup or nowhere.
  describe.runIf(findCgroup() instanceof HostCgroup)('with its cgroup', () => {
    const beyond = { escapes: ['beyond both marks'], pool: { containment: 'cgroup' } };
    const folderOf = (tag: string) =>
      readFileSync(`/proc/${tagged(tag)[0]?.pid}/cgroup`, 'utf8').match(/^0::(.*)\/\d+$/m)?.[1];
    const left = (name = '') => findFolders().includes(basename(name));
    const findFolders = () => readdirSync(dirname((findCgroup() as HostCgroup).folder));

    it('[CGROUP-3] [GUARD-1] nothing lives on that bears no mark any more, and no group is left', async () => {
      const { end, tags } = await host(beyond);
      const group = folderOf(tags[0]!.tag);
      expect(left(group)).toBe(true);
      await end('SIGKILL');
      await until('its group is gone', () => !left(group));
    });

    it('[CGROUP-3] [LEDGER-1] nor together with its guardian, after the next start', async () => {
      const env = { XDG_RUNTIME_DIR: folder() };
      const first = await host({ env, ...beyond });
      const group = folderOf(first.tags[0]!.tag);
      const [guardian] = guardians(first.pid);
      process.kill(first.pid, 'SIGSTOP');
      process.kill(guardian!.pid, 'SIGKILL');
      process.kill(first.pid, 'SIGKILL');
      await first.result;
      expect(tagged(first.tags[0]!.tag)).not.toEqual([]);
      const next = await host({ env, escapes: ['plain'] });
      await until('it has reaped', () => next.events('orphan:reaped').length > 0);
      expect(tagged(first.tags[0]!.tag)).toEqual([]);
      await until('its group is gone', () => !left(group));
      await next.end('SIGTERM');
    });
  });

  it('[GUARD-2] a group without marks goes though its leader ended with its stdin', async () => {
    const tags = Array.from({ length: 8 }, newTag);
    const running = startHost(
      `const { MCPServerPool } = await import(SRC + '/index.js');
      for (const tag of ${JSON.stringify(tags)}) {
        const args = ['-c', 'sleep 50 "$0" & read line; exit 0', tag];
        await new MCPServerPool({ command: 'sh', args, sharing: 'dedicated', containment: 'group' }).getServer();
      }
      console.log('up');
      setInterval(() => {}, 1_000);`,
    );
    const sleeping = () => tags.filter((tag) => tagged(tag).some(({ command }) => command === 'sleep'));
    await until('all are there', () => running.stdout().includes('up') && sleeping().length === tags.length);
    const [guardian] = guardians(running.child.pid as number);
    // Their leaders are gone, and collected, before it looks.
    process.kill(guardian!.pid, 'SIGSTOP');
    running.child.kill('SIGKILL');
    await running.result;
    await until('the leaders are gone', () =>
      tags.every((tag) => tagged(tag).every(({ command }) => command === 'sleep')),
    );
    process.kill(guardian!.pid, 'SIGCONT');
    await until('nothing is left', () => sleeping().length === 0);
  });

  it('[GUARD-3] none watches where it is not wanted; the next host still finds what is left', async () => {
    const env = { XDG_RUNTIME_DIR: folder() };
    const first = await host({ env, pool: { guardian: { enabled: false } }, escapes: ['setsid'] });
    expect(guardians(first.pid)).toEqual([]);
    process.kill(first.pid, 'SIGKILL');
    await first.result;
    const next = await host({ env, escapes: ['plain'] });
    await until('it has reaped', () => next.events('orphan:reaped').length > 0);
    await next.end('SIGTERM');
  });
});

describe('on a poor machine', () => {
  it('[GUARD-1] a PATH without ps, or with that of busybox, changes nothing', async () => {
    const path = folder();
    for (const tool of ['sh', 'sleep', 'cat']) symlinkSync(`/bin/${tool}`, join(path, tool));
    for (const PATH of [path, path]) {
      const { events, end } = await host({ env: { PATH }, escapes: ['plain'] });
      expect(events('containment:degraded')).toEqual([]);
      await end('SIGKILL');
      writeFileSync(join(path, 'ps'), '#!/bin/sh\necho "ps: unrecognized option" >&2\nexit 1\n', { mode: 0o755 });
    }
  });

  it('[LEDGER-4] without a folder for a ledger it says so, and the guardian does its part', async () => {
    const nowhere = join(folder(), 'file');
    writeFileSync(nowhere, '');
    const { events, end } = await host({ pool: { guardian: { runtimeDirectory: join(nowhere, 'x') } } });
    expect(events('containment:degraded')).toMatchObject([
      { part: 'ledger', reason: expect.stringMatching(/ENOTDIR/) },
    ]);
    await end('SIGKILL');
  });

  // As root: in a mount namespace of its own nothing of the machine is touched.
  it.runIf(ROOT)('[GUARD-5] [MARK-8] without sh it says so, and a Node keeps watch', async () => {
    const tag = newTag();
    const script = `spawn(process.execPath, ['-e', 'setTimeout(() => {}, 50000)', '--', ${JSON.stringify(tag)}], { detached: true, stdio: 'ignore' }).unref(); process.stdin.resume()`;
    const running = startHost(
      `const { MCPServerPool } = await import(SRC + '/index.js');
      const args = ['-e', ${JSON.stringify(`const { spawn } = require('child_process'); ${script}`)}];
      const pool = new MCPServerPool({ command: process.execPath, args, sharing: 'dedicated' });
      pool.on('containment:degraded', (news) => console.log(news.part));
      await pool.getServer();
      console.log('up');
      setInterval(() => {}, 1_000);`,
      { before: `exec unshare -m bash -c 'mount --bind /dev/null "$(readlink -f /bin/sh)" && exec "$@"' bash "$@"` },
    );
    const pid = running.child.pid as number;
    await until('it is up', () => running.stdout().includes('up') && tagged(tag).length > 0);
    // By its program: its name becomes that of a guardian soon.
    expect(guardians(pid).map(({ pid: guardian }) => readlinkSync(`/proc/${guardian}/exe`))).toEqual([
      realpathSync(process.execPath),
    ]);
    expect(running.stdout()).toMatch(/rlimit-marker/);
    process.kill(pid, 'SIGKILL');
    await until('nothing is left', () => tagged(tag).length === 0);
  });
});

describe('the status of a pool', () => {
  it('[STATUS-1] says what is in force, for the host and for each server, and why not more', async () => {
    const pool = open({ echo: fixture('echo'), group: { ...fixture('echo'), containment: 'group' } });
    const before = pool.status().containment!;
    expect(before).toMatchObject({
      guardian: undefined,
      ledger: undefined,
      markers: { environment: true, rlimit: true },
    });
    await pool.getServer('echo');
    await pool.getServer('group');
    const contained = (name: string) => pool.status().servers[name]?.instances.map(({ containment }) => containment);
    const { containment: now } = pool.status();
    // With 'auto', a server joins its cgroup while it starts; until then its marks hold it together.
    await until('the server has joined', () => contained('echo')?.[0] === now!.level);
    expect(now!.guardian).toBe(guardians()[0]?.pid);
    expect(readFileSync(now!.ledger as string, 'utf8')).toContain(`"pid":${process.pid},`);
    const hasGroups = now!.cgroup !== undefined;
    expect(now!.level).toBe(hasGroups ? 'cgroup' : 'markers');
    // Whichever machine this is: it has one, or says why not.
    expect(now!.problems.filter(({ part }) => part === 'cgroup')).toHaveLength(hasGroups ? 0 : 1);
    expect(now!.zombies.count).toBe(0);
    expect([contained('echo'), contained('group')]).toEqual([[now!.level], ['group']]);
    expect(open({}, { containment: 'markers' }).status().containment).toMatchObject({ level: 'markers' });
    expect(open({}, { containment: 'group' }).status().containment).toMatchObject({ level: 'group' });
  });

  it('[STATUS-1] says so where neither is to be had', () => {
    const guard = { guardian: undefined, ledger: undefined };
    const poor = { ...linux, marks: undefined, cgroups: undefined };
    const request = { asked: 'auto' as const, cgroupParent: undefined, guard, pids: new Set<number>() };
    expect(containmentStatus({ ...request, platform: poor })).toMatchObject({ level: 'tree', cgroup: undefined });
    const parts = containmentStatus({ ...request, platform: poor }).problems.map(({ part }) => part);
    expect(parts).toEqual(expect.arrayContaining(['cgroup', 'environment-marker']));
    const refused = { ...linux, cgroups: () => ({ problem: 'nothing is delegated here' }) };
    const { level, problems } = containmentStatus({ ...request, platform: refused });
    expect([level, problems.map(({ reason }) => reason)]).toEqual([
      'markers',
      expect.arrayContaining(['nothing is delegated here']),
    ]);
  });
});

describe('a guardian that is stopped', () => {
  it('[GUARD-3] does not hold a shutdown up, and is gone after it', async () => {
    const pool = open({ echo: { ...fixture('echo'), sharing: 'dedicated' } });
    await pool.getServer('echo');
    const { pid } = guardians()[0]!;
    process.kill(pid, 'SIGSTOP');
    expect((await pool.shutdown({ mode: 'emergency' })).survivors).toEqual([]);
    expect(isLiving(pid)).toBe(false);
  });
});

describe('one host', () => {
  it('[GUARD-3] [SECRET-1] has a guardian in a session of its own, that knows nothing of the host but how to end it', async () => {
    process.env.MCP_POOL_TEST_SECRET = 'do-not-show';
    onTestFinished(() => {
      delete process.env.MCP_POOL_TEST_SECRET;
    });
    const secret = { ...fixture('echo'), sharing: 'dedicated', env: { KEY: 'nor-this' } } as const;
    const pool = open({ secret: { ...secret, args: [...(secret.args ?? []), 'nor-that'] } });
    await pool.getServer('secret');
    const guardian = guardians()[0]!;
    expect([guardian.session, guardian.group]).toEqual([guardian.pid, guardian.pid]);
    const ledger = pool.status().containment?.ledger as string;
    const files = [`/proc/${guardian.pid}/environ`, `/proc/${guardian.pid}/cmdline`, ledger];
    for (const file of files) expect(readFileSync(file, 'latin1')).not.toMatch(/do-not-show|nor-this|nor-that/);
  });

  it('[GUARD-3] has one guardian and one ledger for ten pools, until the last server ends', async () => {
    const pools = Array.from({ length: 10 }, () => open({ echo: { ...fixture('echo'), sharing: 'dedicated' } }));
    await Promise.all(pools.map((pool) => pool.getServer()));
    const [guardian, ...more] = guardians();
    expect(more).toEqual([]);
    const place = join(process.env.XDG_RUNTIME_DIR as string, 'mcp-server-pool');
    const ledgers = () => {
      const records = readdirSync(place).map((file) => JSON.parse(readFileSync(join(place, file), 'utf8')));
      return records.filter(({ pid }) => pid === process.pid);
    };
    expect(ledgers()).toHaveLength(1);
    expect(statSync(place).mode & 0o777).toBe(0o700);
    for (const [index, pool] of pools.entries()) {
      expect(guardians().map(({ pid }) => pid)).toEqual([guardian!.pid]);
      await pool.shutdown({ mode: index % 2 ? 'emergency' : 'graceful' });
    }
    // Not after a while: when the last shutdown resolves.
    expect(isLiving(guardian!.pid)).toBe(false);
    expect(ledgers()).toEqual([]);
  });

  it('[GUARD-3] has a guardian as long as a server lives, whichever way that ends', async () => {
    const pool = open({ echo: fixture('echo') });
    const failed = record(pool, 'server:failed');
    expect(guardians()).toEqual([]);
    pool.addServer('none', { command: '/no/such/command' });
    await expect(pool.getServer('none')).rejects.toThrow(/no\/such/);
    expect(failed).toHaveLength(1);
    await until('it is gone after a start that failed', () => guardians().length === 0);
    const server = await pool.getServer('echo');
    expect(guardians()).toHaveLength(1);
    process.kill(server.pid as number, 'SIGKILL');
    await until('it is gone with the server that crashed', () => guardians().length === 0);
  });

  it('[GUARD-6] gets an error that says that the reaper is missing, and what to do', () => {
    const make = (guardian: object) => {
      try {
        return new MCPServerPool({ guardian });
      } catch (error) {
        return error as PoolError;
      }
    };
    expect(make({ reaper: '/no/reaper.js' })).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/guardian\.reaper: .*not at \/no\/reaper\.js/),
    });
    expect(make({ executable: '/no/node' })).toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(make({ enabled: false, reaper: '/no/reaper.js' })).toBeInstanceOf(MCPServerPool);
    expect(make({ reaper: '/another.js' })).toMatchObject({
      message: expect.stringMatching(/holds for the whole host/),
    });
  });

  it('[GUARD-6] finds the reaper, and what runs it, wherever it can be found', () => {
    const file = new URL(import.meta.url).pathname;
    const here = { execPath: process.execPath, versions: {}, isSelfContained: false, reaperUrl: import.meta.url };
    const from = (url: string | undefined) => findReaper({}, { ...here, reaperUrl: url });
    expect(findReaper({}, here)).toEqual({ executable: process.execPath, file, env: {} });
    expect(findReaper({}, { ...here, versions: { electron: '39' } })).toMatchObject({
      env: { ELECTRON_RUN_AS_NODE: '1' },
    });
    const problem = (text: RegExp) => ({ problem: expect.stringMatching(text) });
    expect(from(undefined)).toEqual(problem(/bundled.*guardian\.reaper/));
    expect(from('webpack://x/reaper.js')).toEqual(problem(/bundled/));
    expect(from('file:///no/reaper.js')).toEqual(problem(/not at \/no\/reaper\.js/));
    expect(findReaper({}, { ...here, isSelfContained: true })).toEqual(problem(/guardian\.executable/));
    expect(findReaper({}, { ...here, versions: { deno: '2' } })).toEqual(problem(/guardian\.executable/));
    expect(
      findReaper(
        { executable: process.execPath, reaper: file },
        { ...here, isSelfContained: true, reaperUrl: undefined },
      ),
    ).toEqual({ executable: process.execPath, file, env: {} });
    const packed = join(folder(), 'app.asar');
    mkdirSync(packed);
    writeFileSync(join(packed, 'reaper.js'), '');
    const asar = { ...here, reaperUrl: `file://${packed}/reaper.js` };
    expect(findReaper({}, asar)).toEqual(problem(/unpacked/));
    expect(findReaper({}, { ...asar, versions: { electron: '39' } })).toMatchObject({ file: `${packed}/reaper.js` });
  });

  it('[GUARD-6] knows an Electron with the fuse that keeps it from being a Node', () => {
    const place = folder();
    const binary = (name: string, before: number, fuse: string) => {
      const path = join(place, name);
      const wire = `dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX\x01\x08${fuse}1010001`;
      writeFileSync(path, Buffer.concat([Buffer.alloc(before, 'x'), Buffer.from(wire, 'latin1'), Buffer.alloc(99)]));
      return path;
    };
    expect(refusesToBeNode(binary('off', 10, '0'))).toBe(true);
    expect(refusesToBeNode(binary('on', 10, '1'))).toBe(false);
    // Across two chunks, wherever these are cut.
    const cuts = Array.from({ length: 40 }, (_, index) => 4 * 1_048_576 - index);
    expect(cuts.filter((cut) => !refusesToBeNode(binary('cut', cut, '0')))).toEqual([]);
    expect(refusesToBeNode(process.execPath)).toBe(false);
    expect(refusesToBeNode('/no/such/electron')).toBe(false);
  });
});
