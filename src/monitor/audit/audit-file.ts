import { type BigIntStats, constants } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../../errors.js';
import { mayBeOpenToOthers, pathProblem } from '../../runtime/safe-path.js';
import { type AuditDoor, fileSystem, NEW_LINE } from './audit-door.js';

/** Whole lines by several writers; no link; created; readable, for the end of the last line; no wait for a FIFO's reader. */
const FLAGS =
  constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const MODE = 0o600;
const MB = 1_048_576;
/** How often one write opens the file, or tries to lock it. */
const MOST_ATTEMPTS = 10;
const NEVER_THERE = 'another program replaces or removes it again and again';
/** A lock that is older was left by a host that died while it rotated, ms. */
const OLDEST_LOCK = 10_000;

/** Where an audit trail is: as the option `audit`. */
export interface AuditPlace {
  readonly path: string;
  readonly maxMB: number;
  readonly keep: number;
}

/**
 * The file of an audit trail: appends whole lines and rotates. Other pools, other hosts and other tools may do the same at the
 * same time, so it looks before each write whether its file still has the name.
 */
export class AuditFile {
  readonly #path: string;
  readonly #most: number;
  readonly #keep: number;
  readonly #door: AuditDoor;
  readonly #onFlaw: (problem: string) => void;
  #descriptor: number | undefined;
  #isRotationChecked = false;
  /** How often in a row the file was removed while it was written. */
  #removals = 0;

  /** @param onFlaw called when it can be written, but will not be able to rotate */
  constructor({ path, maxMB, keep }: AuditPlace, onFlaw: (problem: string) => void, door: AuditDoor = fileSystem) {
    this.#path = path;
    this.#most = maxMB * MB;
    this.#keep = keep;
    this.#onFlaw = onFlaw;
    this.#door = door;
  }

  /**
   * Makes the file ready for that many bytes.
   * @returns appends some lines, each with its line break; resolves with how many of them are in the file as a whole: fewer
   *   where the disk has become full
   * @throws Error with the reason why the file cannot be used; the function that is returned, too, when nothing was written
   */
  async prepare(length: number): Promise<(lines: readonly string[]) => Promise<number>> {
    const { descriptor, size } = await this.#ready(length);
    // A host has died in the middle of its line, or the disk was full there.
    const head = size > 0 && (await this.#lastByte(descriptor, size)) !== NEW_LINE ? '\n' : '';
    return async (lines) => {
      const written = (await this.#door.write(descriptor, Buffer.from(head + lines.join('')))) - head.length;
      if (await this.#isRemoved(descriptor)) return 0;
      let end = 0;
      return lines.filter((line) => {
        end += Buffer.byteLength(line);
        return end <= written;
      }).length;
    };
  }

  /**
   * The same in this tick, for the exit of the host. Rotates nothing.
   * @throws Error
   */
  appendNow(lines: readonly string[]): void {
    assertSafe(this.#path);
    this.#door.appendNow(this.#path, lines.join(''), { flags: FLAGS, mode: MODE, check: needsMode });
  }

  async close(): Promise<void> {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) await this.#door.close(descriptor);
  }

  /** The file, open and with room for that many bytes; and its size. */
  async #ready(length: number): Promise<{ descriptor: number; size: number }> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      this.#descriptor ??= await this.#open();
      const size = await this.#sizeIfCurrent(this.#descriptor);
      if (size !== undefined) {
        const hasRoom = size === 0 || size + length <= this.#most;
        // Where another host rotates just now, this batch is the last of the old file.
        if (hasRoom || !(await this.#rotate(this.#descriptor, size))) return { descriptor: this.#descriptor, size };
      }
      await this.close();
    }
    throw new Error(NEVER_THERE);
  }

  /** Another host with `keep: 0`, or another tool, may remove the file between the last look at it and the write. */
  async #isRemoved(descriptor: number): Promise<boolean> {
    // Its lines are written, so an error here is none of them.
    const stat = await this.#door.fstat(descriptor).catch(() => undefined);
    this.#removals = hasUsers && stat?.nlink === 0n ? this.#removals + 1 : 0;
    if (this.#removals >= MOST_ATTEMPTS) throw new Error(NEVER_THERE);
    return this.#removals > 0;
  }

  async #open(): Promise<number> {
    // Before the checks, which are synchronous: a disk that does not answer must stop this operation, not the host.
    await this.#door.lstat(dirname(this.#path));
    assertSafe(this.#path);
    const descriptor = await this.#door.open(this.#path, FLAGS, MODE).catch(refuseLink);
    try {
      if (needsMode(await this.#door.fstat(descriptor))) await this.#door.fchmod(descriptor, MODE);
      await this.#checkRotation();
    } catch (error) {
      await this.#door.close(descriptor);
      throw error;
    }
    return descriptor;
  }

  /** To append needs no right on the folder, so that it would show only when the file is full. Once. */
  async #checkRotation(): Promise<void> {
    if (this.#isRotationChecked) return;
    this.#isRotationChecked = true;
    try {
      await this.#door.mayWriteIn(dirname(this.#path));
    } catch (error) {
      const why = `this user may not write to its folder (${errnoOf(error) ?? 'unknown'})`;
      this.#onFlaw(`${why}, so it cannot rotate: when it has ${this.#most / MB} MB, no more lines are written`);
    }
  }

  /** Undefined when the path has another file by now, or none. */
  async #sizeIfCurrent(descriptor: number): Promise<number | undefined> {
    const named = await this.#door.lstat(this.#path).catch(noneIfMissing);
    const open = await this.#door.fstat(descriptor);
    return named?.ino === open.ino && named.dev === open.dev ? Number(open.size) : undefined;
  }

  async #lastByte(descriptor: number, size: number): Promise<number | undefined> {
    const byte = Buffer.alloc(1);
    return (await this.#door.read(descriptor, byte, size - 1)) === 1 ? byte[0] : undefined;
  }

  /** Moves the files on by one number. False when another host does that just now. */
  async #rotate(descriptor: number, size: number): Promise<boolean> {
    const lock = `${this.#path}.lock`;
    if (!(await this.#lock(lock))) return false;
    try {
      const now = await this.#sizeIfCurrent(descriptor);
      if (now === undefined || now < size) return true;
      for (let number = this.#keep - 1; number >= 1; number--) {
        await this.#door.rename(`${this.#path}.${number}`, `${this.#path}.${number + 1}`).catch(noneIfMissing);
      }
      if (this.#keep > 0) await this.#door.rename(this.#path, `${this.#path}.1`);
      else await this.#door.unlink(this.#path);
      return true;
    } finally {
      await this.#door.rmdir(lock).catch(noneIfMissing);
    }
  }

  /** Two hosts that rotate at the same time would move the new file, too. */
  async #lock(lock: string): Promise<boolean> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      try {
        await this.#door.mkdir(lock, 0o700);
        return true;
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error;
      }
      const stat = await this.#door.lstat(lock).catch(noneIfMissing);
      if (stat === undefined) continue;
      // In /tmp another user could make it again and again, and the file would grow for ever.
      if (hasUsers && Number(stat.uid) !== process.geteuid?.()) throw new Error(`${lock} belongs to another user`);
      if (Math.abs(Date.now() - Number(stat.mtimeMs)) < OLDEST_LOCK) return false;
      await this.#door.rmdir(lock).catch(noneIfMissing);
    }
    return false;
  }
}

/** Windows shows other rights than those that count. */
const hasUsers = process.getuid !== undefined;

function assertSafe(path: string): void {
  const problem = hasUsers ? pathProblem(dirname(path), undefined, mayBeOpenToOthers) : undefined;
  if (problem !== undefined) throw new Error(`its folder is not safe: ${problem}`);
}

/**
 * Of the open file, not of its name, which may mean another one by now.
 * @returns whether others can read it: then it is older than the trail
 * @throws Error when it must not be used
 */
function needsMode({ mode, uid, nlink }: BigIntStats): boolean {
  const type = Number(mode) & constants.S_IFMT;
  if (type !== constants.S_IFREG) throw new Error('it is no regular file');
  if (!hasUsers) return false;
  if (Number(uid) !== process.geteuid?.()) throw new Error('it belongs to another user');
  if (nlink > 1n) throw new Error('it is a hard link: the same file has another name');
  if ((Number(mode) & 0o022) !== 0) throw new Error('other users can write to it; take their rights away (chmod go-w)');
  return (Number(mode) & 0o077) !== 0;
}

function refuseLink(error: unknown): never {
  throw errnoOf(error) === 'ELOOP' ? new Error('it is a symbolic link; name the file itself') : error;
}

function noneIfMissing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
