import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { newTag, tagged } from '../helpers/escapes.js';
import { obstacleToNamespaces, obstacleToOwnNamespaces } from '../helpers/namespace.js';
import { until } from '../helpers/until.js';

/** Users of this machine that have nothing to do with each other. */
export const [MALLORY, OTHER] = [2_001, 2_002];

/** Why processes of other users cannot be started; undefined when they can. */
export const OBSTACLE = process.geteuid?.() === 0 ? undefined : 'not root: no processes of other users can be started';
export const NO_NAMESPACES = OBSTACLE ?? obstacleToNamespaces();
/** The user that has logged in can be set once, where the kernel has auditing and no user has logged in. */
export const NO_LOGIN =
  OBSTACLE ??
  (spawnSync('sh', ['-c', `echo ${MALLORY} >/proc/self/loginuid`], { stdio: 'ignore' }).status === 0
    ? undefined
    : 'the login of a process cannot be set');

/** Why a user without privileges cannot make a container; undefined when it can. */
export const NO_OWN_NAMESPACES = obstacleToOwnNamespaces(MALLORY);

/** The user that runs the tests. */
export const SELF = process.geteuid?.() ?? 0;
/** Hosts of these users are attacked: root and one without privileges, or the one that runs the tests. */
export const HOSTS: readonly number[] = OBSTACLE === undefined ? [0, MALLORY] : [SELF];

/** The limit that marks a process; every user can read it. */
export function limitOf(pid: number): string {
  const [, limit] = /^Max file locks +([0-9]+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1')) ?? [];
  if (limit === undefined) throw new Error(`${pid} has no mark`);
  return limit;
}

const SET_LIMIT = '{ ulimit -S -w "$1" 2>/dev/null || ulimit -S -x "$1"; }';
const SLEEP = 'sleep 50 "$0"';

/** A process that waits for a limit to forge, and then has it. */
export interface Forger {
  /** What it is found by. */
  readonly tag: string;
  forge(limit: string): Promise<void>;
  /** Whether the process that has the limit lives. */
  lives(): boolean;
  /** The cgroups of that process: another one when it was moved. */
  place(): string;
}

export interface ForgerOptions {
  /** Default: `MALLORY`. */
  readonly user?: number | undefined;
  /** What is done with the limit. `$0` is the tag. */
  readonly script?: string;
  /** Comes before the shell that sets the limit, such as `unshare`. */
  readonly within?: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The name of the process that stays. Default: sleep. */
  readonly command?: string;
}

interface OldSession extends Forger {
  readonly daemon: () => boolean;
  /** What the host wrote. */
  readonly stdout: () => string;
}

/** Starts a shell of another user, in a session of its own, that forges a limit when it gets the value. */
export function forger({ user = MALLORY, script = `exec ${SLEEP}`, within = [], env, command }: ForgerOptions): Forger {
  const tag = newTag();
  const all = [...within, 'sh', '-c', `read -r limit; set -- "$limit"; ${SET_LIMIT}; ${script}`, tag];
  const ids = user === SELF ? {} : { uid: user, gid: user };
  const child = stranger(all, { ...ids, detached: true, stdio: ['pipe', 'ignore', 'ignore'], env });
  const stays = () => tagged(tag).filter((row) => row.command === (command ?? 'sleep'));
  return {
    tag,
    lives: () => stays().length > 0,
    place: () => placeOf(stays()),
    forge: async (limit) => {
      (child.stdin as Writable).write(`${limit}\n`);
      await until(`the limit is forged: ${all.join(' ')}`, () => stays().some(({ pid }) => limitOf(pid) === limit));
    },
  };
}

function placeOf([first]: readonly { readonly pid: number }[]): string {
  return first === undefined ? 'it is dead' : readFileSync(`/proc/${first.pid}/cgroup`, 'utf8');
}

/** Starts a process that has nothing to do with the host; what it starts has to have a tag. */
function stranger([file = '', ...args]: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(file, args, { ...options, env: { PATH: process.env.PATH, ...options.env } });
  child.on('error', () => {});
  // It may have ended before it reads the limit; then the test fails because it is not there.
  for (const stream of child.stdio) stream?.on('error', () => {});
  onTestFinished(() => {
    child.kill('SIGKILL');
    for (const stream of child.stdio) stream?.destroy();
  });
  return child;
}

/** A copy of a program that root owns and that runs as root, whichever user starts it. */
export function setuidCopy(program: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const file = join(folder, program);
  copyFileSync(spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim(), file);
  chmodSync(file, 0o4755);
  return file;
}

/**
 * A session: a daemon of root's in a group of its own, and a shell of another user that forges a limit. In the group of that
 * shell runs a host, if its command is given.
 * @param leader whether the leader of the session lives, as in a terminal that is open
 */
export function oldSession(
  host: readonly string[] = [],
  { leader = 'gone', user = MALLORY }: { readonly leader?: 'gone' | 'living'; readonly user?: number } = {},
): OldSession {
  const [tag, daemonTag] = [newTag(), newTag()];
  const forging = `read -r limit <&3; set -- "$limit"; ${SET_LIMIT}; ${SLEEP} & wait`;
  const shell = `${asUser(user).join(' ')} sh -c '${forging}' "$0"`;
  const end = leader === 'gone' ? 'exit' : 'wait';
  const script = `set -m; sleep 50 "$1" & shift; { ${shell} >/dev/null & "$@"; wait; } & ${end}`;
  const child = stranger(['bash', '--norc', '-c', script, tag, daemonTag, ...(host.length > 0 ? host : ['true'])], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    env: process.env,
  });
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const stays = () => tagged(tag).filter(({ command }) => command === 'sleep');
  return {
    tag,
    lives: () => stays().length > 0,
    place: () => placeOf(stays()),
    daemon: () => tagged(daemonTag).length > 0,
    stdout: () => stdout,
    forge: async (limit) => {
      (child.stdio[3] as Writable).write(`${limit}\n`);
      await until('the limit is forged', () => stays().some(({ pid }) => limitOf(pid) === limit));
    },
  };
}

/** Comes before a command that root starts and `user` shall run. */
export function asUser(user: number): string[] {
  return ['setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups'];
}
