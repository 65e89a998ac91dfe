import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { hostMark, MARK_VARIABLE, rlimitValue } from '../../src/process/marks/marker.js';
import { linux } from '../../src/process/platforms/linux.js';
import { containedStart } from '../../src/process/start/contained-start.js';
import {
  cleanEnvironment,
  interpreterProblem,
  limitLocks,
  probeShell,
  survivesShell,
  usableShell,
  wrap,
  wrapperRefusal,
} from '../../src/process/wrapper.js';
import { define } from '../helpers/definition.js';
import { fixture } from '../helpers/fixture.js';
import { launch } from '../helpers/launch.js';
import { readProcess } from '../helpers/processes.js';
import { rejection, until } from '../helpers/until.js';

const BOTH = { environment: true, rlimit: true };
/** Without a cgroup, as the markers alone. */
const MARKED = { ...define({ command: '/bin/true' }), containment: 'markers' as const };
const PLACE = { platform: linux };

/** As they are on the machine; `sh` is one of them. */
const SHELLS = ['/bin/sh', '/bin/dash', '/bin/bash', '/bin/busybox-sh'].filter((path) => existsSync(path));

function script(text: string, mode = 0o755): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'tool');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function environmentOf(pid: number): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').slice(0, -1);
  return Object.fromEntries(entries.map((entry) => [entry.split('=', 1)[0], entry.slice(entry.indexOf('=') + 1)]));
}

describe('the wrapper', () => {
  it('[MARK-2] has nothing in its script that was given', () => {
    const args = ['$(id)', '`id`', '"; exit 1; "', '-c', ''];
    const line = wrap({ path: '/bin/sh', rlimits: true }, [limitLocks(77n), cleanEnvironment({})], {
      file: '/bin/x',
      args,
    });
    expect(line.file).toBe('/bin/sh');
    expect(line.wrapper).toMatch(/^mcp-server-pool-[0-9a-f]{16}$/);
    expect(line.args.slice(2)).toEqual([line.wrapper, '77', '/bin/x', ...args]);
    expect(line.args[1]).toBe(
      'ulimit -S -w "$1" 2>/dev/null || ulimit -S -x "$1" 2>/dev/null; shift; ' +
        'unset PWD; unset OLDPWD; unset SHLVL; unset PATH; unset _; exec "$@"',
    );
  });

  it.each([-1n, 1n << 62n])('[MARK-2] refuses a number that is no marker: %s', (value) => {
    expect(() => limitLocks(value)).toThrow(RangeError);
  });

  it.each(SHELLS)('[MARK-2] can use %s', (path) => {
    expect(probeShell(path)).toEqual({ path, rlimits: true });
  });

  it('[MARK-8] is not used without a shell that works', () => {
    expect(probeShell('/no/such/sh')).toBeUndefined();
    expect(probeShell(script('no program', 0o644))).toBeUndefined();
    expect(probeShell('/bin/false')).toBeUndefined();
    const request = { file: '/bin/true', args: ['a'], env: { A: '1' } };
    for (const shell of [undefined, { path: '/bin/sh', rlimits: false }]) {
      expect(containedStart(MARKED, request, { ...PLACE, findShell: () => shell })).toEqual({
        file: '/bin/true',
        args: ['a'],
        env: { A: '1', [MARK_VARIABLE]: expect.stringMatching(`${hostMark().id}.[0-9]+.[0-9a-f]{32}$`) },
        containment: 'markers',
        markers: { environment: true, rlimit: false },
        mark: { host: hostMark(), instance: expect.any(Number) },
        group: undefined,
        joinsLater: false,
        wrapper: undefined,
      });
    }
  });

  it('[MARK-2] each marker can be left out', () => {
    const request = { file: '/bin/true', args: [], env: { A: '1' } };
    const none = containedStart({ ...MARKED, markers: { environment: false, rlimit: false } }, request, PLACE);
    expect(none).toMatchObject({ ...request, mark: undefined });
    const limited = containedStart({ ...MARKED, markers: { environment: false, rlimit: true } }, request, PLACE);
    expect(limited.env).toEqual({ A: '1' });
    expect(limited.args).toContain(String(rlimitValue(limited.mark!)));
  });

  it('[MARK-3] is left out for an environment that a shell would change', () => {
    for (const name of ['a-b', 'a.b', '1a', 'IFS', 'PPID', 'OPTIND', 'BASH_ENV', 'BASH_FUNC_f%%', 'RANDOM', '']) {
      expect([name, survivesShell({ PATH: '/bin', [name]: 'x' })]).toEqual([name, false]);
      const start = containedStart(MARKED, { file: '/bin/true', args: [], env: { [name]: 'x' } }, PLACE);
      expect(start).toMatchObject({ file: '/bin/true', markers: { environment: true, rlimit: false } });
    }
    expect(survivesShell({ PATH: '', HOME: '/', _: 'x', PS1: '$ ', a1_B: '\n"$(id)' })).toBe(true);
  });

  it('[MARK-9] distinguishes its own refusal from the exit of a server', () => {
    const refused = (exitCode: number | null, stderr: string) => wrapperRefusal('mcp-server-pool', exitCode, stderr);
    expect(refused(127, 'mcp-server-pool: 1: exec: /x: not found\n')).toEqual({
      code: 'SPAWN_FAILED',
      reason: '1: exec: /x: not found',
    });
    expect(refused(126, 'mcp-server-pool: line 1: /x: Permission denied')?.reason).toBe(
      'line 1: /x: Permission denied',
    );
    expect(refused(126, 'mcp-server-pool: containment: no')).toEqual({
      code: 'CONTAINMENT_UNAVAILABLE',
      reason: 'no',
    });
    expect(refused(1, 'mcp-server-pool: 1: exec: /x: not found\n')).toBeUndefined();
    expect(refused(127, 'tool: 1: foo: not found\n')).toBeUndefined();
    expect(refused(127, '')).toBeUndefined();
    expect(refused(null, 'mcp-server-pool: ')).toBeUndefined();
  });

  it('[MARK-9] knows before what the interpreter of a script lacks', () => {
    expect(interpreterProblem(script('#!/no/such/interpreter\n'))).toBe('ENOENT');
    expect(interpreterProblem(script(`#! ${script('', 0o644)} -x\n`))).toBe('EACCES');
    expect(interpreterProblem(script('#!/bin/sh\n'))).toBeUndefined();
    expect(interpreterProblem(script('#!/usr/bin/env node\n'))).toBeUndefined();
    expect(interpreterProblem(script(''))).toBeUndefined();
    expect(interpreterProblem(process.execPath)).toBeUndefined();
    expect(interpreterProblem('/no/such/file')).toBeUndefined();
  });
});

describe('a server behind the wrapper', () => {
  it('[MARK-2] [MARK-3] bears both marks, leads its group, and has the environment of its definition', async () => {
    const environments = [];
    for (const markers of [BOTH, { environment: true, rlimit: false }]) {
      const { command, args } = fixture('echo');
      const env = {
        PATH: '',
        HOME: '/nowhere',
        TEXT: 'a\n"$(id)" \\',
        EMPTY: '',
        LOGNAME: '',
        SHELL: '',
        TERM: '',
        USER: '',
      };
      const server = launch({ command, args, env, markers });
      expect(await server.callTool('pid')).toBe(server.pid);
      expect(readProcess(server.pid)).toMatchObject({ group: server.pid, session: server.pid, command: 'node' });
      const { [MARK_VARIABLE]: mark, ...rest } = environmentOf(server.pid);
      expect(mark).toMatch(/^[0-9a-f]{32}\.[1-9][0-9]*\.[0-9a-f]{32}$/);
      expect(rest).toEqual(env);
      const soft = /^Max file locks +(\S+)/m.exec(readFileSync(`/proc/${server.pid}/limits`, 'latin1'))?.[1];
      expect(soft).toMatch(markers.rlimit ? /^\d{10,19}$/ : /^unlimited$/);
      environments.push(Object.keys(rest).sort());
      await server.process.end({ mode: 'emergency' });
    }
    expect(environments[0]).toEqual(environments[1]);
  });

  it('[MARK-9] that ends with 127 itself was not refused', async () => {
    const server = launch({ command: 'sh', args: ['-c', 'echo own words >&2; exit 127'] });
    expect(await server.exited).toEqual({ exitCode: 127, signal: null });
    await server.process.drained();
    expect(server.process.refusal).toBeUndefined();
  });

  it.each([126, 127])(
    '[MARK-9] that writes what the shell would write, and ends with %i, was not refused',
    async (code) => {
      const messages = ['containment: rlimits', '1: exec: /x: not found'];
      // With all that it can know of its start.
      const words = `tr "\\0" "\\n" </proc/self/environ; tr "\\0" "\\n" </proc/$$/cmdline; echo mcp-server-pool`;
      for (const message of messages) {
        const script = `for word in $({ ${words}; } | grep -o "mcp-server-pool[-0-9a-f]*"); do echo "$word: ${message}" >&2; done; exit ${code}`;
        const server = launch({ command: 'sh', args: ['-c', script] });
        expect(await server.exited).toEqual({ exitCode: code, signal: null });
        await server.process.drained();
        expect(server.process.stderrTail).toContain(`mcp-server-pool: ${message}`);
        expect(server.process.refusal).toBeUndefined();
      }
    },
  );

  it('[MARK-9] with a program that cannot be loaded was refused', async () => {
    // An interpreter that is a script, the interpreter of which is missing: nothing that a look at the file shows.
    const server = launch({ command: script(`#!${script('#!/no/such/interpreter\n')}\n`) });
    expect(await server.exited).toMatchObject({ signal: null });
    await server.process.drained();
    expect(server.process.refusal).toMatchObject({ code: 'SPAWN_FAILED', reason: expect.stringMatching(/tool/) });
  });

  it('[MARK-9] with an interpreter that is missing is refused at once', async () => {
    const error = await rejection((async () => launch({ command: script('#!/no/such/interpreter\n') }))());
    expect(error).toMatchObject({ code: 'SPAWN_FAILED', data: { errno: 'ENOENT' } });
  });

  it('[MARK-8] starts with the shell of this machine', async () => {
    expect(usableShell()).toMatchObject({ path: '/bin/sh' });
    const server = launch({ command: 'true' });
    await until('it ended', () => server.reported.includes('exit'));
  });
});
