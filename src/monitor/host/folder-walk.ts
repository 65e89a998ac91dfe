import type { BigIntStats, Dir } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { isOpenToOthers } from '../../process/guardian/safe-path.js';
import type { PinnedFolder } from './pinned-folder.js';
import type { Slices } from './slices.js';

/** A folder of a walk. */
export interface WalkedFolder {
  /** The names from the root to it; empty for the root. */
  readonly way: readonly string[];
  /** Whether only this user can change what is in it, and in the folders on the way to it. */
  readonly isOwn: boolean;
}

export interface FoundFile {
  readonly folder: WalkedFolder;
  readonly name: string;
  readonly status: BigIntStats;
}

/** What is in a folder. */
export interface Walked {
  /** A file with several names counts once. */
  readonly files: number;
  /** On the disk. */
  readonly bytes: number;
  /** Whether it ended at a limit. */
  readonly isPart: boolean;
  /** Folders that could not be read. */
  readonly unreadable: number;
}

const DEEPEST = 64;
/** Of so many files with several names it is known whether they were counted. */
const MOST_LINKED = 100_000;
const BLOCK = 512;

/**
 * Goes through the files of a folder and of the folders in it. It follows no link, and goes into no other mount, be it of the
 * same device.
 */
export async function walk(
  root: PinnedFolder,
  slices: Slices,
  visit: (file: FoundFile) => void = () => {},
): Promise<Walked> {
  const walker = new Walker(await markOf(root), slices, visit);
  await walker.enter(root, [], true);
  return walker;
}

/** The device and the mount of a folder. */
async function markOf(folder: PinnedFolder): Promise<string> {
  return `${(await folder.status()).dev}:${await folder.mount()}`;
}

/** Whether only this user can change what is in a folder. */
export function isOwnFolder(status: BigIntStats, uid = process.getuid?.()): boolean {
  return Number(status.uid) === uid && !isOpenToOthers({ mode: Number(status.mode), gid: Number(status.gid) }, uid);
}

class Walker implements Walked {
  readonly #mark: string;
  readonly #slices: Slices;
  readonly #visit: (file: FoundFile) => void;
  readonly #linked = new Set<string>();
  files = 0;
  bytes = 0;
  unreadable = 0;
  isPart = false;

  constructor(mark: string, slices: Slices, visit: (file: FoundFile) => void) {
    this.#mark = mark;
    this.#slices = slices;
    this.#visit = visit;
  }

  async enter(at: PinnedFolder, way: readonly string[], isOwn: boolean): Promise<void> {
    try {
      if ((await markOf(at)) !== this.#mark) return;
      const folder = { way, isOwn: isOwn && isOwnFolder(await at.status()) };
      for (const name of await this.#list(at, folder)) {
        if (this.isPart) return;
        await this.#enterNext(at, name, folder);
      }
    } catch (error) {
      this.#note(error);
    }
  }

  async #enterNext(at: PinnedFolder, name: string, { way, isOwn }: WalkedFolder): Promise<void> {
    if (way.length >= DEEPEST) {
      this.unreadable += 1;
      return;
    }
    let next: PinnedFolder | undefined;
    try {
      next = await at.enter(name);
      await this.enter(next, [...way, name], isOwn);
    } catch (error) {
      this.#note(error);
    } finally {
      await next?.close();
    }
  }

  /** The folders in it. They are entered when it is no longer open for reading: each level needs one descriptor. */
  async #list(at: PinnedFolder, folder: WalkedFolder): Promise<string[]> {
    const folders: string[] = [];
    const entries: Dir = await at.entries();
    for await (const entry of entries) {
      if (!(await this.#slices.next())) {
        this.isPart = true;
        break;
      }
      if (entry.isDirectory()) folders.push(entry.name);
      else if (entry.isFile()) await this.#meet(at, folder, entry.name);
    }
    return folders;
  }

  async #meet(at: PinnedFolder, folder: WalkedFolder, name: string): Promise<void> {
    try {
      const status = await at.statusOf(name);
      if (!status.isFile() || this.#wasCounted(status)) return;
      this.files += 1;
      this.bytes += bytesOf(status);
      this.#visit({ folder, name, status });
    } catch (error) {
      this.#note(error);
    }
  }

  #wasCounted({ dev, ino, nlink }: BigIntStats): boolean {
    if (nlink <= 1n) return false;
    const key = `${dev}:${ino}`;
    if (this.#linked.has(key)) return true;
    if (this.#linked.size < MOST_LINKED) this.#linked.add(key);
    return false;
  }

  /** What vanishes, or becomes a link, is not there. */
  #note(error: unknown): void {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) this.unreadable += 1;
  }
}

/** What a file takes on the disk. */
export function bytesOf({ blocks }: BigIntStats): number {
  return Number(blocks) * BLOCK;
}
