import type { BigIntStats, Dir } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { mayBeOpenToOthers } from '../../runtime/safe-path.js';
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

/** Sees what a walk finds. */
export interface WalkVisitor {
  onFolder(status: BigIntStats): void;
  onFile(file: FoundFile): void;
}

/** What is in a folder. */
export interface Walked {
  /** A file with several names counts once. */
  readonly files: number;
  /** On the disk. */
  readonly bytes: number;
  /** Whether it ended early, so that there may be more. */
  readonly isPart: boolean;
  /** Why it ended early; undefined at its limit. */
  readonly failure: string | undefined;
  /** Folders that could not be read. */
  readonly unreadable: number;
}

const DEEPEST = 64;
/** Of so many files with several names it is known whether they were counted. */
const MOST_LINKED = 100_000;
const BLOCK = 512;
/** What vanishes, or becomes a link, is not there. */
const GONE = ['ENOENT', 'ENOTDIR', 'ELOOP'];
/** The host has no more of what each look needs. */
const EXHAUSTED = ['EMFILE', 'ENFILE', 'ENOMEM'];

/**
 * Goes through the files of a folder and of the folders in it. It follows no link, and goes into no other mount, be it of the
 * same device.
 */
export async function walk(root: PinnedFolder, slices: Slices, visitor?: WalkVisitor): Promise<Walked> {
  const walker = new Walker(markOf(await root.status(), await root.mount()), slices, visitor);
  await walker.enter(root, [], true);
  return walker;
}

/** The device and the mount of a folder. */
function markOf({ dev }: BigIntStats, mount: string | undefined): string {
  return `${dev}:${mount}`;
}

/** Whether only this user can change what is in a folder. */
export function isOwnFolder({ uid, mode }: BigIntStats): boolean {
  return Number(uid) === process.getuid?.() && !mayBeOpenToOthers({ mode: Number(mode) });
}

/** The same for all names of a file or folder, wherever they are. */
export function idOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

class Walker implements Walked {
  readonly #mark: string;
  readonly #slices: Slices;
  readonly #visitor: WalkVisitor | undefined;
  readonly #linked = new Set<string>();
  files = 0;
  bytes = 0;
  unreadable = 0;
  isPart = false;
  failure: string | undefined;

  constructor(mark: string, slices: Slices, visitor: WalkVisitor | undefined) {
    this.#mark = mark;
    this.#slices = slices;
    this.#visitor = visitor;
  }

  async enter(at: PinnedFolder, way: readonly string[], isOwn: boolean): Promise<void> {
    try {
      const status = await at.status();
      if (markOf(status, await at.mount()) !== this.#mark) return;
      this.#visitor?.onFolder(status);
      const folder = { way, isOwn: isOwn && isOwnFolder(status) };
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
      this.#visitor?.onFile({ folder, name, status });
    } catch (error) {
      this.#note(error);
    }
  }

  #wasCounted(status: BigIntStats): boolean {
    if (status.nlink <= 1n) return false;
    const id = idOf(status);
    if (this.#linked.has(id)) return true;
    if (this.#linked.size < MOST_LINKED) this.#linked.add(id);
    return false;
  }

  #note(error: unknown): void {
    const errno = errnoOf(error) ?? '';
    if (GONE.includes(errno)) return;
    if (!EXHAUSTED.includes(errno)) this.unreadable += 1;
    else {
      this.isPart = true;
      this.failure = errno;
    }
  }
}

/** What a file takes on the disk. */
export function bytesOf({ blocks }: BigIntStats): number {
  return Number(blocks) * BLOCK;
}
