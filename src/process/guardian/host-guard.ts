import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, PoolError } from '../../errors.js';
import { forgetProblems, noteProblem } from '../containment-problems.js';
import { hostMark, hostOrigin, SHARED_VERSION } from '../marks/marker.js';
import { ownLogin } from '../marks/search-knowledge.js';
import type { Platform } from '../platform.js';
import type { ProcessIdentity } from '../process-table.js';
import { usableShell } from '../wrapper.js';
import { Guardian } from './guardian.js';
import { type LedgerRecord, removeLedger, writeLedger } from './ledger.js';
import { findReaper, type ReaperChoice } from './reaper-program.js';
import { type FindOptions, ledgerPlaces } from './runtime-folder.js';

/** What the options of a pool may set for the guardian and the ledger of their host. */
export interface GuardChoice extends ReaperChoice {
  readonly runtimeDirectory?: string | undefined;
}

/** The watch over one server, as long as a process of it may live. */
export interface Watch {
  /** It runs: from now on its group is killed when the host is dead. */
  started(leader: ProcessIdentity): void;
  /** Its group is empty: the guardian must not kill it, because its number may belong to another one soon. */
  groupLeft(): void;
  /** No process of it is left, or none was started. Further calls have no effect. */
  ended(): void;
}

/** The guardian and the ledger now. */
export interface GuardStatus {
  /** The pid of the guardian; undefined while no server runs, or when none could be started. */
  readonly guardian: number | undefined;
  /**
   * The file that informs the next host about this one; undefined while no server runs, or when it could not be
   * written.
   */
  readonly ledger: string | undefined;
}

/** Ensures that servers die with their host. One for all pools of a host; each worker thread has its own. */
export class HostGuard {
  readonly #platform: Platform;
  #choice: GuardChoice = {};
  #guardian: Guardian | undefined;
  /** Servers that the guardian watches. */
  #guarded = 0;
  /** All servers. */
  #servers = 0;
  #ledger: string | undefined;
  readonly #cgroups = new Set<string>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /**
   * Takes over the choices of a pool. `guards`: whether that pool uses the guardian.
   * @throws PoolError `INVALID_OPTIONS` when the reaper cannot run, or another pool of this host has set another value
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

  /** Finds the folders that may contain ledgers of this user. Says to `onProblem` why there may be more. */
  async findFolders(onProblem: (problem: string) => void, options?: FindOptions): Promise<string[]> {
    const { folders, findSpares } = ledgerPlaces(this.#choice.runtimeDirectory);
    return [...folders, ...(await findSpares(onProblem, options))];
  }

  /**
   * Call it before each spawn, so that the server is watched from its first moment. `guarded`: by the guardian, too.
   */
  enter(guarded: boolean): Watch {
    this.#servers += 1;
    // The system may clean up folders for temporary files.
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
      groupLeft: () => {
        if (leader) guardian?.forget(leader);
        leader = undefined;
      },
      ended: () => {
        if (over) return;
        over = true;
        if (leader) guardian?.forget(leader);
        leader = undefined;
        this.#leave(guarded);
      },
    };
  }

  /** Adds a host cgroup, which the guardian kills when the host is dead. */
  watchCgroup(folder: string): void {
    if (this.#cgroups.has(folder)) return;
    this.#cgroups.add(folder);
    this.#guardian?.watchCgroup(folder);
    if (this.#servers > 0) this.#writeLedger();
  }

  /** Resolves when the guardian has ended, if it has no server left. */
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
    // Without marks a later host could not find what this one has left.
    if (!this.#platform.marks) return;
    try {
      const { folders, makeSpare } = ledgerPlaces(this.#choice.runtimeDirectory);
      // Where it was before, so that a host has only one, and makes only one folder of a random name.
      const before = this.#ledger === undefined ? [] : [dirname(this.#ledger)];
      const file = writeLedger(this.#record(), [...before, ...folders], makeSpare);
      if (file !== this.#ledger) this.#guardian?.noteLedger(file);
      this.#ledger = file;
      forgetProblems('ledger');
    } catch (error) {
      noteProblem({
        part: 'ledger',
        reason: `no ledger can be written: ${messageOf(error)}; name a folder of this user in guardian.runtimeDirectory`,
        consequence: 'when this host and its guardian are killed together, the next host does not find what they leave',
      });
    }
  }

  #record(): LedgerRecord {
    const origin = hostOrigin();
    if (origin === undefined) throw new Error('the start time of this process was not shown');
    return { mark: hostMark(), ...origin, cgroups: [...this.#cgroups], login: ownLogin() };
  }
}

function refuse(problem: string): never {
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** Shared by all copies of the package in this thread that call the same functions of {@link HostGuard} and {@link Watch}. */
export const GUARD_PLACE = Symbol.for(`mcp-server-pool.guard/${SHARED_VERSION}`);

export function hostGuard(platform: Platform): HostGuard {
  const place = globalThis as { [GUARD_PLACE]?: HostGuard };
  place[GUARD_PLACE] ??= new HostGuard(platform);
  return place[GUARD_PLACE];
}
