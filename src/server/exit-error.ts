import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError, PoolErrorCode, PoolErrorData } from '../errors.js';
import type { ExitInfo, StartRefusal } from '../process/launcher.js';
import type { Secrets } from './secrets.js';
import { stderrReason } from './stderr-reason.js';

/** An instance that exited. */
interface Exited {
  readonly definition: Pick<ResolvedDefinition, 'cgroupLimits'>;
  readonly stderrTail: string;
  readonly secrets: Secrets;
  error(code: PoolErrorCode, what: string): PoolError;
}

/** The error of an instance that could not be spawned, or that exited by itself: during its start, or later. */
export function exitError(
  instance: Exited,
  exit: ExitInfo,
  wasStarting: boolean,
  refusal: StartRefusal | undefined,
): PoolError {
  if (refusal) return instance.error(refusal.code, `could not be started: ${refusal.reason}`);
  const { how, why } = describeExit(exit, instance.definition);
  const when = wasStarting ? ' before it was ready' : ', which the pool did not ask for';
  return instance.error('SERVER_EXITED', `${how}${when}${why || onStderr(instance, exit)}`);
}

/** An instance that starts. */
interface Starting {
  readonly definition: Pick<ResolvedDefinition, 'startTimeout'>;
  readonly skippedLines: number;
  error(code: PoolErrorCode, what: string, data: PoolErrorData): PoolError;
}

/** The error of an instance that was not ready in time. */
export function startTimeout(instance: Starting): PoolError {
  const { startTimeout: after } = instance.definition;
  const { skippedLines } = instance;
  const noise = skippedLines > 0 ? ` and wrote ${skippedLines} lines to stdout that are no messages` : '';
  const advice =
    'check that command and args start an MCP server on stdio, or raise startTimeout; a server that knows older protocol versions only may need protocolVersion';
  return instance.error('START_TIMEOUT', `did not answer initialize within ${after} ms${noise}; ${advice}`, { after });
}

/** How a process ended and, where the kernel reports it, why: as parts of a sentence. */
export function describeExit(
  { exitCode, signal, outOfMemory, processLimitHit }: ExitInfo,
  { cgroupLimits: { memoryMB, processes } }: Pick<ResolvedDefinition, 'cgroupLimits'>,
): { how: string; why: string } {
  const how = signal === null ? `exited with code ${exitCode}` : `was ended by ${signal}`;
  if (outOfMemory) {
    const limit =
      memoryMB === undefined
        ? 'the memory of the machine, or of a cgroup around it, was used up'
        : `its cgroup reached memory.max; raise cgroupLimits.memoryMB (${memoryMB})`;
    return { how, why: `: the kernel killed a process of it because ${limit}` };
  }
  if (processLimitHit) {
    const limit = processes === undefined ? '' : `; raise cgroupLimits.processes (${processes})`;
    return { how, why: `, after it could not start a process because its cgroup reached pids.max${limit}` };
  }
  return { how, why: '' };
}

/** Why it exited, in its own words, as the end of a sentence. */
function onStderr({ stderrTail, secrets }: Exited, { signal }: ExitInfo): string {
  const reason = stderrReason(secrets.hideIn(stderrTail));
  if (reason?.isError) return `; on stderr: ${reason.line}`;
  // A program that was ended by a signal had no time to say so: its last line is about something else.
  if (signal !== null) return '';
  return reason === undefined ? '; it wrote nothing to stderr' : `; its last line on stderr: ${reason.line}`;
}
