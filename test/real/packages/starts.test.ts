import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MCPServerPool } from '../../../src/index.js';
import { RawClient } from '../../helpers/client.js';
import { NpmRegistry, npmUser } from '../../helpers/npm-registry.js';
import { descendants, isLiving } from '../../helpers/processes.js';
import { fails, open, record } from '../../helpers/real-pool.js';
import { until } from '../../helpers/until.js';

interface Start {
  readonly argv: string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
}

/** A lease with a client. */
async function connect(pool: MCPServerPool, name: string, tenant?: string) {
  const lease = await pool.getServer(name, tenant === undefined ? {} : { tenant });
  return { lease, client: await RawClient.connect(lease.transport) };
}

/** What the tool `start` of a server says, with the folder of its installation left out. */
async function startOf(pool: MCPServerPool, name: string): Promise<Start> {
  const { client } = await connect(pool, name);
  return (await client.callTool('start')) as Start;
}

const packages = { resolvePackages: true };

describe('a server by npx with resolvePackages', () => {
  it('[PACKAGES-1] is one process, of the version, with the arguments, folders and variables that npx gives', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.2.0');
    registry.publishServer('@some/greets', '2.0.0');
    const user = npmUser(registry);
    const args = (name: string) => ['-y', name, '--flag', 'a b', '--', '-y'];
    const pool = open({
      ours: { ...user.npx(...args('greets')), ...packages },
      scoped: { ...user.npx(...args('@some/greets@^2')), ...packages },
      theirs: user.npx(...args('greets')),
    });
    const ours = await startOf(pool, 'ours');
    const theirs = await startOf(pool, 'theirs');
    const folders = ({ env }: Start) => env.PATH?.split(':') ?? [];
    // npx has a folder of its own in the cache, and one for node-gyp.
    const generalized = (start: Start) =>
      folders(start)
        .filter((folder) => !folder.endsWith('node-gyp-bin'))
        .map((folder) => folder.replace(/^.*_npx\/[0-9a-f]+/, 'CACHE'));
    expect(generalized(ours)).toEqual(generalized(theirs));
    expect(ours.argv.slice(2)).toEqual(theirs.argv.slice(2));
    expect(ours.argv[1]?.replace(/^.*\/node_modules/, '')).toBe(theirs.argv[1]?.replace(/^.*\/node_modules/, ''));
    expect(ours.cwd).toBe(theirs.cwd);
    for (const name of ['INIT_CWD', 'NODE', 'npm_command', 'npm_execpath', 'npm_config_user_agent', 'HOME'])
      expect([name, ours.env[name]]).toEqual([name, theirs.env[name]]);

    const instance = (name: string) => pool.status().servers[name]!.instances[0]!;
    expect(instance('ours').package).toBe('greets@1.2.0');
    expect(descendants(instance('ours').pid!)).toEqual([]);
    expect(descendants(instance('theirs').pid!).length).toBeGreaterThan(0);
    expect((await startOf(pool, 'scoped')).argv.slice(2)).toEqual(['--flag', 'a b', '--', '-y']);
    expect(instance('scoped').package).toBe('@some/greets@2.0.0');
  });

  it('[PACKAGES-2] asks npm once: the next pool starts at once, without npm', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.0.0');
    const user = npmUser(registry);
    for (const _ of [1, 2]) {
      const pool = open({ greets: { ...user.npx('-y', 'greets'), ...packages } });
      await connect(pool, 'greets');
      await pool.shutdown();
    }
    expect(user.runs().length).toBe(1);
    expect(user.runs()[0]).toMatch(/^-y --cache=\S+ --script-shell=\S+ .*-- greets$/);
  });

  it('[PACKAGES-2] 10 servers, 10 tenants and two pools at once by a cold cache: all up, npm once for each package', async () => {
    const registry = await NpmRegistry.open();
    const names = Array.from({ length: 10 }, (_, index) => `greets-${index}`);
    for (const name of names) registry.publishServer(name, '1.0.0', { dependencies: { common: '^1.0.0' } });
    registry.publish({ name: 'common', version: '1.0.0' }, { 'index.js': '' });
    const user = npmUser(registry);
    const servers = Object.fromEntries(names.map((name) => [name, user.npx('-y', name)]));
    const limits = { maxProcesses: 50 };
    const pools = [1, 2].map(() => open(servers, { ...packages, limits, defaults: { maxInstances: 20 } }));
    const tenants = Array.from({ length: 10 }, (_, index) => `tenant ${index}`);
    const sessions = await Promise.all([
      ...pools.flatMap((pool) => names.map((name) => connect(pool, name))),
      ...tenants.map((tenant) => connect(pools[0]!, names[0]!, tenant)),
    ]);
    expect(await Promise.all(sessions.map(({ client }) => client.callTool('version')))).toEqual(
      sessions.map(() => '1.0.0'),
    );
    expect(
      user
        .runs()
        .map((run) => run.split(' ').at(-1))
        .sort(),
    ).toEqual(names);
  });

  it('[PACKAGES-3] an upgrade: new starts have the new version, a running server keeps its files', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.0.0');
    const user = npmUser(registry);
    const greets = { ...user.npx('-y', 'greets'), reuse: 'never' as const };
    const pool = open({ greets, exact: user.npx('-y', 'greets@1.0.0') }, { ...packages, refreshAfter: 1_000 });
    const resolved = record(pool, 'package:resolved');
    const old = await connect(pool, 'greets');
    (await connect(pool, 'exact')).lease.release();
    registry.publishServer('greets', '1.1.0');
    setBack(user.cache);
    // It does not wait for npm.
    const meanwhile = await connect(pool, 'greets');
    expect(await meanwhile.client.callTool('version')).toBe('1.0.0');
    await until('npm has found the new version', () => resolved.some(({ version }) => version === '1.1.0'));
    expect(resolved.at(-1)).toMatchObject({ name: 'greets', package: 'greets', previousVersion: '1.0.0' });
    const next = await connect(pool, 'greets');
    expect(await next.client.callTool('version')).toBe('1.1.0');
    // It reads a file of its version only now.
    expect(await old.client.callTool('version')).toBe('1.0.0');
    setBack(user.cache);
    await pool.restart('exact');
    expect(await (await connect(pool, 'exact')).client.callTool('version')).toBe('1.0.0');
    expect(user.runs().filter((run) => run.endsWith('greets@1.0.0')).length).toBe(1);
  });

  it('[PACKAGES-3] a check that finds nothing new, or fails, changes nothing', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.0.0');
    const user = npmUser(registry);
    const greets = { ...user.npx('-y', 'greets'), reuse: 'never' as const };
    const pool = open({ greets }, { ...packages, refreshAfter: 3_600_000 });
    const failed = record(pool, 'package:check-failed');
    const { lease } = await connect(pool, 'greets');
    lease.release();
    const [before] = records(user.cache);
    setBack(user.cache);
    (await connect(pool, 'greets')).lease.release();
    await until('it was checked', () => records(user.cache)[0]!.record.checkedAt >= before!.record.checkedAt);
    expect({ ...records(user.cache)[0]!.record, checkedAt: 0 }).toEqual({ ...before!.record, checkedAt: 0 });
    expect(user.runs().length).toBe(2);
    expect(user.runs()[1]).toContain('--yes=false');
    setBack(user.cache);
    await pool.shutdown();

    const offline = open({ greets: { ...greets, env: { ...user.env } } }, { ...packages, refreshAfter: 3_600_000 });
    const alsoFailed = record(offline, 'package:check-failed');
    registry.hangs = true;
    await connect(offline, 'greets');
    await until('npm is run', () => user.runs().length > 2);
    // Its end ends the check, too.
    await offline.shutdown();
    expect([...failed, ...alsoFailed]).toEqual([]);
  });

  it('[PACKAGES-4] what only npx can do, and what npm refuses, is started by npx, with an event that says why', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.0.0');
    registry.publishServer('several', '1.0.0', { bin: { one: './server.js', two: './server.js', three: './late.js' } });
    const user = npmUser(registry);
    const secret = 'hunter2-hunter2';
    const pool = open(
      {
        call: user.npx('-y', '-p', 'greets', '-c', 'greets'),
        missing: { ...user.npx('-y', 'no-such-package', secret), env: { ...user.env, TOKEN: secret } },
        several: user.npx('-y', 'several'),
        chosen: user.npx('-y', '--package=several', '--', 'two'),
      },
      packages,
    );
    const fallbacks = record(pool, 'package:fallback');
    await connect(pool, 'call');
    expect(fallbacks).toMatchObject([{ name: 'call', reason: 'not-understood' }]);
    expect(fallbacks[0]!.message).toContain('the option -c');
    const error = await fails(pool.getServer('missing'));
    expect(error.code).toBe('SERVER_EXITED');
    expect(error.message).toContain('404');
    expect((await fails(pool.getServer('several'))).message).toContain('could not determine executable');
    expect(fallbacks.slice(1)).toMatchObject([
      { name: 'missing', reason: 'npm-failed' },
      { name: 'several', reason: 'npm-failed' },
    ]);
    expect(fallbacks[1]!.message).toContain('E404');
    expect((await startOf(pool, 'chosen')).argv[1]).toMatch(/\.bin\/two$/);
    expect(JSON.stringify(fallbacks)).not.toContain(secret);
    // The next start does not ask again at once.
    const before = user.runs().length;
    await fails(pool.getServer('missing'));
    expect(user.runs().length).toBe(before + 1);
  });

  it('[PACKAGES-5] npm ends with the start that it belongs to: at its timeout, its removal and the end of the pool', async () => {
    const registry = await NpmRegistry.open();
    registry.hangs = true;
    const user = npmUser(registry);
    const pool = open({ late: { ...user.npx('-y', 'late'), startTimeout: 500 } }, packages);
    const error = await fails(pool.getServer('late'));
    expect(error.code).toBe('START_TIMEOUT');
    expect(error.message).toContain('npm to install late');
    await until('npm has ended', () => npmOf(user.folder).length === 0);

    pool.addServer('removed', user.npx('-y', 'removed'));
    const calls = [1, 2].map(() => fails(pool.getServer('removed')));
    await until('npm runs', () => npmOf(user.folder).length > 0 && user.runs().some((run) => run.endsWith('removed')));
    await pool.removeServer('removed');
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(['UNKNOWN_SERVER', 'UNKNOWN_SERVER']);
    await until('npm has ended', () => npmOf(user.folder).length === 0);

    pool.addServer('last', user.npx('-y', 'last'));
    const last = fails(pool.getServer('last'));
    await until('npm runs', () => user.runs().some((run) => run.endsWith('last')));
    await pool.shutdown();
    expect((await last).code).toBe('POOL_CLOSED');
    expect(npmOf(user.folder)).toEqual([]);
    expect(installations(user.cache)).toEqual([]);
  });

  it('[PACKAGES-5] a caller that gives up leaves npm to the next one', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.0.0');
    registry.hangs = true;
    const user = npmUser(registry);
    const pool = open({ greets: user.npx('-y', 'greets') }, packages);
    const giveUp = new AbortController();
    const first = fails(pool.getServer('greets', { signal: giveUp.signal }));
    await until('npm has asked', () => registry.requests.length > 0);
    giveUp.abort();
    expect((await first).code).toBe('ACQUIRE_ABORTED');
    expect(pool.status().servers.greets!.instances.map(({ state, pid }) => [state, pid])).toEqual([
      ['starting', undefined],
    ]);
    const next = connect(pool, 'greets');
    registry.hangs = false;
    registry.answerAll();
    await next;
    expect(user.runs().length).toBe(1);
  });

  it('[PACKAGES-6] no value of a variable, and no argument, is in an event, a file or the command line of npm', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '1.0.0');
    const user = npmUser(registry);
    const [secret, argument, token] = ['secret-of-the-env', 'secret-of-the-args', 'secret-of-npm'];
    writeFileSync(join(user.home, '.npmrc'), `//127.0.0.1:1/:_authToken=\${NPM_TOKEN}\n`);
    const env = { ...user.env, SECRET: secret!, NPM_TOKEN: token! };
    const pool = open({ greets: { ...user.npx('-y', 'greets', `--key=${argument}`), env } }, packages);
    const events: unknown[] = [];
    pool.onAny((...event) => events.push(event));
    const { env: seen } = await startOf(pool, 'greets');
    expect(seen.SECRET).toBe(secret);
    await pool.shutdown();
    const texts = [JSON.stringify(events), user.runs().join(' '), ...filesIn(join(user.cache, '_mcp-server-pool'))];
    for (const hidden of [secret, argument, token]) for (const text of texts) expect(text).not.toContain(hidden);
  });

  it('[PACKAGES-7] a program of the project comes first, as with npx', async () => {
    const registry = await NpmRegistry.open();
    registry.publishServer('greets', '2.0.0');
    const user = npmUser(registry);
    const own = join(user.cwd, 'node_modules', 'greets');
    mkdirSync(join(user.cwd, 'node_modules', '.bin'), { recursive: true });
    mkdirSync(own);
    writeFileSync(join(user.cwd, 'package.json'), '{}');
    writeFileSync(join(own, 'package.json'), '{"name":"greets","version":"1.0.0","type":"module","bin":"./server.js"}');
    const base = join(import.meta.dirname, '../../fixtures/servers/base.js');
    const text = `#!/usr/bin/env node\nimport { serve } from '${base}';\nserve({ tools: { version: () => 'own' } });\n`;
    writeFileSync(join(own, 'server.js'), text, { mode: 0o755 });
    user.link('../greets/server.js', join(user.cwd, 'node_modules', '.bin', 'greets'));
    const pool = open({ greets: user.npx('-y', 'greets') }, packages);
    const { client } = await connect(pool, 'greets');
    expect(await client.callTool('version')).toBe('own');
    expect(pool.status().servers.greets!.instances[0]!.package).toBe('greets@1.0.0');
    expect(installations(user.cache)).toEqual([]);
  });
});

/** The processes of this test that have npm work for that user: it is told the cache. */
function npmOf(folder: string): number[] {
  const isAbout = (pid: number) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(folder) && isLiving(pid);
    } catch {
      return false;
    }
  };
  return descendants(process.pid)
    .map(({ pid }) => pid)
    .filter(isAbout);
}

const STORE = '_mcp-server-pool';

function records(cache: string) {
  const store = join(cache, STORE);
  const keys = existsSync(store) ? readdirSync(store) : [];
  return keys
    .map((key) => join(store, key, 'record.json'))
    .filter(existsSync)
    .map((path) => ({
      path,
      record: JSON.parse(readFileSync(path, 'utf8')) as Record<string, number> & { checkedAt: number },
    }));
}

/** Lets the time of all checks be over. */
function setBack(cache: string): void {
  for (const { path, record } of records(cache))
    writeFileSync(path, JSON.stringify({ ...record, checkedAt: record.checkedAt - 86_400_000 }));
}

function installations(cache: string): string[] {
  const store = join(cache, STORE);
  return readdirSync(store).flatMap((key) => readdirSync(join(store, key)).filter((name) => /^(v|shell)-/.test(name)));
}

/** The texts of the files that the pool has written. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
}
