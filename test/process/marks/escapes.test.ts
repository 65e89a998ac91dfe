import { spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServerPolicy } from '../../../src/config/options.js';
import type { TerminationReport } from '../../../src/process/termination-report.js';
import { ESCAPES, newTag, tagged } from '../../helpers/escapes.js';
import { runHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { isLiving, MARKER, marked, type ProcessInfo } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const GRACES = { eofGrace: 100, termGrace: 100 };

/** By their markers; what a cgroup adds is tested apart. */
function start(script: string, tag: string, policy?: ServerPolicy) {
  const definition = { command: 'sh', args: ['-c', script, tag], inheritEnv: [MARKER], ...GRACES };
  return launch({ ...definition, containment: 'markers', ...policy });
}

/** Starts a server that does `how`, and waits until the process that shall be found is there. */
async function escaping(how: string, policy?: ServerPolicy) {
  const tag = newTag();
  const server = start(ESCAPES[how] ?? '', tag, policy);
  await until(`${how} is there`, () => {
    return sleepers(tag).length > 0 || (how.startsWith('fork chain') && tagged(tag).length > 1);
  });
  return { tag, server };
}

/** What is to be found: shells with the same arguments come and go before it. */
function sleepers(tag: string): number[] {
  return tagged(tag)
    .filter(({ command }) => command === 'sleep' || command === 'node')
    .map(({ pid }) => pid);
}

/** Processes of no server: one with the same arguments in a session of its own, one in the host's group. */
function bystanders(tag: string): number[] {
  return [true, false].map((detached) => {
    const child = spawn('sleep', ['50', `${tag}7`], { stdio: 'ignore', detached });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    return child.pid as number;
  });
}

function expectEnded(report: TerminationReport, tag: string): void {
  expect(tagged(tag).map(({ pid }: ProcessInfo) => pid)).toEqual([]);
  expect(report.survivors).toEqual([]);
}

describe('the end of a server finds', () => {
  const both = Object.keys(ESCAPES).flatMap((name) => [[name, 'graceful'] as const, [name, 'emergency'] as const]);

  it.each(both)('[MARK-4] [MARK-5] %s (%s)', async (how, mode) => {
    const { tag, server } = await escaping(how);
    const others = bystanders(tag);
    const neighbour = await escaping('double fork + env -i');
    const theirs = sleepers(neighbour.tag);
    expectEnded(await server.process.end({ mode }), tag);
    expect(others.filter(isLiving)).toEqual(others);
    expect(theirs).toHaveLength(1);
    expect(sleepers(neighbour.tag)).toEqual(theirs);
    expectEnded(await neighbour.server.process.end({ mode: 'emergency' }), neighbour.tag);
    expect(marked().filter(({ pid }) => !others.includes(pid))).toEqual([]);
  });

  it.each(['plain', 'setsid', 'double fork'])('[MARK-4] [MARK-8] %s by the environment alone', async (how) => {
    const { tag, server } = await escaping(how, { markers: { environment: true, rlimit: false } });
    expectEnded(await server.process.end({ mode: 'graceful' }), tag);
  });

  it.each(['double fork', 'double fork + env -i'])('[MARK-4] %s by the limit alone', async (how) => {
    const { tag, server } = await escaping(how, { markers: { environment: false, rlimit: true } });
    expectEnded(await server.process.end({ mode: 'emergency' }), tag);
  });

  it('[MARK-4] no process that has left both marks behind: that takes a cgroup', async () => {
    const { tag, server } = await escaping('double fork + env -i', { markers: { environment: true, rlimit: false } });
    expect(await server.process.end({ mode: 'emergency' })).toMatchObject({ survivors: [] });
    expect(tagged(tag)).toHaveLength(1);
  });

  it.each([
    ['end of file', `cat >/dev/null; env -i setsid sh -c 'sleep 50 "$0" & true' "$0"`],
    ['SIGTERM', `trap "env -i setsid sh -c 'sleep 50 \\"\\$0\\" & true' $0; exit" TERM; while :; do sleep 0.02; done`],
  ])('[MARK-4] a helper that is started upon %s', async (_what, script) => {
    const tag = newTag();
    const server = start(script, tag);
    await server.spawned;
    // So that the shell has read its script when it is ended.
    await until('it runs', () => tagged(tag).length > 0);
    expectEnded(await server.process.end({ mode: 'graceful' }), tag);
  });

  it.each(['graceful', 'emergency'] as const)('[MARK-4] a daemon left by a leader that exited (%s)', async (mode) => {
    const tag = newTag();
    const server = start(`env -i setsid sh -c 'sleep 50 "$0" & true' "$0"`, tag, { termGrace: 60_000 });
    expect(await server.exited).toEqual({ exitCode: 0, signal: null });
    expect(tagged(tag)).toHaveLength(1);
    const report = await server.process.end({ mode });
    expectEnded(report, tag);
    expect(report.endedBy).toBe(mode === 'graceful' ? 'SIGTERM' : 'SIGKILL');
  });

  it('[MARK-4] what killNow has to find', async () => {
    const { tag, server } = await escaping('double fork + env -i');
    server.process.killNow();
    await until('all are dead', () => tagged(tag).length === 0);
  });

  it.runIf(process.geteuid?.() === 0)('[MARK-4] all of it also when the host has no privileges', async () => {
    const tags = Object.fromEntries(Object.keys(ESCAPES).map((name) => [name, newTag()]));
    const { stdout, stderr } = await runHost(
      `
      const { withEnvironment } = await import(SRC + '/config/environment.js');
      const { localLauncher } = await import(SRC + '/process/start/local-launcher.js');
      const { linux } = await import(SRC + '/process/platforms/linux.js');
      const { resolvePoolOptions } = await import(SRC + '/config/resolve-options.js');
      const { readdirSync, readFileSync } = await import('node:fs');
      // Not before: the modules may be in a folder of root's.
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      const handlers = { onSpawn() {}, onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => false };
      // An ending does not hold the host open; its caller does.
      const hold = setInterval(() => {}, 1_000);
      const commandLine = (pid) => {
        try { return readFileSync('/proc/' + pid + '/cmdline', 'latin1'); } catch { return ''; }
      };
      const found = {};
      const escapes = ${JSON.stringify(ESCAPES)};
      await Promise.all(Object.entries(${JSON.stringify(tags)}).map(async ([name, tag]) => {
        const { servers } = resolvePoolOptions({ servers: { test: {
          command: 'sh', args: ['-c', escapes[name], tag], inheritEnv: ['${MARKER}'], eofGrace: 100, termGrace: 100, containment: 'markers',
        } } });
        const server = localLauncher(linux).launch(withEnvironment(servers.get('test')), handlers);
        // Until it is seen, and something that it has started.
        for (let seen = 0; seen < (name === 'plain' ? 1 : 2); ) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          seen = readdirSync('/proc').filter((pid) => commandLine(pid).includes(tag)).length;
        }
        found[name] = (await server.end({ mode: 'graceful' })).survivors;
      }));
      clearInterval(hold);
      console.log(JSON.stringify({ uid: process.getuid(), found }));
      `,
    );
    expect(stderr).toBe('');
    const { uid, found } = JSON.parse(stdout) as { uid: number; found: Record<string, unknown[]> };
    expect(uid).toBe(65_534);
    expect(found).toEqual(Object.fromEntries(Object.keys(ESCAPES).map((name) => [name, []])));
    expect(Object.values(tags).flatMap(tagged)).toEqual([]);
  });
});
