import type { ChildProcess, StdioOptions } from 'node:child_process';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import spawn from 'cross-spawn';
import { errnoOf, namesOf, PoolError, titleOf } from '../../errors.js';
import { turnsOfEventLoop } from '../../runtime/event-loop.js';
import { noteMissingCgroup } from '../cgroup/cgroup-choice.js';
import { forgetCgroups } from '../cgroup/cgroup-probe.js';
import { spawnWithDescriptors } from '../descriptors.js';
import type { Watch } from '../guardian/host-guard.js';
import type {
  ContainmentLevel,
  EndOptions,
  Launcher,
  LaunchSpec,
  LocalIdentity,
  ProcessHandlers,
  ServerProcess,
  SignalReach,
  StartRefusal,
} from '../launcher.js';
import { environmentMatches } from '../marks/marker.js';
import type { Platform } from '../platform.js';
import { identify, type ProcessRow, type ProcessTable } from '../process-table.js';
import type { EndMode, Graces, TerminationReport, TreePlan } from '../termination-report.js';
import { forgetAtExit, killAtExit } from '../tree/kill-at-exit.js';
import { LocalTree } from '../tree/local-tree.js';
import type { LeaderState, TreeActivity } from '../usage/tree-activity.js';
import type { DetailedUsage, TreeUsage } from '../usage/tree-usage.js';
import { wrapperRefusal } from '../wrapper.js';
import { streamEnd, unrefStream } from './child-streams.js';
import { resolveCommand, spawnError } from './command.js';
import { type ContainedStart, containedStart } from './contained-start.js';
import { StderrTail } from './stderr-tail.js';

/** How much of the end of stderr is kept for errors and events, bytes. */
const STDERR_TAIL = 65_536;
/** How long output streams are read after the exit, ms. Only a helper that holds them open would need longer. */
const DRAIN_GRACE = 100;
/** In how many turns of the event loop all that a dead process has left in its pipes is read, and their end. */
const DRAIN_TURNS = 4;

/** Without a guardian: nothing ends the server when the host is killed. */
const UNWATCHED: Watch = { started: () => {}, groupLeft: () => {}, ended: () => {} };

/** Where servers are started. */
export interface LocalOptions {
  /** The cgroup below which they get theirs. */
  readonly cgroupParent?: string | undefined;
  /** Called before each start: makes what ends the server when the host is killed. Default: nothing does. */
  readonly watch?: () => Watch;
}

/** Starts servers as child processes of this host. */
export function localLauncher(
  platform: Platform,
  { cgroupParent, watch = () => UNWATCHED }: LocalOptions = {},
): Launcher {
  return {
    launch(spec, handlers) {
      const watched = watch();
      try {
        return new LocalProcess(spec, handlers, platform, cgroupParent, watched);
      } catch (error) {
        watched.ended();
        throw error;
      }
    },
  };
}

/** One child process: its streams and its events. {@link LocalTree} ends its tree. */
class LocalProcess implements ServerProcess {
  readonly pid: number | undefined;
  readonly identity: LocalIdentity | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  readonly #child: ChildProcess;
  readonly #spec: LaunchSpec;
  readonly #start: ContainedStart;
  /** Whether it has joined its cgroup. */
  #joined: boolean;
  /** Ends it when the host is killed. */
  readonly #watch: Watch;
  readonly #stderr = new StderrTail(STDERR_TAIL);
  /** Undefined when nothing was started: then there is nothing to end. */
  readonly #tree: LocalTree | undefined;
  /** What is done in the last tick of the host. */
  readonly #lastResort = { killNow: () => this.#tree?.killAll() };
  #drained: Promise<void> | undefined;

  constructor(
    spec: LaunchSpec,
    handlers: ProcessHandlers,
    platform: Platform,
    cgroupParent: string | undefined,
    watch: Watch,
  ) {
    this.#spec = spec;
    this.#watch = watch;
    this.#start = prepare(spec, platform, cgroupParent);
    this.#child = spawnChild(spec, this.#start, platform);
    const { pid } = this.#child;
    this.pid = pid;
    // When descriptors run out (EMFILE), Node makes no streams; these replace them, and stay silent.
    this.stdin = this.#child.stdin ?? new PassThrough();
    this.stdout = this.#child.stdout ?? new PassThrough();
    this.stderr = this.#child.stderr ?? undefined;
    // Read in the same tick: Node collects the child only later, so the table shows it even if it is dead already.
    this.identity = identityOf(platform.table, pid);
    if (this.identity) {
      this.#tree = new LocalTree({
        leader: this.identity,
        start: this.#start,
        platform,
        closeStdin: () => this.stdin.end(),
        onDead: () => this.#onDead(),
        onGroupLeft: () => this.#watch.groupLeft(),
      });
    }
    this.#listen(handlers);
    if (pid !== undefined && this.#tree === undefined) this.#refuseUnknown();
    this.#joined = !this.#start.joinsLater;
    if (this.#start.joinsLater) void this.#joinCgroup(platform);
    if (this.#tree) killAtExit(this.#lastResort);
    if (this.identity) watch.started(this.identity);
    // A pool does not keep its host alive; pending calls do that by a KeepAlive.
    this.#child.unref();
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) unrefStream(stream);
  }

  get stderrTail(): string {
    return this.#stderr.toString();
  }

  get containment(): ContainmentLevel {
    const { cgroup, mark, containment } = this.#start;
    if (containment === 'group') return 'group';
    return cgroup && this.#joined ? 'cgroup' : mark ? 'markers' : 'tree';
  }

  get refusal(): StartRefusal | undefined {
    const { wrapper } = this.#start;
    return wrapper === undefined ? undefined : wrapperRefusal(wrapper, this.#child.exitCode, this.stderrTail);
  }

  drained(): Promise<void> {
    this.#drained ??= Promise.race([
      Promise.all([streamEnd(this.#child.stdout), streamEnd(this.#child.stderr)]),
      // A host that was held up finds the grace over before it has read anything.
      new Promise((resolve) => setTimeout(resolve, DRAIN_GRACE).unref()).then(() => turnsOfEventLoop(DRAIN_TURNS)),
    ]).then(() => {
      this.#destroyStreams();
      // The host may have been moved to another cgroup since the probe.
      if (this.refusal?.code === 'CONTAINMENT_UNAVAILABLE') forgetCgroups();
    });
    return this.#drained;
  }

  end({ graces = this.#spec, ...how }: EndOptions): Promise<TerminationReport> {
    if (this.#tree) return this.#tree.end(how, graces);
    return Promise.resolve({ pid: this.pid ?? 0, endedBy: 'exit', steps: [], duration: 0, survivors: [] });
  }

  plan(mode: EndMode, graces: Graces): TreePlan {
    return this.#tree?.plan(mode, graces) ?? { steps: [], processes: [] };
  }

  async usage(): Promise<TreeUsage | undefined> {
    return this.#tree?.usage();
  }

  async detailedUsage(): Promise<DetailedUsage | undefined> {
    return this.#tree?.detailedUsage();
  }

  leaderState(): LeaderState {
    return this.#tree?.leaderState() ?? 'gone';
  }

  async activity(): Promise<TreeActivity | undefined> {
    return this.#tree?.activity();
  }

  killNow(): void {
    this.#tree?.killNow();
  }

  signal(signal: NodeJS.Signals, reach: SignalReach): boolean {
    return this.#tree?.signal(signal, reach) ?? false;
  }

  #onDead(): void {
    // Node may report an exit before it has read what the process wrote, when the exit of another child wakes it up.
    void turnsOfEventLoop(DRAIN_TURNS).then(() => this.#destroyStreams());
    this.#start.cgroup?.remove();
    forgetAtExit(this.#lastResort);
    this.#watch.ended();
  }

  /** Moves the tree into its cgroup, unless the server has ended before. */
  async #joinCgroup({ table, marks }: Platform): Promise<void> {
    const { cgroup, mark } = this.#start;
    const leader = this.identity;
    if (cgroup === undefined || leader === undefined) return;
    const hasExited = () => this.#child.exitCode !== null || this.#child.signalCode !== null;
    const isMarked = ({ pid }: ProcessRow) => mark !== undefined && environmentMatches(marks?.(pid)?.marks ?? [], mark);
    try {
      this.#joined = await cgroup.adopt({ leader, hasExited, table, isMarked });
      if (!this.#joined) noteMissingCgroup('another process got the number of a server, and stayed in its cgroup');
    } catch (error) {
      if (!hasExited())
        noteMissingCgroup(`a server could not be taken into its cgroup (${errnoOf(error) ?? 'unknown'})`);
    }
  }

  #listen(handlers: ProcessHandlers): void {
    const child = this.#child;
    child.once('spawn', () => handlers.onSpawn());
    child.on('error', (error) => {
      // Node also emits it for a failed kill(), which says nothing about the start.
      if (child.pid !== undefined) return;
      this.#watch.ended();
      this.#start.cgroup?.remove();
      handlers.onSpawnError(spawnError(this.#spec, error));
    });
    // `exit`, not `close`: a helper that holds stdout delays `close`, perhaps for ever.
    child.once('exit', (exitCode, signal) => {
      if (this.#tree) this.#tree.leaderExited();
      else this.#start.cgroup?.remove();
      handlers.onExit({ exitCode, signal, ...this.#start.cgroup?.verdict() });
    });
    // The writer learns of EPIPE and similar errors by its callback; without a listener they would crash the host.
    child.stdin?.on('error', () => {});
    child.stdout?.on('error', () => {});
    child.stderr?.on('error', () => {});
    const onLine = (line: string) => handlers.onStderrLine(line);
    // Read in any case: a server blocks when 64 KB of stderr are unread.
    child.stderr?.on('data', (chunk: Buffer) => this.#stderr.push(chunk, handlers.wantsStderr() ? onLine : undefined));
    child.stderr?.once('end', () => this.#stderr.flush(onLine));
  }

  /** Without an identity the process could not be ended safely later. In this tick it still can: it is our child. */
  #refuseUnknown(): never {
    this.#child.kill('SIGKILL');
    this.#start.cgroup?.kill();
    this.#destroyStreams();
    throw new PoolError(
      'SPAWN_FAILED',
      `${titleOf(this.#spec)} was started, but the process table does not show it: it ended at once, or was killed now`,
      namesOf(this.#spec),
    );
  }

  #destroyStreams(): void {
    this.stdin.destroy();
    this.stdout.destroy();
    this.#child.stderr?.destroy();
  }
}

/** Finds the program, and makes the mark and the cgroup of the server. */
function prepare(spec: LaunchSpec, platform: Platform, cgroupParent: string | undefined): ContainedStart {
  const request = { file: resolveCommand(spec), args: spec.args, env: spec.resolvedEnv };
  try {
    return containedStart(spec, request, { platform, cgroupParent });
  } catch (error) {
    throw error instanceof PoolError ? error : spawnError(spec, error);
  }
}

function spawnChild(
  spec: LaunchSpec,
  { file, args, env, cgroup }: ContainedStart,
  { detached }: Platform,
): ChildProcess {
  try {
    const stdio: StdioOptions = spec.stdio ?? 'pipe';
    const options = { cwd: spec.cwd, env, stdio, shell: false, windowsHide: true, detached };
    return spawnWithDescriptors(() => spawn(file, [...args], options));
  } catch (error) {
    cgroup?.remove();
    // spawn() throws at once for E2BIG and for a command that is no program.
    throw spawnError(spec, error);
  }
}

/** Undefined when nothing was started, or the table does not show it. */
function identityOf(table: ProcessTable, pid: number | undefined): LocalIdentity | undefined {
  if (pid === undefined) return undefined;
  try {
    const startTime = identify(table, pid);
    return startTime === undefined ? undefined : { kind: 'local', pid, startTime };
  } catch {
    return undefined;
  }
}
