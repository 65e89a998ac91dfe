import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { PoolOptions } from '../../src/index.js';
import { compiledSource, ROOT } from '../helpers/compiled.js';
import {
  descendants,
  isLiving,
  killProcess,
  livingProcesses,
  type ProcessInfo,
  readProcess,
} from '../helpers/processes.js';
import { until } from '../helpers/until.js';
import { commandLine, livingByTag, newTags } from './tags.js';
import type { User } from './users.js';

const SCRIPT = fileURLToPath(new URL('host.js', import.meta.url));
/** By this a guardian is known among the children of its host. */
const GUARDIAN = 'mcp-server-pool-guardian';
/** For a host to start a dozen servers, npx among them, on a machine that does other things, too. */
export const START = 30_000;

/** What a host does; see `host.js`. */
export interface Plan {
  readonly options: Omit<PoolOptions, 'servers'> & { readonly servers: NonNullable<PoolOptions['servers']> };
  /** Which servers it starts: all of the first step at once, then those of the next. */
  readonly steps: readonly (readonly string[])[];
  /** Those that exit by themselves: it is ready when their ends are proven. */
  readonly exiting?: readonly string[];
  /** Instead: starts and ends them in turn, each step side by side with the others, until it is killed. */
  readonly churn?: boolean;
}

export interface HostPlace {
  readonly user: User;
  readonly env: Readonly<Record<string, string>>;
  /** The words of a command that starts the host, such as that which makes a namespace for it. */
  readonly within?: readonly string[];
}

/**
 * A host in a process group in which a canary lives, and the shell that started both: a signal to the group would reach
 * them all.
 */
export class ChaosHost {
  readonly #shell: ChildProcess;
  #stdout = '';
  #stderr = '';
  #self: ProcessInfo | undefined;
  /** Of the process that shares its group. */
  readonly #canary = newTags(['canary']);
  readonly #seen = new Map<number, ProcessInfo>();

  constructor(plan: Plan, { user, env, within = [] }: HostPlace) {
    const script = 'sleep 300 "$0" </dev/null >/dev/null 2>&1 & "$@"; exit "$?"';
    const words = [...within, 'sh', '-c', script, this.#canary.canary, process.execPath, SCRIPT];
    this.#shell = spawn(words[0] as string, words.slice(1), {
      cwd: ROOT,
      env: { ...process.env, ...env },
      detached: true,
      stdio: 'pipe',
      ...user.ids,
    });
    this.#shell.stdin?.on('error', () => {});
    this.#shell.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#shell.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    onTestFinished(() => this.discard());
    const { options, steps, exiting = [], churn = false } = plan;
    this.#write(JSON.stringify({ index: join(compiledSource(), 'index.js'), options, steps, exiting, churn }));
  }

  /** Its identity; from before its first server. */
  async started(): Promise<ProcessInfo> {
    await this.#says(/^started$/m);
    // Not by the pid that it says: in a namespace that is another.
    const isHost = ({ pid }: ProcessInfo) => commandLine(pid).startsWith(`${process.execPath}\0${SCRIPT}\0`);
    this.#self ??= descendants(this.launcher).find(isHost);
    if (this.#self === undefined) throw new Error(`the host ended before it was looked at: ${this.#stderr}`);
    return this.#self;
  }

  /** What `within` started, or the shell of the host. */
  get launcher(): number {
    return this.#shell.pid as number;
  }

  /** All its servers are there. */
  async ready(): Promise<void> {
    await this.started();
    await this.#says(/^ready$/m);
    // Remembered now: nothing shows what it belonged to when the host is dead.
    this.#guardians();
  }

  /** Has it do something that it is done with at some time, while it lives on. */
  begins(action: 'release' | 'shutdown' | 'emergency'): void {
    this.#write(action);
  }

  async done(): Promise<void> {
    await this.#says(/^done/m);
  }

  async does(action: 'release' | 'shutdown' | 'emergency'): Promise<void> {
    this.begins(action);
    await this.done();
  }

  /** Has it end in a way of its own. */
  async ends(how: 'exit' | 'have nothing to do' | 'throw' | 'reject'): Promise<void> {
    this.#write(how);
    await this.ended();
  }

  /** Sends it, and no other process, a signal. */
  signal(signal: NodeJS.Signals): void {
    const self = this.#self;
    if (self === undefined) throw new Error('it did not start yet');
    if (readProcess(self.pid)?.startTime === self.startTime) process.kill(self.pid, signal);
  }

  async ended(): Promise<void> {
    const { pid, startTime } = await this.started();
    const lives = () => isLiving(pid) && readProcess(pid)?.startTime === startTime;
    await until(`the host ends; it said ${this.#stdout} ${this.#stderr}`, () => !lives(), { timeout: START });
  }

  /** How many times it reported orphans that it ended. */
  get reaped(): number {
    return this.#stdout.match(/^reaped$/gm)?.length ?? 0;
  }

  /** The guardian that it has now, another than `other`. */
  guardian(other?: ProcessInfo): Promise<ProcessInfo> {
    return until('the host has a guardian', () => this.#guardians().find(({ pid }) => pid !== other?.pid));
  }

  /** Guardians that were seen, and that live although they should have ended with the host or its last server. */
  livingGuardians(): ProcessInfo[] {
    this.#guardians();
    return [...this.#seen.values()].filter(({ pid, startTime }) => {
      const now = readProcess(pid);
      return now?.startTime === startTime && !now.zombie;
    });
  }

  /** Whether another process in the host's group was hit: the shell that started it, or the canary. */
  get groupSignalled(): boolean {
    return this.#shell.signalCode !== null || !this.#canaryLives();
  }

  /** Kills it, and its group with it. */
  discard(): void {
    if (this.#self) this.signal('SIGKILL');
    this.#shell.kill('SIGKILL');
    for (const row of livingByTag(this.#canary).canary) killProcess(row);
    for (const stream of [this.#shell.stdin, this.#shell.stdout, this.#shell.stderr]) stream?.destroy();
  }

  /** The shell has the tag among its arguments, too. */
  #canaryLives(): boolean {
    return livingByTag(this.#canary).canary.some(({ command }) => command === 'sleep');
  }

  #guardians(): ProcessInfo[] {
    const children = livingProcesses().filter(({ parent }) => parent === this.#self?.pid);
    const guardians = children.filter(({ pid }) => commandLine(pid).includes(GUARDIAN));
    for (const row of guardians) this.#seen.set(row.pid, row);
    return guardians;
  }

  #write(line: string): void {
    this.#shell.stdin?.write(`${line}\n`);
  }

  async #says(what: RegExp): Promise<RegExpExecArray> {
    const said = () => {
      const found = what.exec(this.#stdout);
      if (!found && (this.#shell.exitCode !== null || this.#shell.signalCode !== null)) {
        throw new Error(`the host ended before it said ${what}: ${this.#stdout} ${this.#stderr}`);
      }
      return found;
    };
    try {
      return await until(`the host says ${what}`, said, { timeout: START });
    } catch (error) {
      throw new Error(`the host said, so far: ${this.#stdout}\n${this.#stderr}`, { cause: error });
    }
  }
}
