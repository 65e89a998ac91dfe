import type { ChildProcess } from 'node:child_process';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import spawn from 'cross-spawn';
import type { ResolvedDefinition } from '../config/options.js';
import { PoolError } from '../errors.js';
import { resolveCommand } from './command.js';
import { forgetCgroups } from './containment/cgroup-probe.js';
import { type ContainedStart, containedStart } from './containment/contained-start.js';
import type { ContainmentLevel } from './containment/containment-status.js';
import { checkJoined } from './containment/group-for.js';
import type { Watch } from './containment/host-guard.js';
import { InnerHosts } from './containment/inner-hosts.js';
import { lastLook } from './containment/last-look.js';
import { MarkSearch } from './containment/mark-search.js';
import { type StartRefusal, wrapperRefusal } from './containment/wrapper.js';
import { forgetAtExit, killAtExit } from './exit-hook.js';
import type { EndOptions, Launcher, ProcessHandlers, ServerProcess } from './launcher.js';
import type { Platform } from './platform.js';
import { ProcessGroup } from './process-group.js';
import { identify, type ProcessIdentity, type ProcessRow, type ProcessTable } from './process-table.js';
import { type Kin, ProcessTree } from './process-tree.js';
import { spawnError } from './spawn-error.js';
import { StderrTail } from './stderr-tail.js';
import {
  type EndMode,
  endTree,
  type Graces,
  killMembers,
  planEnd,
  signalTree,
  type TerminationReport,
  type TreePlan,
} from './termination.js';

/** How much of stderr is kept for errors and events, bytes. */
const STDERR_TAIL = 65_536;
/** How long output streams are read after the exit: longer only helps a helper that holds them. */
const DRAIN_GRACE = 100;

/** Nobody ends the server when the host is killed. */
const UNWATCHED: Watch = { started: () => {}, ended: () => {} };

/** Where servers are started. */
export interface LocalOptions {
  /** Below which cgroup they get theirs. */
  readonly cgroupParent?: string | undefined;
  /** Asked before each start for one that ends the server with the host. Default: nobody does. */
  readonly watch?: () => Watch;
}

/** Starts servers as child processes of this host. */
export function localLauncher(
  platform: Platform,
  { cgroupParent, watch = () => UNWATCHED }: LocalOptions = {},
): Launcher {
  return {
    launch(definition, handlers) {
      const watched = watch();
      try {
        return new LocalProcess(definition, handlers, platform, cgroupParent, watched);
      } catch (error) {
        watched.ended();
        throw error;
      }
    },
  };
}

class LocalProcess implements ServerProcess {
  readonly pid: number | undefined;
  readonly startTime: number | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  readonly #child: ChildProcess;
  readonly #definition: ResolvedDefinition;
  readonly #platform: Platform;
  readonly #start: ContainedStart;
  /** Pools that run in this server: known to the looks of its tree, and then to the sweep. */
  readonly #inner: InnerHosts | undefined;
  /** Who ends it when the host dies. */
  readonly #watch: Watch;
  readonly #stderr = new StderrTail(STDERR_TAIL);
  readonly #tree: Kin | undefined;
  #exited = false;
  /** What the leader left, in the tick of its exit: whoever kills it then need not look again. */
  #left: ProcessRow[] | undefined;
  /** What was killed outside the ladder, and when. */
  readonly #kills: { readonly time: number; readonly processes: number }[] = [];
  readonly #onceExited = new Set<() => void>();
  /** What the exit of the host does. */
  readonly #lastResort = { killNow: () => this.#killAll() };
  #drained: Promise<void> | undefined;

  constructor(
    definition: ResolvedDefinition,
    handlers: ProcessHandlers,
    platform: Platform,
    cgroupParent: string | undefined,
    watch: Watch,
  ) {
    const { table } = platform;
    this.#platform = platform;
    this.#definition = definition;
    this.#watch = watch;
    this.#start = prepare(definition, platform, cgroupParent);
    const { mark } = this.#start;
    this.#inner = mark && new InnerHosts(mark);
    this.#child = spawnChild(definition, this.#start, platform);
    const { pid } = this.#child;
    this.pid = pid;
    // Without descriptors (EMFILE) Node makes no streams: nothing may be written or read then, and nothing will.
    this.stdin = this.#child.stdin ?? new PassThrough();
    this.stdout = this.#child.stdout ?? new PassThrough();
    this.stderr = this.#child.stderr ?? undefined;
    // Read in the same tick: the child is not collected before, so the row is there even if it is dead already.
    this.startTime = pid === undefined ? undefined : startTimeOf(table, pid);
    if (pid !== undefined && this.startTime !== undefined) {
      this.#tree = kinOf({ pid, startTime: this.startTime }, this.#start, platform, this.#inner);
    }
    this.#listen(handlers);
    if (pid !== undefined && this.#tree === undefined) this.#refuseUnknown();
    if (this.#start.joinsLater) void this.#joinGroup();
    if (this.#tree) killAtExit(this.#lastResort);
    if (pid !== undefined && this.startTime !== undefined) watch.started({ pid, startTime: this.startTime });
    // A pool never keeps its host alive; a request in flight does that by itself.
    this.#child.unref();
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) unrefStream(stream);
  }

  get stderrTail(): string {
    return this.#stderr.toString();
  }

  get containment(): ContainmentLevel {
    const { group, mark, containment } = this.#start;
    return containment === 'group' ? 'group' : group ? 'cgroup' : mark ? 'markers' : 'tree';
  }

  get refusal(): StartRefusal | undefined {
    return this.#start.wrapped ? wrapperRefusal(this.#child.exitCode, this.stderrTail) : undefined;
  }

  drained(): Promise<void> {
    this.#drained ??= Promise.race([
      Promise.all([streamEnd(this.#child.stdout), streamEnd(this.#child.stderr)]),
      new Promise((resolve) => setTimeout(resolve, DRAIN_GRACE).unref()),
    ]).then(() => {
      this.#destroyStreams();
      // The host may have been moved to another cgroup since that was tried out.
      if (this.refusal?.code === 'CONTAINMENT_UNAVAILABLE') forgetCgroups();
    });
    return this.#drained;
  }

  async end({ mode, signal, graces }: EndOptions): Promise<TerminationReport> {
    const tree = this.#tree;
    if (this.pid === undefined || tree === undefined) {
      return { pid: this.pid ?? 0, endedBy: 'exit', steps: [], duration: 0, survivors: [] };
    }
    const target = {
      pid: this.pid,
      platform: this.#platform,
      tree,
      closeStdin: () => this.stdin.end(),
      hasExited: () => this.#exited,
      onceExited: (wake: () => void) => this.#onceExited.add(wake),
      killGroup: () => this.#start.group?.kill(),
      lastLook: lastLook(this.#start, this.#platform, { since: this.startTime, inner: this.#inner }),
    };
    const started = performance.now();
    try {
      const { group } = this.#start;
      const identity = { pid: this.pid, startTime: this.startTime ?? 0 };
      if (group && !this.#exited) checkJoined(group, identity);
      const report = this.#withKills(await endTree(target, graces ?? this.#definition, mode, signal), started);
      if (report.survivors.length === 0) {
        this.#destroyStreams();
        this.#start.group?.remove();
        forgetAtExit(this.#lastResort);
        this.#watch.ended();
      }
      return report;
    } catch (error) {
      // The table cannot be read (EMFILE). Nothing can be proven now, but what is surely ours need not live on.
      this.stdin.end();
      if (mode === 'emergency') this.#killUnseen();
      throw error;
    }
  }

  plan(mode: EndMode, graces: Graces): TreePlan {
    if (this.pid === undefined || this.#tree === undefined) return { steps: [], processes: [] };
    const target = { pid: this.pid, platform: this.#platform, tree: this.#tree, hasExited: () => this.#exited };
    return planEnd(target, graces, mode);
  }

  killNow(): void {
    if (this.#tree === undefined || !this.#platform.withoutInit) return this.#killAll();
    try {
      const living = this.#left ?? this.#tree.refresh();
      this.#noteKill(living.length);
      // Parents come later, when they have collected. The ladder, which comes anyway, proves that it was done.
      killMembers(this.#platform, this.#tree, living).catch(() => {});
    } catch {
      this.#killUnseen();
    }
  }

  /** All at once: for the last tick of the host, and where an init collects them. */
  #killAll(): void {
    if (this.#tree === undefined) return;
    try {
      const living = this.#left ?? this.#tree.refresh();
      this.#noteKill(living.length);
      signalTree(this.#platform, this.#tree, living, 'SIGKILL');
      this.#start.group?.kill();
    } catch {
      this.#killUnseen();
    }
  }

  /** Takes the tree into its cgroup, unless it has ended before. */
  async #joinGroup(): Promise<void> {
    const { group } = this.#start;
    if (group === undefined || this.pid === undefined) return;
    try {
      await group.adopt(this.pid);
    } catch {
      // It ended meanwhile, or is found outside when it does.
    }
  }

  /** Kills the group without a look at it: until the leader was collected, its number is nobody else's. */
  #killUnseen(): void {
    this.#start.group?.kill();
    if (this.#exited || this.pid === undefined) return;
    this.#noteKill(1);
    this.#platform.signalGroup(this.pid, 'SIGKILL');
  }

  #noteKill(processes: number): void {
    if (processes > 0) this.#kills.push({ time: performance.now(), processes });
  }

  /** What was killed outside the ladder belongs into its report. */
  #withKills(report: TerminationReport, started: number): TerminationReport {
    const kills = this.#kills.map(({ time, processes }) => {
      return { step: 'SIGKILL' as const, at: Math.max(0, Math.round(time - started)), processes };
    });
    const all = [...report.steps, ...kills].sort((a, b) => a.at - b.at);
    // Killed twice in a row is killed once.
    const steps = all.filter(({ step }, index) => step !== all[index - 1]?.step);
    return { ...report, steps, endedBy: steps.at(-1)?.step ?? report.endedBy };
  }

  /** Takes in what the leader left. If the table cannot be read now, they cannot be told from strangers any more. */
  #adoptOrphans(): void {
    try {
      this.#left = this.#tree?.leaderExited();
      // A look is good for its own tick.
      queueMicrotask(() => {
        this.#left = undefined;
      });
    } catch {
      // EMFILE. The ladder ends the members that are known.
    }
  }

  #listen(handlers: ProcessHandlers): void {
    const child = this.#child;
    child.once('spawn', () => handlers.onSpawn());
    child.on('error', (error) => {
      // Also emitted for a failed kill(), which says nothing about the start.
      if (child.pid !== undefined) return;
      this.#watch.ended();
      this.#start.group?.remove();
      handlers.onSpawnError(spawnError(this.#definition, error));
    });
    // `exit`, not `close`: a helper that holds stdout delays `close`, perhaps for ever.
    child.once('exit', (exitCode, signal) => {
      this.#exited = true;
      if (this.#tree) this.#adoptOrphans();
      else this.#start.group?.remove();
      for (const wake of this.#onceExited) wake();
      this.#onceExited.clear();
      handlers.onExit({ exitCode, signal, ...this.#start.group?.verdict() });
    });
    // EPIPE and the like reach whoever writes through its callback; without a listener they would crash the host.
    child.stdin?.on('error', () => {});
    child.stdout?.on('error', () => {});
    child.stderr?.on('error', () => {});
    const onLine = (line: string) => handlers.onStderrLine(line);
    // Always read: a server blocks when 64 KB of stderr are unread.
    child.stderr?.on('data', (chunk: Buffer) => this.#stderr.push(chunk, handlers.wantsStderr() ? onLine : undefined));
    child.stderr?.once('end', () => this.#stderr.flush(onLine));
  }

  /** A process whose identity cannot be read could not be ended safely later. Now it still can: it is our child. */
  #refuseUnknown(): never {
    this.#child.kill('SIGKILL');
    this.#start.group?.kill();
    this.#destroyStreams();
    const { name } = this.#definition;
    throw new PoolError(
      'SPAWN_FAILED',
      `server '${name}' was started, but the process table does not show it: it ended at once, or was killed now`,
      { name },
    );
  }

  #destroyStreams(): void {
    this.stdin.destroy();
    this.stdout.destroy();
    this.#child.stderr?.destroy();
  }
}

/** Finds the program, and makes what holds its processes together. */
function prepare(definition: ResolvedDefinition, platform: Platform, cgroupParent: string | undefined): ContainedStart {
  const request = { file: resolveCommand(definition), args: definition.args, env: definition.resolvedEnv };
  try {
    return containedStart(definition, request, { platform, cgroupParent });
  } catch (error) {
    throw error instanceof PoolError ? error : spawnError(definition, error);
  }
}

function spawnChild(
  definition: ResolvedDefinition,
  { file, args, env, group }: ContainedStart,
  { detached }: Platform,
): ChildProcess {
  try {
    return spawn(file, [...args], {
      cwd: definition.cwd,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      windowsHide: true,
      detached,
    });
  } catch (error) {
    group?.remove();
    // E2BIG and a command that is no program throw in this tick.
    throw spawnError(definition, error);
  }
}

/** Who shall end with the server. */
function kinOf(
  leader: ProcessIdentity,
  { containment, mark, group }: ContainedStart,
  platform: Platform,
  inner: InnerHosts | undefined,
): Kin {
  const { table, marks: reads } = platform;
  if (containment === 'group') return new ProcessGroup(table, leader);
  const since = leader.startTime;
  const marks = mark && reads ? new MarkSearch(mark, { table, reads, since, inner }) : undefined;
  return new ProcessTree(table, leader, { marks, inCgroup: group && (() => group.pids()) });
}

function startTimeOf(table: ProcessTable, pid: number): number | undefined {
  try {
    return identify(table, pid);
  } catch {
    return undefined;
  }
}

/** Pipes are sockets, which can be unref'd, though the types of a child's streams do not say so. */
function unrefStream(stream: Readable | Writable | null | undefined): void {
  if (stream && 'unref' in stream && typeof stream.unref === 'function') stream.unref();
}

function streamEnd(stream: Readable | null | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (!stream || stream.readableEnded || stream.destroyed) return resolve();
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', () => resolve());
  });
}
