import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { errnoOf } from '../errors.js';
import type { StartRefusal } from './launcher.js';

/** What the shell does before it becomes the server. */
export interface Fragment {
  /**
   * Fixed text, never made of anything given. Its values are `$1`, `$2`, …; it has to `shift` them away. When it fails, it
   * goes on, or ends with a `refusal`.
   */
  readonly script: string;
  readonly values: readonly string[];
}

/** A program to start, with its arguments. */
export interface CommandLine {
  readonly file: string;
  readonly args: readonly string[];
}

/** A shell that was tried out. */
export interface Shell {
  readonly path: string;
  /** Whether it can set the limit that marks an instance. Not where the hard limit was lowered. */
  readonly rlimits: boolean;
}

/** Begins what the shell says when it cannot start the command: then the server never ran. */
const WRAPPER_NAME = 'mcp-server-pool';
const REFUSAL = 'containment: ';

/** How a fragment ends the start. `reason` is fixed text for between double quotes of a shell; `$1` is its value there. */
export const refusal = (reason: string) => `{ echo "$0: ${REFUSAL}${reason}" >&2; exit 126; }`;

const SHELL = '/bin/sh';
const PROBE_TIMEOUT = 2_000;
/** As large as markers are; which one it is does not matter. */
const PROBE_VALUE = (1n << 62n) - 2n;

/** dash names the limit of file locks `-w`, bash and busybox name it `-x`. */
const SET_LOCKS = 'ulimit -S -w "$1" 2>/dev/null || ulimit -S -x "$1" 2>/dev/null';

/** Sets the soft limit of file locks. */
export function limitLocks(value: bigint): Fragment {
  if (value < 0n || value >> 62n !== 0n) throw new RangeError(`a marker has 62 bits, not ${value}`);
  return { script: `${SET_LOCKS}; shift`, values: [value.toString()] };
}

/** What shells put into the environment of their own accord; bash keeps SHLVL nevertheless. */
const SHELL_VARIABLES = ['PWD', 'OLDPWD', 'SHLVL', 'PATH', '_'] as const;

/** Takes out what the shell has put into the environment, so that the server sees what its definition says, and no more. */
export function cleanEnvironment(env: Readonly<Record<string, string>>): Fragment {
  const added = SHELL_VARIABLES.filter((name) => !Object.hasOwn(env, name));
  return { script: added.map((name) => `unset ${name}`).join('; '), values: [] };
}

/** These a shell sets anew, or drops. */
const SHELL_STATE =
  /^(IFS|OPTIND|OPTERR|PPID|LINENO|RANDOM|SRANDOM|SECONDS|HISTCMD|EPOCHSECONDS|EPOCHREALTIME|SHELLOPTS|BASH.*)$/;

/**
 * Whether this environment comes out of a shell as it went in. dash drops names that are none of a variable of its own.
 * What describes an interactive shell (PS1, `_`) may get lost: hosts hand it on by accident.
 */
export function survivesShell(env: Readonly<Record<string, string>>): boolean {
  return Object.keys(env).every((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !SHELL_STATE.test(name));
}

/**
 * The command line of a shell that does what the fragments say and then becomes the command, under the same pid. `file` is
 * an absolute path: nothing is looked up, and nothing but fixed text is read as script.
 */
export function wrap(shell: Shell, fragments: readonly Fragment[], { file, args }: CommandLine): CommandLine {
  const script = [...fragments.map((fragment) => fragment.script), 'exec "$@"'].filter((part) => part !== '');
  const values = fragments.flatMap((fragment) => fragment.values);
  return { file: shell.path, args: ['-c', script.join('; '), WRAPPER_NAME, ...values, file, ...args] };
}

/**
 * Why the shell could not become the command; undefined when an exit is the server's own. Exit codes alone do not tell: a
 * server that is a script may end with 126 or 127, too.
 */
export function wrapperRefusal(exitCode: number | null, stderr: string): StartRefusal | undefined {
  if (exitCode !== 126 && exitCode !== 127) return undefined;
  const [line = ''] = stderr.split('\n', 1);
  if (!line.startsWith(`${WRAPPER_NAME}: `)) return undefined;
  const words = line.slice(WRAPPER_NAME.length + 2);
  return words.startsWith(REFUSAL)
    ? { code: 'CONTAINMENT_UNAVAILABLE', reason: words.slice(REFUSAL.length) }
    : { code: 'SPAWN_FAILED', reason: words };
}

/**
 * What the system would say to the start of this file, as far as that can be known before: a shell says it too late, when
 * it runs already. The errno, or undefined.
 */
export function interpreterProblem(file: string): 'ENOENT' | 'EACCES' | undefined {
  const interpreter = interpreterOf(file);
  if (interpreter === undefined) return undefined;
  try {
    return statSync(interpreter).mode & 0o111 ? undefined : 'EACCES';
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? 'ENOENT' : undefined;
  }
}

/** What the first line of a script names after `#!`, if it is an absolute path. */
function interpreterOf(file: string): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const start = Buffer.alloc(256);
    const text = start.toString('utf8', 0, readSync(descriptor, start, 0, start.length, 0));
    // A line that is cut off may end in the midst of the path.
    return text.includes('\n') ? /^#![ \t]*(\/[^\s]+)/.exec(text)?.[1] : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

let probed: { readonly shell: Shell | undefined } | undefined;

/** The shell of this machine, if there is one that can be used. Tried out once, with the first start. */
export function usableShell(): Shell | undefined {
  if (probed) return probed.shell;
  const result = probeShell(SHELL);
  if (result === 'unknown') return undefined;
  probed = { shell: result };
  return result;
}

/** `unknown` when the machine had no room for a try; it may have some for the next. */
export function probeShell(path: string): Shell | undefined | 'unknown' {
  const script = `${SET_LOCKS} || exit 3
while read -r line; do case "$line" in "Max file locks "*" $1 "*) exit 0;; esac; done </proc/self/limits
exit 3`;
  const args = ['-c', script, WRAPPER_NAME, PROBE_VALUE.toString()];
  const { error, status } = spawnSync(path, args, { env: {}, stdio: 'ignore', timeout: PROBE_TIMEOUT });
  if (error) return ['ENOENT', 'EACCES', 'ENOEXEC', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? undefined : 'unknown';
  return status === 0 || status === 3 ? { path, rlimits: status === 0 } : undefined;
}
