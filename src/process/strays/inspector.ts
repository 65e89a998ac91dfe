import { readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { hostMark, MARK_VARIABLE, type MarkedHost, marksIn, rlimitIn } from '../marks/marker.js';
import type { ProcessRow } from '../process-table.js';
import { StdinLook, type StdinState } from './stdin-state.js';

/** What one look at the machine tells of a process beside its row. Each is asked for only when it matters: they cost more. */
export interface Inspector {
  /** Whether its real and its effective user are those of this process, and it lives in the same pid namespace. */
  isOurUsers(pid: number): boolean;
  /** Its arguments joined by blanks. Empty for what has none, such as threads of the kernel. */
  commandLine(pid: number): string;
  /** Memory that is its own (not of files, not shared), MB. */
  memory(pid: number): number;
  /** Whose server it is; `ours` also if a pool of ours stands further out. */
  markedBy(pid: number): 'ours' | MarkedHost | undefined;
  /** The unit that it is the main process of, if a service manager started it. */
  serviceOf(row: ProcessRow): string | undefined;
  stdin(pid: number): StdinState;
}

/** One look at a Linux machine, by /proc. */
export class LinuxInspector implements Inspector {
  readonly #stdin: StdinLook;
  /** What is asked for more than once. */
  readonly #status = new Map<number, string>();
  readonly #namespace = link('/proc/self/ns/pid');
  readonly #limit = limitOf('self');

  constructor(rows: ReadonlyMap<number, ProcessRow>) {
    this.#stdin = new StdinLook(rows);
  }

  isOurUsers(pid: number): boolean {
    const [real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(this.#statusOf(pid))?.slice(1).map(Number) ?? [];
    if (real !== process.getuid?.() || effective !== process.geteuid?.()) return false;
    // The root of a container has the number of ours; but its processes have an init, and hosts, of their own.
    const namespace = link(`/proc/${pid}/ns/pid`);
    return namespace === undefined || namespace === this.#namespace;
  }

  commandLine(pid: number): string {
    // A program that shows a title there (npm) may leave blanks and NULs behind it.
    return readText(`/proc/${pid}/cmdline`)
      .replace(/[\0\s]+$/, '')
      .replaceAll('\0', ' ');
  }

  memory(pid: number): number {
    const kilobytes = Number(/^RssAnon:\s+(\d+) kB/m.exec(this.#statusOf(pid))?.[1] ?? 0);
    return Math.round((kilobytes / 1_024) * 10) / 10;
  }

  markedBy(pid: number): 'ours' | MarkedHost | undefined {
    const { text: own, number: ownNumber } = hostMark();
    const texts = hostsIn(readText(`/proc/${pid}/environ`));
    const number = limitOf(pid);
    if (texts.includes(own) || number === ownNumber) return 'ours';
    // What this process bears itself it has inherited, as others have; the innermost of the rest is who started it.
    const outer = new Set(hostsIn(`${MARK_VARIABLE}=${process.env[MARK_VARIABLE] ?? ''}`));
    const text = texts.findLast((host) => !outer.has(host));
    if (text !== undefined) return { text };
    return number === undefined || number === this.#limit ? undefined : { number };
  }

  serviceOf({ pid, session }: ProcessRow): string | undefined {
    const unit = /^(?:0:|\d+:name=systemd):.*\/([^/\n]+\.service)$/m.exec(readText(`/proc/${pid}/cgroup`))?.[1];
    if (unit === undefined) return undefined;
    // systemd since version 248 says whom it has started itself (systemd.exec(5), SYSTEMD_EXEC_PID); whoever is below
    // inherits that. Before, and where a service has forked: systemd makes its processes leaders of sessions.
    const started = /(?:^|\0)SYSTEMD_EXEC_PID=(\d+)/.exec(readText(`/proc/${pid}/environ`))?.[1];
    const isMain = started === undefined ? session === pid : Number(started) === pid;
    return isMain ? unit : undefined;
  }

  stdin(pid: number): StdinState {
    return this.#stdin.of(pid);
  }

  #statusOf(pid: number): string {
    const text = this.#status.get(pid) ?? readText(`/proc/${pid}/status`);
    this.#status.set(pid, text);
    return text;
  }
}

function hostsIn(environment: string): string[] {
  return marksIn(Buffer.from(environment, 'latin1')).map((mark) => mark.slice(0, mark.indexOf('.')));
}

function limitOf(pid: number | 'self'): number | undefined {
  const value = rlimitIn(readText(`/proc/${pid}/limits`));
  return value === undefined ? undefined : Number(value >> 31n);
}

/** Empty when there is no such process any more, or it may not be looked at: nothing that would make it a stray. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (isHidden(error)) return '';
    throw error;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

function isHidden(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
}
