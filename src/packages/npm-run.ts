import type { ResolvedContainment } from '../config/containment-options.js';
import { isLocal, type Launcher, type ServerProcess } from '../process/launcher.js';
import type { ProcessRegistry } from '../process/process-registry.js';
import { deferred } from '../runtime/deferred.js';

/** One run of npm. */
export interface NpmCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly resolvedEnv: Readonly<Record<string, string>>;
}

/** What npm runs with. */
export interface NpmSurroundings {
  readonly launcher: Launcher;
  readonly registry: ProcessRegistry;
  /** When it is aborted, an end that is under way goes to SIGKILL at once. */
  readonly hurry: AbortSignal;
}

export interface NpmResult {
  readonly exitCode: number | null;
  /** The end of what it wrote. It may have secrets. */
  readonly stderr: string;
}

/** As that of a server by default: install scripts start what they like. */
const CONTAINMENT: ResolvedContainment = {
  containment: 'auto',
  markers: { environment: true, rlimit: true },
  rlimits: { openFiles: undefined, processes: undefined, addressSpaceMB: undefined, core: undefined },
  noNewPrivileges: false,
  cgroupLimits: { memoryMB: undefined, swapMB: undefined, processes: undefined, cpuPercent: undefined },
};
/** npm has no stdin to read to its end. */
const GRACES = { eofGrace: 0, termGrace: 2_000 };

/**
 * Runs npm, held together as a server is, and ends whatever it leaves. When `signal` is aborted its whole tree is ended first.
 * Its stdin is empty, so it asks nothing.
 * @throws PoolError when it could not be started
 */
export async function runNpm(
  { command, args, cwd, resolvedEnv }: NpmCommand,
  { launcher, registry, hurry }: NpmSurroundings,
  signal: AbortSignal,
): Promise<NpmResult> {
  signal.throwIfAborted();
  const exited = deferred<number | null>();
  const name = 'npm';
  const spec = { name, kind: 'command', command, args, cwd, resolvedEnv, ...CONTAINMENT, ...GRACES } as const;
  const npm = launcher.launch(spec, {
    onSpawn() {},
    onSpawnError: exited.reject,
    onExit: ({ exitCode }) => exited.resolve(exitCode),
    onStderrLine() {},
    wantsStderr: () => false,
  });
  const entry = isLocal(npm.identity) ? registry.add({ name, ...npm.identity }) : undefined;
  const abort = deferred<null>();
  const onAbort = () => abort.resolve(null);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    npm.stdin.end();
    npm.stdout.resume();
    const exitCode = await Promise.race([exited.promise, abort.promise]);
    await endTree(npm, hurry);
    await npm.drained();
    return { exitCode: signal.aborted ? null : exitCode, stderr: npm.stderrTail };
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Handled above, unless it was aborted first.
    exited.promise.catch(() => {});
    if (entry) registry.remove(entry.id);
  }
}

/** How often it is tried to read the processes of the machine (EMFILE). */
const MOST_TRIES = 3;

async function endTree(npm: ServerProcess, hurry: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await npm.end({ mode: tries === 1 ? 'graceful' : 'emergency', signal: hurry });
      return;
    } catch (error) {
      if (tries === MOST_TRIES) throw error;
    }
  }
}
