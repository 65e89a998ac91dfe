import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PoolError } from '../../../src/index.js';
import { LaneFolder } from '../../../src/sequence/lanes/lane-folder.js';
import { newFolder, removeIfEmpty } from '../../helpers/folders.js';
import { runHost, startHost } from '../../helpers/host.js';
import { newLane, node } from '../../helpers/lanes.js';
import { rejection, until } from '../../helpers/until.js';
import { MALLORY, OBSTACLE, OTHER } from '../../hostile/strangers.js';

/** The error of a run in that folder, which must not start anything. */
async function refusal(folder: string): Promise<PoolError> {
  const sign = join(newFolder(), 'ran');
  const error = (await rejection(
    newLane({ folder }).run(...node(`fs.writeFileSync(${JSON.stringify(sign)}, '')`)),
  )) as PoolError;
  expect(existsSync(sign)).toBe(false);
  return error;
}

describe('the folder of a lane', () => {
  it('[LANE-13] is private, as its files are, and goes with the last one', async () => {
    const folder = join(newFolder(), 'new');
    const lane = newLane({ folder });
    const stop = new AbortController();
    const { result } = await lane.hold({ signal: stop.signal });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const [name = ''] = readdirSync(folder);
    expect(name).toMatch(/^lane-[0-9a-f]{16}$/);
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o700);
    const files = readdirSync(join(folder, name));
    expect(files.length).toBe(3);
    for (const file of files) expect([file, statSync(join(folder, name, file)).mode & 0o777]).toEqual([file, 0o600]);
    stop.abort();
    await result;
    expect(readdirSync(folder)).toEqual([]);
  });

  it('[LANE-13] does not depend on the environment', () => {
    const before = new LaneFolder('tests', undefined).path;
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const name of ['TMPDIR', 'XDG_RUNTIME_DIR', 'HOME']) vi.stubEnv(name, '/nowhere');
    expect(new LaneFolder('tests', undefined).path).toBe(before);
    expect(before).toMatch(new RegExp(`^/tmp/mcp-server-pool-${process.getuid?.()}/lane-`));
    expect(new LaneFolder('Tests', undefined).path).not.toBe(before);
  });

  it('[LANE-13] that could be reached by others is refused, and nothing runs', async () => {
    const link = join(newFolder(), 'link');
    symlinkSync(newFolder(), link);
    const file = join(newFolder(), 'file');
    writeFileSync(file, '');
    for (const [folder, why] of [
      [newFolder(0o755), 'open to others'],
      [link, 'symbolic link'],
      [file, 'no folder'],
      [join(newFolder(), 'missing', 'deep'), 'ENOENT'],
    ] as const) {
      const error = await refusal(folder);
      expect([error.code, error.message]).toEqual(['LANE_UNAVAILABLE', expect.stringContaining(why)]);
    }
    expect(() => newLane({ folder: `/tmp/${'x'.repeat(100)}` })).toThrow(/longer than 103 bytes/);
  });
});

describe.runIf(OBSTACLE === undefined)('the folder of a lane, with other users (needs root)', () => {
  it('[LANE-13] of another user is refused, and nothing runs', async () => {
    const error = await refusal(newFolder(0o700, MALLORY));
    expect([error.code, error.message]).toEqual([
      'LANE_UNAVAILABLE',
      expect.stringContaining('belongs to another user'),
    ]);
  });

  it('[LANE-13] that cannot be written is refused, and nothing runs', async () => {
    const outer = newFolder(0o755);
    const folder = join(outer, 'lanes');
    mkdirSync(folder, { mode: 0o500 });
    chownSync(folder, OTHER, OTHER);
    chmodSync(outer, 0o755);
    const script = `
      const { SequentialExecutor } = await import(SRC + '/index.js');
      process.setgroups([]); process.setgid(${OTHER}); process.setuid(${OTHER});
      const lane = new SequentialExecutor({ lane: 'tests', folder: ${JSON.stringify(folder)} });
      await lane.run('touch', ['${outer}/ran']).then(() => console.log('ran'), ({ code, message }) => console.log(code, message));`;
    // Two that come at the same time.
    for (const host of [startHost(script), startHost(script)]) {
      const { stdout, stderr } = await host.result;
      expect(stderr).toBe('');
      expect(stdout).toMatch(
        /^LANE_UNAVAILABLE lane 'tests': its folder cannot be used, so nothing was started: .*EACCES/,
      );
    }
    expect(readdirSync(outer)).toEqual(['lanes']);
  });

  it('[LANE-13] is that of one user: two users do not meet', async () => {
    // In the real /tmp of these users, so it needs a name of its own.
    const lane = `test-${process.pid}-${Date.now()}`;
    const gate = join(newFolder(0o755), 'gate');
    const hosts = [MALLORY, OTHER].map((user) => {
      onTestFinished(() => removeIfEmpty(`/tmp/mcp-server-pool-${user}`));
      return startHost(`
        const { SequentialExecutor } = await import(SRC + '/index.js');
        process.setgroups([]); process.setgid(${user}); process.setuid(${user});
        const lane = new SequentialExecutor({ lane: '${lane}' });
        const command = 'echo runs; until [ -e ${gate} ]; do sleep 0.05; done';
        const { exitCode } = await lane.run('sh', ['-c', command], { stdio: 'inherit' });
        console.log('exit', exitCode);`);
    });
    await until('both run at the same time', () => hosts.every((host) => host.stdout().includes('runs')));
    writeFileSync(gate, '');
    for (const { result } of hosts) expect(await result).toMatchObject({ stdout: 'runs\nexit 0\n', stderr: '' });
  });
});

describe('a folder that cannot be written to', () => {
  it('[LANE-13] is left as it was when it is full', async () => {
    const root = newFolder();
    const { stdout } = await runHost(
      `
      const { SequentialExecutor } = await import(SRC + '/index.js');
      const { openSync, closeSync } = await import('node:fs');
      const lane = new SequentialExecutor({ lane: 'tests', folder: ${JSON.stringify(root)} });
      const open = [];
      try { for (;;) open.push(openSync('/dev/null')); } catch {}
      closeSync(open.pop());
      const { code } = await lane.run('true').catch((error) => error);
      for (const descriptor of open) closeSync(descriptor);
      console.log(code);`,
      { before: 'ulimit -n 200' },
    );
    expect([stdout, existsSync(root) && readdirSync(root)]).toEqual(['LANE_UNAVAILABLE\n', []]);
  });
});
