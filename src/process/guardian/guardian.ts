import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { messageOf } from '../../errors.js';
import { forgetProblems, noteProblem } from '../containment-problems.js';
import { spawnWithDescriptors } from '../descriptors.js';
import { MARK_VARIABLE } from '../marks/marker.js';
import type { ShellIdentity } from '../platform.js';
import type { ProcessIdentity } from '../process-table.js';
import { type GuardianPlan, planLine, planLines } from './guardian-plan.js';
import { GUARDIAN_BOOT, GUARDIAN_NAME, guardianLine, guardianScript } from './guardian-script.js';

/** After more deaths than this within `DEATHS_WITHIN` ms the guardian is not replaced at once. */
const MOST_DEATHS = 5;
const DEATHS_WITHIN = 60_000;
/** How long a guardian may take to end, ms; then it is killed, since it may be stopped (SIGSTOP). */
const END_GRACE = 500;

/** How a guardian is started. */
export interface GuardianStart {
  readonly file: string;
  /** Nothing private, because every user may read them. */
  readonly args: readonly string[];
  /** What it reads from its stdin before anything else. */
  readonly input: string;
}

/** Undefined when there is neither a shell nor a reaper. */
export function guardianStart(plan: GuardianPlan, identity: ShellIdentity): GuardianStart | undefined {
  const { shell, reaper } = plan;
  const input = planLines(plan);
  // The reaper ignores the name. It is there so that the process can be found by it.
  if (shell === undefined) {
    return reaper && { file: reaper.executable, args: [reaper.file, 'watch', GUARDIAN_NAME], input };
  }
  const args = ['-c', GUARDIAN_BOOT, GUARDIAN_NAME, reaper?.executable ?? '', reaper?.file ?? ''];
  return { file: shell, args, input: guardianScript(identity) + input };
}

/**
 * The process that outlives the host for a moment: the end of its stdin shows that the host is dead, whatever the
 * cause. A guardian that dies is replaced, and the new one gets all information again.
 */
export class Guardian {
  readonly #plan: () => GuardianPlan;
  readonly #identity: ShellIdentity;
  /** pid → leader of a process group that is to be killed. */
  readonly #watched = new Map<number, ProcessIdentity>();
  #child: ChildProcess | undefined;
  /** The user that it runs as. */
  #user: number | undefined;
  #deaths: number[] = [];
  #retry: NodeJS.Timeout | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** `plan` is called for each start of a guardian, because shell, reaper and ledger may change. */
  constructor(identity: ShellIdentity, plan: () => GuardianPlan) {
    this.#identity = identity;
    this.#plan = plan;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the last guardian has ended. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /**
   * Starts a guardian, unless one runs. When the host has given up its privileges, its guardian must not keep them: it obeys
   * everything that can write to its pipe.
   */
  start(): void {
    const user = process.geteuid?.();
    const before = this.#child;
    if (before && this.#user === user) return;
    this.#child = undefined;
    this.#user = user;
    this.#spawn();
    if (before) dismiss(before);
  }

  #spawn(): void {
    clearTimeout(this.#retry);
    let child: ChildProcess;
    try {
      const plan = this.#plan();
      const start = guardianStart(plan, this.#identity);
      if (start === undefined) return this.#giveUp('there is neither /bin/sh nor a reaper');
      const options: SpawnOptions = {
        stdio: ['pipe', 'ignore', 'ignore'],
        env: environment(plan),
        cwd: '/',
        // In the session of the host it would get the signals that end the host.
        detached: true,
        windowsHide: true,
      };
      child = spawnWithDescriptors(() => spawn(start.file, start.args, options));
      // EPIPE: it is dead, and its exit event follows.
      child.stdin?.on('error', () => {});
      // Before any server runs: the kernel has it by then, also if this host is killed in the next moment.
      child.stdin?.write(start.input);
    } catch (error) {
      return this.#giveUp(messageOf(error));
    }
    this.#child = child;
    child.once('spawn', () => this.#deaths.length <= MOST_DEATHS && forgetProblems('guardian'));
    const ended = new Promise<void>((resolve) => {
      const gone = (why: string) => {
        resolve();
        if (this.#child === child) this.#replace(why);
      };
      child.once('error', (error) => gone(messageOf(error)));
      child.once('exit', (code, signal) => gone(`it ended (${signal ?? code})`));
    });
    this.#ended = Promise.all([this.#ended, ended]).then(() => {});
    child.unref();
    (child.stdin as (NodeJS.WritableStream & { unref?(): void }) | null)?.unref?.();
    for (const leader of this.#watched.values()) this.#send(guardianLine('+', leader, this.#identity));
  }

  /** When the host is dead, the guardian kills the group of `leader`. */
  watch(leader: ProcessIdentity): void {
    this.#watched.set(leader.pid, leader);
    this.#send(guardianLine('+', leader, this.#identity));
  }

  /** Call it when no process of that group is left, because its number may be reused soon. */
  forget(leader: ProcessIdentity): void {
    if (this.#watched.get(leader.pid)?.startTime === leader.startTime) this.#watched.delete(leader.pid);
    this.#send(guardianLine('-', leader, this.#identity));
  }

  /** When the host is dead, the guardian kills all in this cgroup, too. Its successors find it in their plan. */
  watchCgroup(folder: string): void {
    this.#send(planLine('c', folder));
  }

  /** The ledger that it removes when no process is left. Its successors find it in their plan. */
  noteLedger(file: string): void {
    this.#send(planLine('l', file));
  }

  /** Ends the guardian. Call it when no server is left. */
  end(): void {
    clearTimeout(this.#retry);
    const child = this.#child;
    this.#child = undefined;
    if (child) dismiss(child);
  }

  #send(line: string): void {
    this.#child?.stdin?.write(line);
  }

  #replace(why: string): void {
    this.#child = undefined;
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((time) => now - time < DEATHS_WITHIN), now];
    if (this.#deaths.length <= MOST_DEATHS) this.start();
    else this.#giveUp(`it dies again and again: ${why}`);
  }

  /** Tries again with the next server, or a minute later. */
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

function dismiss(child: ChildProcess): void {
  child.stdin?.end('q\n');
  // It is our own child, so its pid is not reused before Node has reported its exit.
  const timer = setTimeout(() => child.kill('SIGKILL'), END_GRACE).unref();
  child.once('exit', () => clearTimeout(timer));
}

/**
 * The guardian must not have a mark of this host, or its sweep would find it. It keeps the marks of outer pools: when
 * an outer pool ends this host, the guardian ends with it.
 */
function environment({ reaper }: GuardianPlan): Record<string, string> {
  const outer = process.env[MARK_VARIABLE];
  return { ...reaper?.env, ...(outer === undefined ? {} : { [MARK_VARIABLE]: outer }) };
}
