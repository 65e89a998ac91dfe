import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import type { ProcessRow } from '../process-table.js';

/**
 * Whether a process holds the other end of the stdin of an MCP server. `held`: a process can still write to it.
 * `closed`: none can ever again. `unknown`: stdin is neither a pipe nor a socket pair, or the other end is not visible
 * from here.
 */
export type StdinState = 'held' | 'closed' | 'unknown';

/** The reference count of one end of a socket pair when the other end is closed: its own, and that of the kernel's list. */
const ALONE = 2;
/**
 * `Num: RefCount Protocol Flags Type St Inode`, hexadecimal except the last. A socket with a path is not part of a
 * pair.
 */
const UNNAMED_SOCKET = /^[0-9a-f]+: ([0-9a-f]{8}) [0-9a-f]{8} [0-9a-f]{8} 0001 [0-9a-f]{2}\s+(\d+)$/;
/** A writable descriptor, by the last two bits of `flags`, which is octal (open(2), O_WRONLY, O_RDWR). */
const WRITABLE = /^flags:\s+[0-7]*[1256]$/m;

/**
 * Reads the stdin of processes, for one scan. Node and Python give their children one end of a socket pair, others a
 * pipe.
 */
export class StdinReader {
  readonly #rows: ReadonlyMap<number, ProcessRow>;
  #sockets: ReadonlyMap<string, number> | undefined;
  #writers: Writers | undefined;

  constructor(rows: ReadonlyMap<number, ProcessRow>) {
    this.#rows = rows;
  }

  of(pid: number): StdinState {
    const [, kind, inode = ''] = /^(socket|pipe):\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/0`) ?? '') ?? [];
    if (kind === 'socket') return this.#ofSocket(inode);
    return kind === 'pipe' ? this.#ofPipe(inode) : 'unknown';
  }

  /** Each end of a pair holds a reference to the other, until it is closed (net/unix/af_unix.c). */
  #ofSocket(inode: string): StdinState {
    this.#sockets ??= readSockets();
    const references = this.#sockets.get(inode);
    // Not listed: a socket of another network namespace, or of another kind.
    if (references === undefined) return 'unknown';
    return references <= ALONE ? 'closed' : 'held';
  }

  /**
   * A pipe is held if any process has it open for writing. Processes of other users cannot be read, but may be the
   * writer.
   */
  #ofPipe(inode: string): StdinState {
    this.#writers ??= findWriters(this.#rows);
    if (this.#writers.pipes.has(inode)) return 'held';
    return this.#writers.complete ? 'closed' : 'unknown';
  }
}

function readSockets(): Map<string, number> {
  const references = new Map<string, number>();
  let text = '';
  try {
    text = readFileSync('/proc/net/unix', 'latin1');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'EACCES') throw error;
  }
  for (const line of text.split('\n')) {
    const [, count, inode] = UNNAMED_SOCKET.exec(line) ?? [];
    if (count !== undefined && inode !== undefined) references.set(inode, Number.parseInt(count, 16));
  }
  return references;
}

interface Writers {
  /** Inodes of the pipes that a process has open for writing. */
  readonly pipes: ReadonlySet<string>;
  /** Whether all processes could be read. */
  readonly complete: boolean;
}

/** Takes some microseconds for each descriptor of the machine, so it runs only if a pipe has to be judged. */
function findWriters(rows: ReadonlyMap<number, ProcessRow>): Writers {
  const pipes = new Set<string>();
  let complete = true;
  for (const { pid, dead } of rows.values()) {
    if (dead) continue;
    let descriptors: string[] = [];
    try {
      descriptors = readdirSync(`/proc/${pid}/fd`);
    } catch (error) {
      if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') complete = false;
      else if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ESRCH') throw error;
    }
    for (const descriptor of descriptors) {
      const inode = /^pipe:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`) ?? '')?.[1];
      if (inode === undefined || pipes.has(inode)) continue;
      if (isWritable(`/proc/${pid}/fdinfo/${descriptor}`)) pipes.add(inode);
    }
  }
  return { pipes, complete };
}

function isWritable(path: string): boolean {
  try {
    return WRITABLE.test(readFileSync(path, 'latin1'));
  } catch (error) {
    // It was closed since the list was read.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return false;
    throw error;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
