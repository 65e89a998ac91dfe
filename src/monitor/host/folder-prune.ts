import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../errors.js';
import { Heap, type HeapItem } from '../../runtime/heap.js';
import { bytesOf, type FoundFile, idOf, isOwnFolder, type WalkVisitor } from './folder-walk.js';
import type { Home } from './homes.js';
import { findOpen, type NamedFile, type OpenFiles } from './open-files.js';
import { asShown, isSame, type PinnedFolder } from './pinned-folder.js';
import type { Slices } from './slices.js';

/** Why a file is not removed. */
type Spared = 'young' | 'open' | 'foreign' | 'linked' | 'changed' | 'refused';

const WHY: Readonly<Record<Spared, string>> = {
  young: 'younger than 60 s',
  open: 'open',
  foreign: 'of other users, or in folders that others can change',
  linked: 'with several names',
  changed: 'changed or moved meanwhile',
  refused: 'that the system did not remove',
};

const MORE = 'the next look removes more';
/** The `problem` of a prune that should not be tried again soon. */
export const UNKNOWN = 'nothing is removed for 10 minutes: it could not be found out which files are open';

/** ms. A program may close a file and open it again. */
const YOUNG = 60_000;
/** So many are removed at most by one prune. */
const MOST = 10_000;
/** Bytes. To give back the space of a larger file may take long, so that is left to a thread. */
const LARGE = 16 * 1_048_576;
/** After this time it is looked again which files are open, ms. */
const FRESH = 5_000;

/** A file that may be removed. The heap has the file first that was changed last. */
class Candidate implements HeapItem, NamedFile {
  rank = 0;
  place = -1;
  readonly found: FoundFile;
  readonly #root: string;

  constructor(found: FoundFile, root: string) {
    this.found = found;
    this.#root = root;
  }

  get path(): string {
    return [this.#root, ...this.found.folder.way, this.found.name].join('/');
  }

  get size(): number {
    return bytesOf(this.found.status);
  }

  get inode(): string {
    return String(this.found.status.ino);
  }
}

/** What a prune has done. */
export interface Pruned {
  readonly removed: number;
  readonly bytes: number;
  /** Which files are left, and why; undefined when enough was removed. */
  readonly problem: string | undefined;
}

/** Chooses the files of a folder that were not changed for longest, and removes them. */
export class FolderPrune implements WalkVisitor {
  readonly #root: string;
  /** ms since 1970 */
  readonly #now: number;
  readonly #homes: readonly Home[];
  #isHomeMet = false;
  readonly #oldest = new Heap<Candidate>();
  readonly #spared = new Map<Spared, number>();

  /** @param root where the folder is, latin1 */
  constructor(root: string, now: number, homes: readonly Home[]) {
    this.#root = root;
    this.#now = now;
    this.#homes = homes;
  }

  /** Whether a home of this user is the folder, or in it. */
  get isHomeMet(): boolean {
    return (
      this.#isHomeMet || this.#homes.some(({ path }) => join(asShown(path), '/').startsWith(join(this.#root, '/')))
    );
  }

  /** By another mount a home may have another path. */
  onFolder(status: BigIntStats): void {
    const id = idOf(status);
    this.#isHomeMet ||= this.#homes.some((home) => home.id === id);
  }

  /** Notes a file of the folder. */
  onFile(found: FoundFile): void {
    const { folder, status } = found;
    if (!folder.isOwn || Number(status.uid) !== process.getuid?.()) return this.#spare('foreign');
    // The space comes free only with the last name.
    if (status.nlink !== 1n) return this.#spare('linked');
    // Not the time of the last change of its content, which any program can set.
    if (this.#now - Number(status.ctimeMs) < YOUNG) return this.#spare('young');
    const rank = -Number(status.mtimeMs);
    const { first, size } = this.#oldest;
    if (first && size >= MOST) {
      if (rank <= first.rank) return;
      this.#oldest.delete(first);
    }
    this.#oldest.set(new Candidate(found, this.#root), rank);
  }

  /**
   * Removes the oldest files until at least so many bytes are free.
   * @param folder the folder that was walked
   * @param dryRun whether nothing is removed: the result is what would have been
   */
  async run(folder: PinnedFolder, excess: number, slices: Slices, dryRun: boolean): Promise<Pruned> {
    const candidates = this.#inOrder();
    let [removed, bytes, gone] = [0, 0, 0];
    let open: OpenFiles | undefined;
    let searched = -Infinity;
    for (const [index, candidate] of candidates.entries()) {
      if (bytes + gone >= excess) break;
      if (slices.elapsed - searched > FRESH) {
        open = await findOpen(candidates.slice(index), slices);
        searched = slices.elapsed;
      }
      if (open === undefined) return { removed, bytes, problem: removed === 0 ? UNKNOWN : MORE };
      if (!(await slices.next())) return { removed, bytes, problem: MORE };
      const why = open.has(candidate) ? 'open' : await this.#remove(folder, candidate, dryRun);
      if (why === 'gone') gone += candidate.size;
      else if (why !== undefined) this.#spare(why);
      else {
        removed += 1;
        bytes += candidate.size;
      }
    }
    return { removed, bytes, problem: bytes + gone >= excess ? undefined : this.#problem(candidates.length) };
  }

  #spare(why: Spared): void {
    this.#spared.set(why, (this.#spared.get(why) ?? 0) + 1);
  }

  #inOrder(): Candidate[] {
    const candidates: Candidate[] = [];
    for (let { first } = this.#oldest; first; first = this.#oldest.first) {
      this.#oldest.delete(first);
      candidates.push(first);
    }
    return candidates.reverse();
  }

  /**
   * Goes from the root to the file again, by names, and looks at each folder and at the file. Undefined when it is removed.
   */
  async #remove(root: PinnedFolder, { found, path }: Candidate, dryRun: boolean): Promise<Spared | 'gone' | undefined> {
    const { folder, name, status } = found;
    const opened: PinnedFolder[] = [];
    let at = root;
    try {
      for (const part of folder.way) {
        at = await at.enter(part);
        opened.push(at);
        if (!isOwnFolder(await at.status())) return 'changed';
      }
      if (!isSame(await at.statusOf(name), status)) return 'changed';
      // The folder may have been moved out of the root since it was entered, or the root to elsewhere.
      const place = await at.where();
      if (`${place}/${name}` !== path) return 'changed';
      const isRemoved = dryRun || (await removeFrom(at, found, place));
      return isRemoved ? undefined : 'changed';
    } catch (error) {
      const errno = errnoOf(error) ?? '';
      if (errno === 'ENOENT') return 'gone';
      return ['ENOTDIR', 'ELOOP', 'EISDIR'].includes(errno) ? 'changed' : 'refused';
    } finally {
      for (const one of opened) await one.close();
    }
  }

  #problem(candidates: number): string {
    if (candidates === MOST) return MORE;
    const left = [...this.#spared].map(([why, count]) => `${count} ${WHY[why]}`).join(', ');
    return `not enough could be removed; files that stay: ${left}`;
  }
}

async function removeFrom(folder: PinnedFolder, { name, status }: FoundFile, place: string): Promise<boolean> {
  const held = bytesOf(status) > LARGE ? await folder.hold(name) : undefined;
  try {
    return folder.removeSame(name, status, place);
  } finally {
    await held?.close().catch(() => {});
  }
}
