import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve, sep } from 'node:path';
import { PoolError } from '../../errors.js';

/** What a start needs to be looked up. */
interface CommandRequest {
  readonly name: string;
  readonly command: string;
  readonly cwd: string | undefined;
  readonly resolvedEnv: Readonly<Record<string, string>>;
}

/** What Windows appends to a name: `npx` is `npx.cmd` there, beside a script for shells of the name `npx`. */
const EXTENSIONS =
  process.platform === 'win32' ? (process.env.PATHEXT ?? '.COM;.EXE;.BAT;.CMD').split(';').filter(Boolean) : [];

/**
 * Finds the file that `command` means, as `execvp` would (on Windows with `extensions`): a name in the PATH of the server's
 * own environment, a path against its working directory. Looked up before the spawn, because the spawn's ENOENT does not
 * say whether the command, its interpreter or the working directory is missing.
 * @throws PoolError `CWD_NOT_FOUND`, `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`
 */
export function resolveCommand(
  { name, command, cwd, resolvedEnv }: CommandRequest,
  extensions: readonly string[] = EXTENSIONS,
): string {
  if (cwd !== undefined && !look(cwd)?.isDirectory()) {
    throw new PoolError(
      'CWD_NOT_FOUND',
      `server '${name}': its cwd '${cwd}' is not a directory that can be reached; create it, or correct cwd in the definition`,
      { name, errno: 'ENOENT' },
    );
  }
  const isPath = command.includes('/') || command.includes(sep) || isAbsolute(command);
  const folders = isPath ? [] : (resolvedEnv.PATH ?? '').split(delimiter);
  // An empty entry of PATH means the working directory.
  const places = isPath
    ? [resolve(cwd ?? '.', command)]
    : folders.map((folder) => join(resolve(cwd ?? '.', folder), command));
  const candidates = places.flatMap((place) => withExtensions(place, isPath, extensions));
  let forbidden: string | undefined;
  for (const file of candidates) {
    if (!look(file)?.isFile()) continue;
    if (isExecutable(file)) return file;
    forbidden ??= file;
  }
  if (forbidden !== undefined) {
    throw new PoolError(
      'COMMAND_NOT_EXECUTABLE',
      `server '${name}': '${forbidden}' may not be executed; make it executable (chmod +x), or name its interpreter as command`,
      { name, errno: 'EACCES' },
    );
  }
  throw new PoolError(
    'COMMAND_NOT_FOUND',
    isPath
      ? `server '${name}': there is no file '${places[0]}'; correct command in the definition`
      : `server '${name}': '${command}' is in none of the ${folders.length} folders of its PATH; install it, give its absolute path as command, or set env.PATH`,
    { name, errno: 'ENOENT' },
  );
}

/** A file without any of the extensions is no program of Windows; only one that was named by its path may be meant. */
function withExtensions(place: string, isPath: boolean, extensions: readonly string[]): string[] {
  const complete = extensions.some((extension) => place.toLowerCase().endsWith(extension.toLowerCase()));
  if (extensions.length === 0 || complete) return [place];
  const extended = extensions.map((extension) => place + extension);
  return isPath ? [...extended, place] : extended;
}

/** A folder of PATH that may not be searched (EACCES) is passed over, as `execvp` does. */
function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Whether this user may run it. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
