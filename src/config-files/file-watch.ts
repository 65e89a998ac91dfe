import { type FSWatcher, statSync, watch } from 'node:fs';
import type { Clock, Timer } from '../runtime/clock.js';
import { linksTo } from '../runtime/links.js';
import { type FileMark, markOfFile } from './read-file.js';

interface FileWatchParts {
  readonly clock: Clock;
  /** How long nothing may change before `onQuiet` is called, ms. */
  readonly quiet: number;
  /** Time between two looks at the marks of the files, ms: some file systems report no changes. */
  readonly pollInterval: number;
  /** Something has changed, and nothing more since `quiet`. */
  readonly onQuiet: () => void;
}

interface WatchedFolder {
  readonly watcher: FSWatcher;
  /** Another folder may get its name. */
  readonly inode: string;
  names: ReadonlySet<string>;
}

/**
 * Tells when files have changed: written, renamed, replaced, removed or made, also by a link on their way. It watches their
 * folders, since a watch of a file ends with that file. It keeps no host alive.
 */
export class FileWatch {
  readonly #parts: FileWatchParts;
  readonly #folders = new Map<string, WatchedFolder>();
  #marks: ReadonlyMap<string, FileMark | undefined> = new Map();
  #quietTimer: Timer | undefined;
  #pollTimer: Timer | undefined;
  #isClosed = false;

  constructor(parts: FileWatchParts) {
    this.#parts = parts;
    this.#schedulePoll();
  }

  /** The files from now on, each with its mark when it was read. */
  follow(marks: ReadonlyMap<string, FileMark | undefined>): void {
    this.#marks = marks;
    this.#refresh();
  }

  /** Something has changed: the quiet begins anew. */
  touch(): void {
    if (this.#isClosed) return;
    const { clock, quiet, onQuiet } = this.#parts;
    this.#quietTimer?.cancel();
    this.#quietTimer = clock.after(quiet, () => {
      this.#quietTimer = undefined;
      onQuiet();
    });
  }

  /** Whether something has changed and the quiet is not over. */
  get isTouched(): boolean {
    return this.#quietTimer !== undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#quietTimer?.cancel();
    this.#pollTimer?.cancel();
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  #schedulePoll(): void {
    this.#pollTimer = this.#parts.clock.after(this.#parts.pollInterval, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    const marks = this.#marks;
    for (const [path, mark] of marks) {
      const now = await markOfFile(path);
      if (this.#isClosed) return;
      // What was read meanwhile has marks of its own.
      if (now !== mark && marks === this.#marks) {
        this.touch();
        break;
      }
    }
    this.#refresh();
    this.#schedulePoll();
  }

  /** Watches the folders in which the files can be exchanged now. */
  #refresh(): void {
    if (this.#isClosed) return;
    const wanted = new Map<string, Set<string>>();
    for (const { folder, name } of [...this.#marks.keys()].flatMap(linksTo)) {
      const names = wanted.get(folder) ?? new Set();
      wanted.set(folder, names.add(name));
    }
    for (const [folder, { watcher, inode }] of this.#folders) {
      if (wanted.has(folder) && inode === inodeOf(folder)) continue;
      watcher.close();
      this.#folders.delete(folder);
    }
    for (const [folder, names] of wanted) {
      const watched = this.#folders.get(folder);
      if (watched) watched.names = names;
      else this.#watch(folder, names);
    }
  }

  #watch(folder: string, names: ReadonlySet<string>): void {
    try {
      const watcher = watch(folder, { persistent: false });
      const watched: WatchedFolder = { watcher, inode: inodeOf(folder), names };
      this.#folders.set(folder, watched);
      watcher.on('change', (_event, name) => {
        if (this.#folders.get(folder) === watched && (name === null || watched.names.has(String(name)))) this.touch();
      });
      // It is gone: the next look at the marks finds what is there instead.
      watcher.on('error', () => {
        watcher.close();
        if (this.#folders.get(folder) === watched) this.#folders.delete(folder);
      });
    } catch {
      // The system has no more watches, or the folder is gone: the marks are looked at all the same.
    }
  }
}

function inodeOf(folder: string): string {
  try {
    const { dev, ino } = statSync(folder, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return '';
  }
}
