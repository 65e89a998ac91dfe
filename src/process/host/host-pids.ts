import type { HostPids } from './host-sample.js';
import type { CgroupChain } from './own-cgroups.js';
import { limitIn, numberOf, restOf, type SystemFiles, wholeNumber } from './system-files.js';

/** What the sampler has read already. */
export interface PidTexts {
  /** /proc/self/status */
  readonly status: string | undefined;
  /** /proc/self/limits */
  readonly limits: string | undefined;
  /** All threads of the machine. */
  readonly threads: number | undefined;
}

/** Reads how many processes this host may have. */
export class PidReader {
  readonly #files: SystemFiles;
  readonly #counter: ThreadCounter;

  constructor(files: SystemFiles) {
    this.#files = files;
    this.#counter = new ThreadCounter(files);
  }

  /** @param now ms */
  read(chain: CgroupChain, texts: PidTexts, now: number): HostPids | undefined {
    const bounds = [...this.#ofCgroups(chain), ...this.#ofKernel(texts), ...this.#ofUser(texts, now)];
    return bounds.reduce<HostPids | undefined>(
      (least, one) => (least && least.allowed - least.used <= one.allowed - one.used ? least : one),
      undefined,
    );
  }

  #ofCgroups({ folders }: CgroupChain): HostPids[] {
    return folders.flatMap((folder) => {
      const allowed = limitIn(this.#files.read(`${folder}/pids.max`));
      if (allowed === undefined || allowed === Infinity) return [];
      return bound(wholeNumber(this.#files.read(`${folder}/pids.current`)), allowed, 'cgroup');
    });
  }

  #ofKernel({ threads }: PidTexts): HostPids[] {
    return ['pid_max', 'threads-max'].flatMap((file) =>
      bound(threads, wholeNumber(this.#files.read(`/proc/sys/kernel/${file}`)), 'kernel'),
    );
  }

  /** RLIMIT_NPROC counts the threads of this user in all processes. */
  #ofUser({ status, limits, threads }: PidTexts, now: number): HostPids[] {
    const allowed = numberOf(limits, 'Max processes');
    const user = numberOf(status, 'Uid:');
    if (allowed === undefined || allowed === Infinity || user === undefined || threads === undefined) return [];
    if (this.#isExempt(status, user)) return [];
    // To count those of the user costs a look at each process, so as long as there is room for all, all are taken for its.
    return bound(threads < allowed / 2 ? threads : this.#counter.count(user, now), allowed, 'user');
  }

  /** The kernel does not apply this limit to root, nor with CAP_SYS_ADMIN (21) or CAP_SYS_RESOURCE (24); but in a user namespace it does. */
  #isExempt(status: string | undefined, user: number): boolean {
    const isInitial = /^\s*0\s+0\s+4294967295\s*$/.test(this.#files.read('/proc/self/uid_map') ?? '');
    const [, capabilities = '0'] = /^\s*([0-9a-f]{1,16})\s*$/.exec(restOf(status, 'CapEff:') ?? '') ?? [];
    return isInitial && (user === 0 || (BigInt(`0x${capabilities}`) & ((1n << 21n) | (1n << 24n))) !== 0n);
  }
}

function bound(used: number | undefined, allowed: number | undefined, from: HostPids['from']): HostPids[] {
  if (used === undefined || allowed === undefined || used === Infinity || allowed === Infinity) return [];
  return [{ used, allowed, from }];
}

/** With more processes than this, the threads of a user are not counted: it would take some 20 ms. */
const MOST_PROCESSES = 2_000;
const COUNT_INTERVAL = 30_000;

/** Counts the threads of a user, as far as /proc shows them. */
class ThreadCounter {
  readonly #files: SystemFiles;
  #at = -Infinity;
  #count: number | undefined;

  constructor(files: SystemFiles) {
    this.#files = files;
  }

  count(user: number, now: number): number | undefined {
    if (now - this.#at >= COUNT_INTERVAL) {
      this.#at = now;
      this.#count = this.#countNow(user);
    }
    return this.#count;
  }

  #countNow(user: number): number | undefined {
    const pids = this.#files.names('/proc')?.filter((name) => /^\d+$/.test(name));
    if (pids === undefined || pids.length > MOST_PROCESSES) return undefined;
    let count = 0;
    for (const pid of pids) {
      if (this.#files.stat(`/proc/${pid}`)?.uid !== user) continue;
      const stat = this.#files.read(`/proc/${pid}/stat`);
      // `pid (name) state …`; the name may contain blanks and parentheses. Field 20: the number of threads.
      count += wholeNumber(stat?.slice(stat.lastIndexOf(')') + 2).split(' ', 18)[17]) ?? 0;
    }
    return count;
  }
}
