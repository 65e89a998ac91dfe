import type { ResolvedDefinition } from '../config/options.js';
import type { ExitInfo } from '../process/launcher.js';

/** How a process ended, and, where the kernel says so, why: as parts of a sentence. */
export function wordsOf(
  { exitCode, signal, outOfMemory, processLimitHit }: ExitInfo,
  { cgroupLimits: { memoryMB, processes } }: Pick<ResolvedDefinition, 'cgroupLimits'>,
): { how: string; why: string } {
  const how = signal === null ? `exited with code ${exitCode}` : `was ended by ${signal}`;
  if (outOfMemory) {
    const limit =
      memoryMB === undefined
        ? 'of the machine, or of a group around it, was used up'
        : `reached its memory.max; raise cgroupLimits.memoryMB (${memoryMB})`;
    return { how, why: `: the kernel killed a process of it since its memory ${limit}` };
  }
  if (processLimitHit) {
    const limit = processes === undefined ? '' : `; raise cgroupLimits.processes (${processes})`;
    return { how, why: `, after it could not start a process since its pids.max was reached${limit}` };
  }
  return { how, why: '' };
}

/** The last line of stderr, which mostly says why: as the end of a sentence. */
export function lastWords(stderrTail: string): string {
  const last = stderrTail.trimEnd().split('\n').at(-1) ?? '';
  return last === '' ? '; it wrote nothing to stderr' : `; its last words: ${last.slice(0, 300)}`;
}
