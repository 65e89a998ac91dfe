import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError, PoolErrorCode, PoolErrorData } from '../errors.js';
import type { ExitInfo, StartRefusal } from '../process/launcher.js';
import type { Noise } from '../protocol/channels/noise.js';
import type { Secrets } from './secrets.js';
import { stderrReason } from './stderr-reason.js';

/** An instance that exited. */
interface Exited {
  readonly definition: Pick<ResolvedDefinition, 'cgroupLimits' | 'giveUpGrace' | 'startTimeout'>;
  /** Without the secrets of its definition. */
  readonly stderrTail: string;
  readonly secrets: Secrets;
  readonly noise: Noise;
  error(code: PoolErrorCode, what: string, more?: PoolErrorData): PoolError;
}

/** The error of an instance that could not be spawned, or that exited by itself: during its start, or later. */
export function exitError(
  instance: Exited,
  exit: ExitInfo,
  wasStarting: boolean,
  refusal: StartRefusal | undefined,
): PoolError {
  if (refusal) return instance.error(refusal.code, `could not be started: ${instance.secrets.hideIn(refusal.reason)}`);
  const { how, why } = describeExit(exit, instance.definition);
  const when = wasStarting ? ' before it was ready' : ', which the pool did not ask for';
  const stdout = wasStarting && instance.noise.count > 0 ? `; it${dropped(instance.noise)}` : '';
  return instance.error('SERVER_EXITED', `${how}${when}${why || onStderr(instance, exit)}${stdout}`);
}

/** The error of an instance that answers nothing any more, not even a ping. */
export function stuckError(instance: Exited): PoolError {
  const grace = instance.definition.giveUpGrace;
  return instance.error(
    'SERVER_UNRESPONSIVE',
    `was ended by the pool (stuck): after a request was given up it answered nothing for ${grace} ms, and then no ping within ${grace} ms (giveUpGrace); find out what that request makes it do, or raise giveUpGrace`,
  );
}

/** The error of an instance that does not answer its health checks. @param why the end of the sentence */
export function unhealthyError(instance: Exited, why: string): PoolError {
  return instance.error(
    'SERVER_UNRESPONSIVE',
    `was ended by the pool (unhealthy): ${instance.secrets.hideIn(why)} (health)`,
  );
}

/**
 * The error of an instance that did not answer in time.
 * @param kept names of variables that it may have needed to reach a network, and did not get
 */
export function startTimeout(
  instance: Exited,
  kept: readonly string[],
  readiness?: { readonly lastFailure: string },
): PoolError {
  const { startTimeout: after } = instance.definition;
  const reason = stderrReason(instance.stderrTail);
  const stderr = reason?.isError ? `; on stderr: ${reason.line}` : '';
  const stdout = instance.noise.count > 0 ? ` and${dropped(instance.noise)}` : '';
  if (readiness) {
    const failure = instance.secrets.hideIn(readiness.lastFailure);
    const why = `was not ready within ${after} ms: its readyCheck did not pass (${failure})${stderr}; mend the check, or raise startTimeout`;
    return instance.error('START_TIMEOUT', why, { after });
  }
  const what = `did not answer initialize within ${after} ms${stdout}${stderr}; check that command and args start an MCP server on stdio, or raise startTimeout${network(kept)}; a server that knows older protocol versions only may need protocolVersion`;
  return instance.error('START_TIMEOUT', what, { after });
}

/**
 * The error of an instance that could not be spawned in time.
 * @param what it has waited for
 * @param kept as for {@link startTimeout}
 */
export function preparationTimeout(instance: Exited, what: string, kept: readonly string[]): PoolError {
  const { startTimeout: after } = instance.definition;
  const why = `was not started within ${after} ms: it waited for ${what}; call prefetch() before anybody waits, or raise startTimeout${network(kept)}`;
  return instance.error('START_TIMEOUT', why, { after });
}

/** What to do about variables that a server did not get, as a part of a sentence. */
function network(kept: readonly string[]): string {
  return kept.length === 0 ? '' : `; if it needs the network first, as npx does, name ${kept.join(', ')} in inheritEnv`;
}

/** What a server wrote to stdout instead of messages, as a part of a sentence. */
function dropped({ skippedLines, unmatchedAnswers, first }: Noise): string {
  const counts = [
    ...(skippedLines > 0 ? [` wrote ${skippedLines} lines to stdout that are no messages`] : []),
    ...(unmatchedAnswers > 0 ? [` sent ${unmatchedAnswers} answers that belong to no request`] : []),
  ];
  return `${counts.join(' and')} (${first.map((line) => `"${line}"`).join(', ')}${skippedLines + unmatchedAnswers > first.length ? ', …' : ''})`;
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
function onStderr({ stderrTail }: Exited, { signal }: ExitInfo): string {
  const reason = stderrReason(stderrTail);
  if (reason?.isError) return `; on stderr: ${reason.line}`;
  // A program that was ended by a signal had no time to say so: its last line is about something else.
  if (signal !== null) return '';
  return reason === undefined ? '; it wrote nothing to stderr' : `; its last line on stderr: ${reason.line}`;
}
