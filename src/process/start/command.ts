import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve, sep } from 'node:path';
import { errnoOf, messageOf, namesOf, PoolError, type ServerNames, titleOf } from '../../errors.js';
import type { LaunchSpec } from '../launcher.js';

/**
 * Finds the file that `command` names, as `execvp` does (on Windows with `extensions`): a name in the PATH of the
 * server's own environment, a path relative to its working directory. Done before the spawn, because ENOENT of the
 * spawn does not say whether the command, its interpreter or the working directory is missing.
 * @throws PoolError `CWD_NOT_FOUND`, `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`
 */
export function resolveCommand(request: CommandRequest, extensions: readonly string[] = extensionsOfHost()): string {
  const { command, cwd, resolvedEnv } = request;
  const server = titleOf(request);
  if (cwd !== undefined && !statOf(cwd)?.isDirectory()) {
    throw new PoolError(
      'CWD_NOT_FOUND',
      `${server}: its cwd '${cwd}' is not a directory that can be reached; ${
        pathHint(cwd) ?? 'create it, or correct cwd in the definition'
      }`,
      { ...namesOf(request), errno: 'ENOENT' },
    );
  }
  const isPath = command.includes('/') || command.includes(sep) || isAbsolute(command);
  const folders = isPath ? [] : (resolvedEnv.PATH ?? '').split(delimiter);
  // An empty entry in PATH means the working directory.
  const places = isPath
    ? [resolve(cwd ?? '.', command)]
    : folders.map((folder) => join(resolve(cwd ?? '.', folder), command));
  const candidates = places.flatMap((place) => withExtensions(place, isPath, extensions));
  let forbidden: string | undefined;
  for (const file of candidates) {
    if (!statOf(file)?.isFile()) continue;
    if (isExecutable(file)) return file;
    forbidden ??= file;
  }
  if (forbidden !== undefined) {
    throw new PoolError(
      'COMMAND_NOT_EXECUTABLE',
      `${server}: '${forbidden}' may not be executed; make it executable (chmod +x), or name its interpreter as command`,
      { ...namesOf(request), errno: 'EACCES' },
    );
  }
  const hint = commandHint(command);
  const shown = shownCommand(command);
  throw new PoolError(
    'COMMAND_NOT_FOUND',
    isPath
      ? `${server}: there is no file '${hint ? shown : places[0]}'; ${hint ?? 'correct command in the definition'}`
      : `${server}: '${shown}' is in none of the ${folders.length} folders of its PATH; ${hint ?? 'install it, give its absolute path as command, or set env.PATH'}`,
    { ...namesOf(request), errno: 'ENOENT' },
  );
}

type CommandRequest = ServerNames & Pick<LaunchSpec, 'command' | 'cwd' | 'resolvedEnv'>;

/**
 * What Windows appends to a command: `npx` is `npx.cmd` there; the file `npx` beside it is a script for POSIX shells.
 */
function extensionsOfHost(): readonly string[] {
  return process.platform === 'win32' ? (process.env.PATHEXT ?? '.COM;.EXE;.BAT;.CMD').split(';').filter(Boolean) : [];
}

/** On Windows a file without one of the extensions is no program, unless the definition names its path. */
function withExtensions(place: string, isPath: boolean, extensions: readonly string[]): string[] {
  const complete = extensions.some((extension) => place.toLowerCase().endsWith(extension.toLowerCase()));
  if (extensions.length === 0 || complete) return [place];
  const extended = extensions.map((extension) => place + extension);
  return isPath ? [...extended, place] : extended;
}

/** Ignores errors: a folder of PATH that may not be searched (EACCES) is skipped, as by `execvp`. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Whether this user may execute the file. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  E2BIG: 'its args and env are larger than the operating system allows; pass large data in a file',
  EMFILE: 'this host has no file descriptor left; raise its limit (ulimit -n), or lower limits.maxProcesses',
  ENFILE: 'the machine has no file descriptor left',
  EAGAIN:
    'the limit of processes is reached (ulimit -u, or pids.max of the container); lower limits.maxProcesses or raise it',
  ENOMEM: 'the machine has no memory left for another process',
  ENOENT: 'the interpreter named in its first line (#!) does not exist',
  ENOEXEC: 'it is no program; a script needs a first line that names its interpreter (#!)',
  EACCES: 'it, or the interpreter named in its first line (#!), may not be executed',
};

/** The error for a start that the operating system refused: what the errno means, and what to do about it. */
export function spawnError(spec: ServerNames & Pick<LaunchSpec, 'command'>, error: unknown): PoolError {
  const errno = errnoOf(error);
  const why = (errno && ADVICE[errno]) ?? messageOf(error);
  return new PoolError(
    'SPAWN_FAILED',
    `${titleOf(spec)}: '${spec.command}' could not be started${errno ? ` (${errno})` : ''}: ${why}`,
    { ...namesOf(spec), errno },
    // Without a cause: Node's error contains all arguments, which may be large, or secret.
  );
}

/** What a shell would replace or do; here nothing does. */
const SHELL_SYNTAX = /[|&;<>`]/;
const VARIABLE = /\$\{?\w|%\w+%/;

/**
 * The part of a command that may be shown: what follows the first blank, or a `NAME=` before it, was meant as arguments or
 * variables, which may be secret.
 */
function shownCommand(command: string): string {
  const [first = '', rest] = command.trim().split(/\s+(.*)/s, 2);
  const word = first.replace(/^(\w+)=.*/s, '$1=…');
  return rest ? `${word} …` : word;
}

/** What is probably wrong with a command that was not found; undefined when nothing can be said. */
function commandHint(command: string): string | undefined {
  if (command !== command.trim()) return 'command begins or ends with a blank; remove it';
  if (/^['"]/.test(command)) return 'command is not read by a shell; leave the quotes out';
  if (/^\w+=/.test(command)) return 'command is not read by a shell; put variables into env';
  if (SHELL_SYNTAX.test(command))
    return `command is not read by a shell; use command: 'sh' and args: ['-c', '…'] if it needs one`;
  const path = pathHint(command);
  if (path !== undefined) return path;
  // A path may contain blanks; that of a program with arguments has its blank after the name of the program.
  return /\s/.test(command)
    ? `put the program alone into command ('${command.split(/\s/, 1)[0]}'), and the rest into args`
    : undefined;
}

/** The same for a working directory. */
function pathHint(path: string): string | undefined {
  if (/^~(\/|\\|$)/.test(path) || /^~\w+/.test(path))
    return "'~' is not replaced; write the absolute path, such as join(os.homedir(), '…')";
  if (VARIABLE.test(path)) return 'variables are not replaced; write the value in its place';
  return /^file:/.test(path) ? 'it is a URL; pass a path (fileURLToPath)' : undefined;
}
