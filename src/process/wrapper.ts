import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { errnoOf } from '../errors.js';
import type { StartRefusal } from './launcher.js';

/** One thing that the shell does before it becomes the server. */
export interface Fragment {
  /**
   * Fixed text; it must never contain anything that a host or a definition gives. It finds its values as `$1`, `$2`, …
   * and must `shift` them away. A failure is ignored, or ends the start by a `refusal`.
   */
  readonly script: string;
  readonly values: readonly string[];
}

/** A program to start, with its arguments. */
export interface CommandLine {
  readonly file: string;
  readonly args: readonly string[];
}

/** The command line of a shell that becomes a command. */
export interface WrappedCommand extends CommandLine {
  /** The name of the shell, for `wrapperRefusal`. */
  readonly wrapper: string;
}

/** A shell that was probed. */
export interface Shell {
  readonly path: string;
  /** Whether it can set the limit that marks an instance. False where the hard limit was lowered. */
  readonly rlimits: boolean;
}

/**
 * The shell's messages begin with its name. So its message that it cannot start the command is recognized. The name ends
 * with a random word for each start: the command never sees it, so it cannot write such a message.
 */
const WRAPPER_NAME = 'mcp-server-pool';
const REFUSAL = 'containment: ';

/**
 * The command line of a shell that runs the fragments and then becomes the command, with the same pid. `file` must be
 * an absolute path, so that the shell looks nothing up. Only fixed text is script; everything else is an argument.
 */
export function wrap(shell: Shell, fragments: readonly Fragment[], { file, args }: CommandLine): WrappedCommand {
  const wrapper = `${WRAPPER_NAME}-${randomBytes(8).toString('hex')}`;
  const script = [...fragments.map((fragment) => fragment.script), 'exec "$@"'].filter((part) => part !== '');
  const values = fragments.flatMap((fragment) => fragment.values);
  return { file: shell.path, args: ['-c', script.join('; '), wrapper, ...values, file, ...args], wrapper };
}

/**
 * Why the shell could not become the command; undefined when the server itself has exited. The exit code alone is not
 * enough: a server that is a script may exit with 126 or 127 as well.
 */
export function wrapperRefusal(wrapper: string, exitCode: number | null, stderr: string): StartRefusal | undefined {
  if (exitCode !== 126 && exitCode !== 127) return undefined;
  const [line = ''] = stderr.split('\n', 1);
  if (!line.startsWith(`${wrapper}: `)) return undefined;
  const words = line.slice(wrapper.length + 2);
  return words.startsWith(REFUSAL)
    ? { code: 'CONTAINMENT_UNAVAILABLE', reason: words.slice(REFUSAL.length) }
    : { code: 'SPAWN_FAILED', reason: words };
}

/**
 * Script text by which a fragment ends the start. `reason` is fixed text that stands in double quotes; `$1` is a value
 * in it.
 */
export const refusal = (reason: string) => `{ echo "$0: ${REFUSAL}${reason}" >&2; exit 126; }`;

const SHELL = '/bin/sh';
const PROBE_TIMEOUT = 2_000;
/** Any value as large as a mark. */
const PROBE_VALUE = (1n << 62n) - 2n;

/** The limit of file locks is `-w` in dash, `-x` in bash and busybox. */
const SET_LOCKS = 'ulimit -S -w "$1" 2>/dev/null || ulimit -S -x "$1" 2>/dev/null';

/** Sets the soft limit of file locks. */
export function limitLocks(value: bigint): Fragment {
  if (value < 0n || value >> 62n !== 0n) throw new RangeError(`a marker has 62 bits, not ${value}`);
  return { script: `${SET_LOCKS}; shift`, values: [value.toString()] };
}

/** What shells add to the environment by themselves. bash keeps SHLVL nevertheless. */
const SHELL_VARIABLES = ['PWD', 'OLDPWD', 'SHLVL', 'PATH', '_'] as const;

/**
 * Removes what the shell has added to the environment, so that the server gets exactly the environment of its
 * definition.
 */
export function cleanEnvironment(env: Readonly<Record<string, string>>): Fragment {
  const added = SHELL_VARIABLES.filter((name) => !Object.hasOwn(env, name));
  return { script: added.map((name) => `unset ${name}`).join('; '), values: [] };
}

/** Variables that a shell sets itself, or drops. */
const SHELL_STATE =
  /^(IFS|OPTIND|OPTERR|PPID|LINENO|RANDOM|SRANDOM|SECONDS|HISTCMD|EPOCHSECONDS|EPOCHREALTIME|SHELLOPTS|BASH.*)$/;

/**
 * Whether this environment passes through a shell unchanged. dash drops names that are no shell variables. Variables of
 * an interactive shell (PS1, `_`) may get lost: hosts pass them on by accident only.
 */
export function survivesShell(env: Readonly<Record<string, string>>): boolean {
  return Object.keys(env).every((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !SHELL_STATE.test(name));
}

/**
 * The errno that a direct spawn of this file would report for its interpreter, or undefined. Checked before the start,
 * because behind a shell the spawn itself succeeds.
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

/** The interpreter in the first line of a script (`#!`), if it is an absolute path. */
function interpreterOf(file: string): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const start = Buffer.alloc(256);
    const text = start.toString('utf8', 0, readSync(descriptor, start, 0, start.length, 0));
    // Without a line end the path may be cut off.
    return text.includes('\n') ? /^#![ \t]*(\/[^\s]+)/.exec(text)?.[1] : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

let probed: { readonly shell: Shell | undefined } | undefined;

/** The shell of this machine; undefined if it cannot be used. Probed once, by the first start. */
export function usableShell(): Shell | undefined {
  if (probed) return probed.shell;
  const result = probeShell(SHELL);
  if (result === 'unknown') return undefined;
  probed = { shell: result };
  return result;
}

/** `unknown` when the probe could not run for lack of resources: the next start probes again. */
export function probeShell(path: string): Shell | undefined | 'unknown' {
  const script = `${SET_LOCKS} || exit 3
while read -r line; do case "$line" in "Max file locks "*" $1 "*) exit 0;; esac; done </proc/self/limits
exit 3`;
  const args = ['-c', script, WRAPPER_NAME, PROBE_VALUE.toString()];
  const { error, status } = spawnSync(path, args, { env: {}, stdio: 'ignore', timeout: PROBE_TIMEOUT });
  if (error) return ['ENOENT', 'EACCES', 'ENOEXEC', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? undefined : 'unknown';
  return status === 0 || status === 3 ? { path, rlimits: status === 0 } : undefined;
}
