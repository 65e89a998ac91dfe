import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '../errors.js';
import { makePrivate } from '../process/guardian/runtime-folder.js';
import { pathProblem } from '../runtime/safe-path.js';
import { isInUse, useFolder } from './folder-users.js';
import { FOLDER, FOLDER_PREFIX, type PackageRecord, parseRecord, recordText } from './package-record.js';
import { REPORTER, REPORTER_NAME, SHELL, SHELL_NAME } from './resolve-shell.js';

/** In the cache of npm. */
const ROOT = '_mcp-server-pool';
const RECORD = 'record.json';
/** Where npm keeps what it has downloaded: every installation shares it. */
const DOWNLOADS = '_cacache';
const SHELL_PREFIX = 'shell-';
/** In an installation since when another one counts. */
const PAST = 'past';
/** A host that has read the record before takes no longer to write down that it uses what that names, ms. */
const READER_TIME = 60_000;

/** Longer than any run of npm, ms. */
const LITTER_AGE = 86_400_000;

/** The folder of an installation, which is in use until `release` was called. */
export interface Installation {
  readonly folder: string;
  release(): void;
}

/**
 * The folder of one command line of npx, in the cache of npm. Each installation gets a folder of its own in it, which npm takes
 * for its cache: nothing that runs is ever changed, and no other npm works in it. A record says which one counts.
 */
export class PackageFolder {
  readonly path: string;
  readonly #cache: string;

  constructor(cache: string, key: string) {
    this.#cache = cache;
    this.path = join(cache, ROOT, key);
  }

  /** What was found before; undefined when nothing was, it is not there any more, or others could have written it. */
  read(): PackageRecord | undefined {
    try {
      const file = join(this.path, RECORD);
      const record = parseRecord(readFileSync(file, 'utf8'));
      // It decides what is executed. The cache of npm may be anywhere, such as in /tmp.
      if (record && pathProblem(file) !== undefined) return undefined;
      return record && statSync(record.program).isFile() ? record : undefined;
    } catch {
      return undefined;
    }
  }

  /** From now on this one counts, and not `before`. Others see the old or the new one, never a part. */
  write(record: PackageRecord, before?: PackageRecord): void {
    const past = before && this.folderOf(before);
    if (past !== undefined && before?.installed !== record.installed)
      writeFileSync(join(past, PAST), '', { mode: 0o600 });
    const draft = join(this.path, `${RECORD}.${process.pid}.draft`);
    writeFileSync(draft, recordText(record), { mode: 0o600 });
    renameSync(draft, join(this.path, RECORD));
  }

  /**
   * Makes the folder of a new installation, for npm to use as its cache.
   * @throws Error that says why the cache of npm cannot be used
   */
  create(): Installation {
    this.#make();
    const downloads = join(this.#cache, DOWNLOADS);
    mkdirSync(downloads, { recursive: true });
    const folder = mkdtempSync(join(this.path, FOLDER_PREFIX));
    symlinkSync(downloads, join(folder, DOWNLOADS));
    return { folder, release: useFolder(folder) };
  }

  /** Makes the shell that npm is given. Returns its folder. */
  createShell(): string {
    this.#make();
    const folder = mkdtempSync(join(this.path, SHELL_PREFIX));
    writeFileSync(join(folder, REPORTER_NAME), REPORTER, { mode: 0o600 });
    writeFileSync(join(folder, SHELL_NAME), SHELL, { mode: 0o700 });
    return folder;
  }

  /** The folder of the installation of a record. */
  folderOf({ installed }: PackageRecord): string | undefined {
    return installed === undefined ? undefined : join(this.path, installed);
  }

  /**
   * Something is started from it: nobody removes it until what is returned was called. False when it is not there any more.
   */
  use(record: PackageRecord): (() => void) | false {
    const folder = this.folderOf(record);
    if (folder === undefined) return () => {};
    let release = () => {};
    try {
      release = useFolder(folder);
      if (statSync(record.program).isFile()) return release;
    } catch (error) {
      // ENOSPC, EROFS: then nobody installs a newer version either, for which this one would be removed.
      if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return release;
    }
    release();
    return false;
  }

  /** Removes a folder that nothing was started from. */
  async discard(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
  }

  /** Removes the installations that do not count any more, and that no host uses. */
  async prune(current: PackageRecord): Promise<void> {
    for (const name of this.#names()) {
      const folder = join(this.path, name);
      if (name.startsWith(SHELL_PREFIX) && isLitter(folder)) await this.discard(folder);
      if (!FOLDER.test(name)) continue;
      if (name !== current.installed && !isInUse(folder) && isPast(folder)) await this.discard(folder);
    }
  }

  /** The name of the folder of an installation. */
  nameOf(folder: string): string {
    return basename(folder);
  }

  #names(): string[] {
    try {
      return readdirSync(this.path);
    } catch {
      return [];
    }
  }

  #make(): void {
    mkdirSync(this.#cache, { recursive: true });
    makePrivate(join(this.#cache, ROOT));
    makePrivate(this.path);
  }
}

/** Without the file it was never finished: the host that has begun it is dead. */
function isPast(folder: string): boolean {
  try {
    return Date.now() - statSync(join(folder, PAST)).mtimeMs > READER_TIME;
  } catch {
    return true;
  }
}

/** It is needed for one run of npm: a host that has died has left it. */
function isLitter(folder: string): boolean {
  return Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0) > LITTER_AGE;
}

/** Removes what is needed for a moment only. */
export function removeNow(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
