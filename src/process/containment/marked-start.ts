import { environmentValue, type InstanceMark, MARK_VARIABLE, rlimitValue } from './marker.js';
import {
  type CommandLine,
  cleanEnvironment,
  interpreterProblem,
  limitLocks,
  type Shell,
  survivesShell,
  usableShell,
  wrap,
} from './wrapper.js';

/** Which markers the processes of a server get. */
export interface MarkerChoice {
  /** A variable of the environment: lost with `env -i`, unreadable of processes that are not dumpable. */
  readonly environment: boolean;
  /** A limit of no meaning: needs a shell. Survives nearly everything. */
  readonly rlimit: boolean;
}

export interface StartRequest extends CommandLine {
  readonly env: Readonly<Record<string, string>>;
}

export interface MarkedStart extends StartRequest {
  /** Which markers it bears. */
  readonly markers: MarkerChoice;
}

/**
 * How a server is started so that all that descends from it bears its mark. The definition stays as it is: neither its key
 * nor what is told about it knows the mark.
 * @throws with an errno, as the spawn itself would, when the interpreter of the command is missing
 */
export function markedStart(
  request: StartRequest,
  mark: InstanceMark,
  choice: MarkerChoice,
  findShell: () => Shell | undefined = usableShell,
): MarkedStart {
  const { file, args } = request;
  const env = choice.environment ? { ...request.env, [MARK_VARIABLE]: environmentValue(mark) } : request.env;
  const shell = choice.rlimit && survivesShell(request.env) ? findShell() : undefined;
  if (!shell?.rlimits) return { file, args, env, markers: { environment: choice.environment, rlimit: false } };
  const errno = interpreterProblem(file);
  if (errno) throw Object.assign(new Error(`${errno}: the interpreter of ${file}`), { code: errno });
  const line = wrap(shell, [limitLocks(rlimitValue(mark)), cleanEnvironment(env)], { file, args });
  return { ...line, env, markers: { environment: choice.environment, rlimit: true } };
}
