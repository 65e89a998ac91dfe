import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf } from '../../errors.js';
import { forgetProblems, noteProblem } from '../containment-problems.js';
import { type HostMark, MARK_VARIABLE } from '../marks/marker.js';
import type { ShellIdentity } from '../platform.js';
import type { ProcessIdentity } from '../process-table.js';
import { GUARDIAN_NAME, guardianLine, guardianScript } from './guardian-script.js';
import type { ReaperProgram } from './reaper-program.js';

/** What a guardian is made of. */
export interface GuardianPlan {
  /** A POSIX shell that can be used; without one the reaper itself keeps watch, which costs the memory of a Node. */
  readonly shell: string | undefined;
  /** Undefined where servers bear no marks: then nothing can be swept. */
  readonly host: HostMark | undefined;
  /** Undefined when it was removed since the pool was made. */
  readonly reaper: ReaperProgram | undefined;
  /** Start time of the host. */
  readonly since: number;
  /** The ledger of the host, to be removed when nothing is left. */
  readonly ledger: string | undefined;
  /** The folders of its cgroups. */
  readonly cgroups: readonly string[];
}

/** How many deaths in `DEATHS_WITHIN` ms are taken for accidents; it is not replaced after more. */
const MOST_DEATHS = 5;
const DEATHS_WITHIN = 60_000;
/** What one that was told to end gets for it, before it is killed: it may be stopped. */
const END_GRACE = 500;

/** How a guardian is started; undefined when there is neither a shell nor a Node for it. */
export function guardianCommand(
  plan: GuardianPlan,
  identity: ShellIdentity,
): { file: string; args: string[] } | undefined {
  const { shell, reaper, host, since, ledger, cgroups } = plan;
  const about = [host?.text ?? '', String(since), ledger ?? '', ...cgroups];
  // The name is the one thing in its command line that somebody can look for: it stands where a folder could.
  if (shell === undefined) {
    return reaper && { file: reaper.executable, args: [reaper.file, 'watch', ...about, GUARDIAN_NAME] };
  }
  const program = [reaper?.executable ?? '', reaper?.file ?? ''];
  const args = [...program, host ? String(host.number) : '', ...about];
  return { file: shell, args: ['-c', guardianScript(identity), GUARDIAN_NAME, ...args] };
}

/**
 * The process that outlives the host for a moment: it learns of the host's death by the end of its stdin, whatever the
 * host died of. One that dies is replaced, and told everything again.
 */
export class Guardian {
  readonly #plan: () => GuardianPlan;
  readonly #identity: ShellIdentity;
  /** pid → who leads a group that is to be killed. */
  readonly #watched = new Map<number, ProcessIdentity>();
  #child: ChildProcess | undefined;
  #deaths: number[] = [];
  #retry: NodeJS.Timeout | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** `plan` is made anew for each that is started: a shell, a reaper, a ledger may come and go. */
  constructor(identity: ShellIdentity, plan: () => GuardianPlan) {
    this.#identity = identity;
    this.#plan = plan;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when no guardian runs that was told to end. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Starts one, unless one runs. */
  start(): void {
    if (this.#child) return;
    clearTimeout(this.#retry);
    let child: ChildProcess;
    try {
      const plan = this.#plan();
      const command = guardianCommand(plan, this.#identity);
      if (command === undefined) return this.#giveUp('there is neither /bin/sh nor a reaper');
      child = spawn(command.file, command.args, {
        stdio: ['pipe', 'ignore', 'ignore'],
        env: environment(plan),
        cwd: '/',
        // Of the host's session it would get the signals that end the host.
        detached: true,
        windowsHide: true,
      });
    } catch (error) {
      return this.#giveUp(messageOf(error));
    }
    this.#child = child;
    child.once('spawn', () => this.#deaths.length <= MOST_DEATHS && forgetProblems('guardian'));
    this.#ended = new Promise((resolve) => {
      const gone = (why: string) => {
        resolve();
        if (this.#child === child) this.#replace(why);
      };
      child.once('error', (error) => gone(messageOf(error)));
      child.once('exit', (code, signal) => gone(`it ended (${signal ?? code})`));
    });
    // EPIPE: it is dead, and its exit will be told.
    child.stdin?.on('error', () => {});
    child.unref();
    (child.stdin as (NodeJS.WritableStream & { unref?(): void }) | null)?.unref?.();
    for (const leader of this.#watched.values()) this.#tell(guardianLine('+', leader, this.#identity));
  }

  /** Kills the group of `leader` when the host is dead. */
  watch(leader: ProcessIdentity): void {
    this.#watched.set(leader.pid, leader);
    this.#tell(guardianLine('+', leader, this.#identity));
  }

  /** Nothing is left of that group: its number may be somebody else's soon. */
  forget(leader: ProcessIdentity): void {
    if (this.#watched.get(leader.pid)?.startTime === leader.startTime) this.#watched.delete(leader.pid);
    this.#tell(guardianLine('-', leader, this.#identity));
  }

  /** Kills everybody in this folder, too; whoever replaces this one finds it in its plan. */
  watchCgroup(folder: string): void {
    this.#tell(`c ${folder}\n`);
  }

  /** Nothing is left to be watched. */
  end(): void {
    clearTimeout(this.#retry);
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.stdin?.end('q\n');
    // Our own child, which is not collected before its exit is told: its number is nobody else's.
    const timer = setTimeout(() => child.kill('SIGKILL'), END_GRACE).unref();
    child.once('exit', () => clearTimeout(timer));
  }

  #tell(line: string): void {
    this.#child?.stdin?.write(line);
  }

  #replace(why: string): void {
    this.#child = undefined;
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((time) => now - time < DEATHS_WITHIN), now];
    if (this.#deaths.length <= MOST_DEATHS) this.start();
    else this.#giveUp(`it dies again and again: ${why}`);
  }

  /** Until the next server starts, or time has passed. */
  #giveUp(why: string): void {
    noteProblem({
      part: 'guardian',
      reason: `no guardian runs: ${why}`,
      consequence:
        'when this host is killed, its servers live on until the next host of this user starts; a host that ends by itself still ends them',
    });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.start(), DEATHS_WITHIN).unref();
  }
}

/**
 * Of this host's own marks it must bear none, or its sweep would find itself. Those of an outer pool it keeps: when that
 * ends this host, nothing of it lives on.
 */
function environment({ reaper }: GuardianPlan): Record<string, string> {
  const outer = process.env[MARK_VARIABLE];
  return { ...reaper?.env, ...(outer === undefined ? {} : { [MARK_VARIABLE]: outer }) };
}
