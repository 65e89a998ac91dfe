import { existsSync } from 'node:fs';
import { messageOf, PoolError } from '../../errors.js';
import { forgetProblems, noteProblem } from '../containment-problems.js';
import { hostMark } from '../marks/marker.js';
import type { Platform } from '../platform.js';
import type { ProcessIdentity } from '../process-table.js';
import { usableShell } from '../wrapper.js';
import { Guardian } from './guardian.js';
import { type LedgerRecord, pidScope, removeLedger, writeLedger } from './ledger.js';
import { findReaper, type ReaperChoice } from './reaper-program.js';
import { runtimeFolders } from './runtime-folder.js';

/** What pools may say of the guardian and the ledger of their host. */
export interface GuardChoice extends ReaperChoice {
  readonly runtimeDirectory?: string | undefined;
}

/** One server, as long as anything of it may live. */
export interface Watch {
  /** It runs: its group dies with the host. */
  started(leader: ProcessIdentity): void;
  /** Nothing of it is left, or nothing was started. What comes later does nothing. */
  ended(): void;
}

/** What is in force now. */
export interface GuardStatus {
  /** The pid of the guardian; undefined while no server runs, or when none could be started. */
  readonly guardian: number | undefined;
  /** The file that tells the next host of this one; undefined while no server runs, or when none could be written. */
  readonly ledger: string | undefined;
}

/** Sees to it that servers die with their host. One for all pools of a host (of a thread, where there are workers). */
export class HostGuard {
  readonly #platform: Platform;
  #choice: GuardChoice = {};
  #guardian: Guardian | undefined;
  /** Servers that the guardian watches, and all. */
  #guarded = 0;
  #servers = 0;
  #ledger: string | undefined;
  readonly #cgroups = new Set<string>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /**
   * Takes over what a pool says. `guards`: whether that pool wants the guardian.
   * @throws PoolError `INVALID_OPTIONS` when the reaper cannot be run, or another pool of this host says something else
   */
  configure(choice: GuardChoice, guards: boolean): void {
    const merged: Record<string, string | undefined> = { ...this.#choice };
    for (const [key, value] of Object.entries(choice) as [keyof GuardChoice, string | undefined][]) {
      if (value === undefined || value === merged[key]) continue;
      if (merged[key] !== undefined || this.#servers > 0) {
        refuse(
          `guardian.${key} holds for the whole host process, in which a pool has set or used another value; set it with the first pool`,
        );
      }
      merged[key] = value;
    }
    if (guards && this.#platform.marks) {
      const found = findReaper(merged);
      if ('problem' in found) refuse(found.problem);
    }
    this.#choice = merged;
  }

  /** The folders in which ledgers of this user may be. */
  get folders(): string[] {
    return runtimeFolders(this.#choice.runtimeDirectory);
  }

  /** A server is about to be spawned: from now on there is no moment in which nobody watches it. */
  enter(guarded: boolean): Watch {
    this.#servers += 1;
    // Folders for temporary files are tidied up by others.
    if (this.#ledger === undefined || !existsSync(this.#ledger)) this.#writeLedger();
    if (guarded) {
      this.#guarded += 1;
      this.#guardian ??= this.#makeGuardian();
      this.#guardian?.start();
    }
    const guardian = guarded ? this.#guardian : undefined;
    let leader: ProcessIdentity | undefined;
    let over = false;
    return {
      started: (identity) => {
        leader = identity;
        guardian?.watch(identity);
      },
      ended: () => {
        if (over) return;
        over = true;
        if (leader) guardian?.forget(leader);
        this.#leave(guarded);
      },
    };
  }

  /** The host has a folder for the cgroups of its servers. */
  watchCgroup(folder: string): void {
    // Of a line of its own in what the guardian is told.
    if (this.#cgroups.has(folder) || folder.includes('\n')) return;
    this.#cgroups.add(folder);
    this.#guardian?.watchCgroup(folder);
    if (this.#servers > 0) this.#writeLedger();
  }

  /** Resolves when nothing of the guardian runs without a server. */
  async settled(): Promise<void> {
    if (this.#guarded === 0) await this.#guardian?.ended;
  }

  status(): GuardStatus {
    return { guardian: this.#guardian?.pid, ledger: this.#ledger };
  }

  #leave(guarded: boolean): void {
    this.#servers -= 1;
    if (guarded) this.#guarded -= 1;
    if (guarded && this.#guarded === 0) this.#guardian?.end();
    if (this.#servers > 0 || this.#ledger === undefined) return;
    removeLedger(this.#ledger);
    this.#ledger = undefined;
  }

  #makeGuardian(): Guardian | undefined {
    const { identity, marks, table } = this.#platform;
    if (identity === undefined) return undefined;
    return new Guardian(identity, () => {
      const found = marks ? findReaper(this.#choice) : undefined;
      return {
        shell: usableShell()?.path,
        host: marks && hostMark(),
        reaper: found && 'problem' in found ? undefined : found,
        since: table.read(process.pid)?.startTime ?? 0,
        ledger: this.#ledger,
        cgroups: [...this.#cgroups],
      };
    });
  }

  #writeLedger(): void {
    // Without marks there is nothing by which a later host could find what this one left.
    if (!this.#platform.marks) return;
    try {
      this.#ledger = writeLedger(this.#record(), this.folders);
      forgetProblems('ledger');
    } catch (error) {
      noteProblem({
        part: 'ledger',
        reason: `no ledger can be written: ${messageOf(error)}; name a folder of this user in guardian.runtimeDirectory`,
        consequence: 'what a host and its guardian leave that are killed together is not found by the next host',
      });
    }
  }

  #record(): LedgerRecord {
    const startTime = this.#platform.table.read(process.pid)?.startTime;
    // With another one the next host would take this one for dead.
    if (startTime === undefined) throw new Error('the start time of this process is not shown');
    return { mark: hostMark(), pid: process.pid, startTime, ...pidScope(), cgroups: [...this.#cgroups] };
  }
}

function refuse(problem: string): never {
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** One for all copies of this version of the package in this thread. */
const PLACE = Symbol.for('mcp-server-pool.guard/1');

export function hostGuard(platform: Platform): HostGuard {
  const place = globalThis as { [PLACE]?: HostGuard };
  place[PLACE] ??= new HostGuard(platform);
  return place[PLACE];
}
