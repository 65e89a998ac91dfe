import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fixturePath } from '../helpers/fixture.js';
import { killProcess, livingProcesses, MARKER, type ProcessInfo } from '../helpers/processes.js';
import { until } from '../helpers/until.js';
import { ChaosHost } from './chaos-host.js';
import { livingByTag, newTags, seenByTag, untilNothingLives } from './tags.js';
import { IS_ROOT, newHome, USERS } from './users.js';

// Which number the next process gets can be said in a pid namespace of one's own. So a server ends, a stranger gets its
// number, as pid, group and session, and only then the end goes on, of a helper that the server has left.

const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
const SET_LAST = 'echo "$1" >/proc/sys/kernel/ns_last_pid';
const POSSIBLE = IS_ROOT && run([...NAMESPACE, 'sh', '-c', SET_LAST, 'sh', '100']);

/** Long enough to do something in the midst of it, ms. */
const TERM_GRACE = 4_000;
const DEADLINE = 15_000;

/** What happens when a stranger has the number of the leader, and the ladder waits for the helper. */
const ENDS: Readonly<Record<string, (host: ChaosHost) => Promise<void>>> = {
  'the ladder goes on': (host) => host.done(),
  'emergency shutdown': (host) => host.does('emergency'),
  'process.exit()': (host) => host.ends('exit'),
  'uncaught exception': (host) => host.ends('throw'),
  'SIGKILL of the host': async (host) => {
    host.signal('SIGKILL');
    await host.ended();
  },
};

function run([file = '', ...args]: readonly string[]): boolean {
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0;
}

/** The number that this process has in its own namespace. */
function innerPid({ pid }: ProcessInfo): number {
  const [, numbers = ''] = /^NSpid:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(numbers.trim().split(/\s+/).at(-1));
}

/** Starts a process that has `number` in the namespace of `init`. Others may be faster, so not always at once. */
function startStranger(init: ProcessInfo, number: number, tag: string): Promise<ProcessInfo> {
  const script = `${SET_LAST}; setsid sleep 60 "$0" </dev/null >/dev/null 2>&1 &`;
  const stranger = () => livingByTag({ tag }).tag.find(({ command }) => command === 'sleep');
  return until(`a stranger has the number ${number}`, async () => {
    run(['nsenter', '-t', String(init.pid), '-p', '-m', 'sh', '-c', script, tag, String(number - 1)]);
    const started = await until('it sleeps', stranger);
    if (innerPid(started) === number) return started;
    killProcess(started);
    await until('the one with another number is dead', () => stranger() === undefined);
    return undefined;
  });
}

describe.runIf(POSSIBLE)(
  'a stranger with the number of a dead server lives on (needs root and a pid namespace)',
  () => {
    it.each(Object.keys(ENDS))('[ORPHAN-2] [STRANGER-1] %s', async (end) => {
      const [user] = USERS;
      if (user === undefined) throw new Error('no user runs this');
      const tags = newTags(['server', 'stranger']);
      const script = '(trap "" TERM; exec setsid sleep 60 "$0" </dev/null >/dev/null 2>&1) & exec "$@"';
      const server = {
        command: 'sh',
        args: ['-c', script, tags.server, process.execPath, fixturePath('echo.js'), tags.server],
        sharing: 'exclusive',
        reuse: 'never',
        inheritEnv: [MARKER],
        termGrace: TERM_GRACE,
      } as const;
      const place = { user, env: newHome(user), within: [...NAMESPACE, 'sh', '-c', '"$@"; sleep 60; true', 'sh'] };
      const host = new ChaosHost({ options: { servers: { server } }, steps: [['server']] }, place);
      await host.ready();
      const init = livingProcesses().find(({ parent }) => parent === host.launcher) as ProcessInfo;
      const is = (command: string) => livingByTag(tags).server.find((row) => row.command === command);
      const leader = innerPid(await until('the server runs', () => is('node')));
      await until('its helper runs', () => is('sleep'));

      host.begins('release');
      await until('the leader is gone', () => is('node') === undefined);
      const stranger = await startStranger(init, leader, tags.stranger);
      expect(stranger).toMatchObject({ group: stranger.pid, session: stranger.pid });
      expect(is('sleep'), 'the helper that the end is about').toBeDefined();
      await ENDS[end]?.(host);

      await untilNothingLives({ server: tags.server }, DEADLINE);
      const { server: left, stranger: seen } = await seenByTag(tags);
      expect({ left, seen }).toEqual({ left: [], seen: [`${stranger.pid} sleep`] });
      expect(host.groupSignalled).toBe(false);
    });
  },
);
