import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findCgroup } from '../../../src/process/cgroup/cgroup-probe.js';
import { knownProblems } from '../../../src/process/containment-problems.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { containedStart } from '../../../src/process/start/contained-start.js';
import { findSetpriv, limitProcess } from '../../../src/process/start/restrictions.js';
import { wrap } from '../../../src/process/wrapper.js';
import { isRoot } from '../../helpers/cgroups.js';
import { define } from '../../helpers/definition.js';
import { fixture } from '../../helpers/fixture.js';
import { launch } from '../../helpers/launch.js';
import { fails, open, record } from '../../helpers/real-pool.js';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** Each shell of this machine; busybox needs to be called `sh`. */
const SHELLS = ['/bin/dash', '/bin/bash', '/bin/busybox', '/usr/bin/busybox'].filter((path) => existsSync(path));

function shellAt(path: string): string {
  if (!path.endsWith('busybox')) return path;
  const link = join(folder(), 'sh');
  symlinkSync(path, link);
  return link;
}

const NONE = { openFiles: undefined, processes: undefined, addressSpaceMB: undefined, core: undefined };
const ALL = { openFiles: 100, processes: 200, addressSpaceMB: 300, core: false };
const limitsIn = (text: string) =>
  Object.fromEntries(
    [...text.matchAll(/^Max (open files|processes|address space|core file size) +(\S+) +(\S+)/gm)].map(
      ([, name = '', soft, hard]) => [name, [soft, hard]],
    ),
  );

/** `code` of the error that a start throws, and its message. */
function refusalOf(given: Parameters<typeof define>[0], place: object = {}) {
  const definition = define(given);
  const request = { file: '/bin/true', args: [], env: {} };
  try {
    return containedStart(definition, request, { platform: linux, ...place }).file;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code, message };
  }
}

describe('limits by ulimit', () => {
  it.each(SHELLS)('[CONTAIN-4] are set, soft and hard, by %s', (path) => {
    const shell = { path: shellAt(path), rlimits: true };
    const line = wrap(shell, limitProcess(ALL), { file: '/bin/cat', args: ['/proc/self/limits'] });
    const { stdout, stderr } = spawnSync(line.file, line.args, { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(limitsIn(stdout)).toEqual({
      'open files': ['100', '100'],
      processes: ['200', '200'],
      'address space': [`${300 * 1_048_576}`, `${300 * 1_048_576}`],
      'core file size': ['0', '0'],
    });
  });

  it.each(SHELLS)('[CONTAIN-4] leave core dumps possible where these are asked for (%s)', (path) => {
    const shell = { path: shellAt(path), rlimits: true };
    const line = wrap(shell, limitProcess({ ...NONE, core: true }), { file: '/bin/cat', args: ['/proc/self/limits'] });
    const { stdout } = spawnSync(line.file, line.args, { encoding: 'utf8' });
    expect(limitsIn(stdout)['core file size']?.[0]).toBe('unlimited');
  });

  it.each(SHELLS)('[CONTAIN-3] that cannot be set end the start, with the reason (%s)', (path) => {
    const shell = { path: shellAt(path), rlimits: true };
    const limits = { ...NONE, openFiles: 2 ** 40, core: false };
    const line = wrap(shell, limitProcess(limits), { file: '/bin/echo', args: ['it runs'] });
    const { stdout, stderr, status } = spawnSync(line.file, line.args, { encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(126);
    expect(stderr).toMatch(
      /^mcp-server-pool-[0-9a-f]{16}: containment: rlimits\.openFiles could not be set to 1099511627776 by/,
    );
  });

  it('[CONTAIN-4] hold for a server, which cannot raise them, behind any containment', async () => {
    for (const containment of ['auto', 'markers', 'group'] as const) {
      const script = 'ulimit -n 200 2>/dev/null || echo refused >&2; echo "$(ulimit -n)" >&2; cat >/dev/null';
      // Root may raise what it likes; a process without privileges may not.
      const command = isRoot ? 'setpriv' : 'sh';
      const args = isRoot ? ['--reuid=65534', '--clear-groups', 'sh', '-c', script] : ['-c', script];
      const server = launch({ command, args, containment, rlimits: { openFiles: 100 } }, { listen: true });
      server.process.stdin.end();
      await server.exited;
      await server.process.drained();
      expect([containment, server.stderr]).toEqual([containment, ['refused', '100']]);
    }
  });

  it('[CONTAIN-3] that cannot be set fail the call, and name the limit', async () => {
    const pool = open({ files: { ...fixture('echo'), rlimits: { openFiles: 2 ** 40 } } });
    const exits = record(pool, 'server:exited');
    const error = await fails(pool.getServer('files'));
    expect(error.code).toBe('CONTAINMENT_UNAVAILABLE');
    expect(error.message).toMatch(/^server 'files' could not be started: rlimits\.openFiles could not be set to/);
    expect(exits[0]).toMatchObject({ exitCode: 126, unexpected: true, outOfMemory: false });
  });

  it('[CONTAIN-3] fail the start without a usable sh, or with an environment that none hands on', () => {
    const limits = { command: 'x', rlimits: { core: false } };
    expect(refusalOf(limits, { findShell: () => undefined })).toEqual({
      code: 'CONTAINMENT_UNAVAILABLE',
      message: "server 'test': rlimits.core cannot be had: there is no usable /bin/sh",
    });
    const request = { file: '/bin/true', args: [], env: { 'a-b': '1' } };
    expect(() => containedStart(define(limits), request, { platform: linux })).toThrowError(/a variable that no shell/);
    // No limit was asked for here.
    const plain = containedStart(define({ command: 'x', containment: 'markers' }), request, { platform: linux });
    expect(plain.file).toBe('/bin/true');
  });
});

describe('noNewPrivileges', () => {
  it.runIf(findSetpriv() !== undefined)('[CONTAIN-5] holds for the server and what it starts', async () => {
    const args = ['-c', 'grep NoNewPrivs /proc/self/status >&2'];
    for (const containment of ['auto', 'group'] as const) {
      const server = launch({ command: 'sh', args, noNewPrivileges: true, containment }, { listen: true });
      expect(await server.exited).toEqual({ exitCode: 0, signal: null });
      await server.process.drained();
      expect(server.stderr).toEqual(['NoNewPrivs:\t1']);
    }
  });

  it('[CONTAIN-5] needs a setpriv that knows the option', () => {
    const place = folder();
    const fake = join(place, 'setpriv');
    writeFileSync(fake, '#!/bin/sh\necho "setpriv: unrecognized option" >&2; exit 1\n');
    expect(findSetpriv(place)).not.toBe(fake);
    chmodSync(fake, 0o755);
    expect(findSetpriv(place)).not.toBe(fake);
    writeFileSync(fake, `#!/bin/sh\n[ "$1 $2 $3" = "--no-new-privs $0 --dump" ] && echo "no_new_privs: 1"\n`);
    expect(findSetpriv(place)).toBe(fake);
  });
});

describe('what cannot be had', () => {
  const nothing = { platform: { ...linux, cgroups: () => ({ problem: 'nothing is delegated here' }) } };

  it('[CONTAIN-3] is refused where it was asked for by name', () => {
    expect(refusalOf({ command: 'x', containment: 'cgroup' }, nothing)).toEqual({
      code: 'CONTAINMENT_UNAVAILABLE',
      message: "server 'test': containment: 'cgroup' cannot be had: nothing is delegated here",
    });
    const elsewhere = { platform: { detached: false, marks: undefined, cgroups: undefined } };
    expect(refusalOf({ command: 'x', containment: 'cgroup' }, elsewhere)).toMatchObject({
      message: "server 'test': containment: 'cgroup' cannot be had: this system has no cgroups",
    });
    expect(refusalOf({ command: 'x', containment: 'group' }, elsewhere)).toMatchObject({
      code: 'CONTAINMENT_UNAVAILABLE',
      message: expect.stringContaining('no process groups'),
    });
    expect(
      refusalOf({ command: 'x', containment: 'cgroup' }, { findShell: () => undefined, platform: linux }),
    ).toMatchObject({ code: 'CONTAINMENT_UNAVAILABLE' });
  });

  it('[CONTAIN-3] is noted where it was not, and the server starts', () => {
    expect(refusalOf({ command: 'x', cgroupLimits: { memoryMB: 5 } }, nothing)).toBe('/bin/sh');
    expect(knownProblems().map(({ part, reason }) => [part, reason])).toEqual(
      expect.arrayContaining([['cgroup-limits', 'cgroupLimits.memoryMB: nothing is delegated here']]),
    );
    refusalOf({ command: 'x' }, { ...nothing, findShell: () => ({ path: '/bin/sh', rlimits: false }) });
    expect(knownProblems().map(({ part }) => part)).toContain('rlimit-marker');
  });

  it('[CONTAIN-3] names what is wrong with a place for cgroups', () => {
    expect(findCgroup('/tmp')).toMatchObject({ problem: '/tmp is no folder of cgroup2' });
  });
});
