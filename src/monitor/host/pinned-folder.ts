import { type BigIntStats, constants, type Dir, existsSync, lstatSync, readlinkSync, unlinkSync } from 'node:fs';
import { type FileHandle, lstat, open, opendir, readFile, readlink } from 'node:fs/promises';

/** Whether a folder can be held open, and its files be named through the descriptor. */
export const CAN_PIN = process.platform === 'linux' && existsSync('/proc/self/fd');

const FLAGS = CAN_PIN ? constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW : 0;
/** Waits for no writer of a pipe, should the name be one by now. */
const FILE_FLAGS = CAN_PIN ? constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK : 0;
/** A name may be any bytes, and latin1 keeps each. */
const ENCODING = CAN_PIN ? 'latin1' : 'utf8';

/**
 * A folder that is held open. Whatever becomes of its name meanwhile (another folder, a link), its files are those of the
 * folder that was opened. Names are latin1. Where that is not possible (macOS, Windows), it is only a path, good enough to
 * measure.
 */
export class PinnedFolder {
  readonly #handle: FileHandle | undefined;
  readonly #path: string;

  /** To be made by `open()`. @param handle undefined where it is only a path */
  constructor(handle: FileHandle | undefined, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  /** @throws with the errno: ELOOP or ENOTDIR when it is a link, or no folder */
  static open(path: string): Promise<PinnedFolder> {
    return pinned(path, path);
  }

  /** A folder in it, with the same errors. */
  enter(name: string): Promise<PinnedFolder> {
    return pinned(this.at(name), `${this.#path}/${name}`);
  }

  entries(): Promise<Dir> {
    return opendir(this.#path, { encoding: ENCODING, bufferSize: 100 });
  }

  /** Of the folder itself. */
  status(): Promise<BigIntStats> {
    return this.#handle ? this.#handle.stat({ bigint: true }) : lstat(this.#path, { bigint: true });
  }

  /** Of a file in it; of a link, not of what it leads to. */
  statusOf(name: string): Promise<BigIntStats> {
    return lstat(this.at(name), { bigint: true });
  }

  /**
   * Keeps a file in it open. While it is, its space is not given back, so that to remove its name takes no time, whatever
   * its size. Undefined when this user may not read it.
   */
  async hold(name: string): Promise<FileHandle | undefined> {
    return open(this.at(name), FILE_FLAGS).catch(() => undefined);
  }

  /**
   * Removes a name in it, if it still is that of the same, unchanged file. In one tick: a program may save a new file under the
   * name, or move the folder, at any time.
   * @param place where the folder must be, as `where()` shows it; any, when undefined
   * @returns whether it was removed
   * @throws with the errno
   */
  removeSame(name: string, status: BigIntStats, place?: string): boolean {
    const path = this.at(name);
    if (place !== undefined && readlinkSync(this.#path, ENCODING) !== place) return false;
    if (!isSame(lstatSync(path, { bigint: true }), status)) return false;
    unlinkSync(path);
    return true;
  }

  /** Where it is now. Not where it was opened, when it was moved. */
  where(): Promise<string> {
    return this.#handle ? readlink(this.#path, ENCODING) : Promise.resolve(this.#path);
  }

  /**
   * The number of the mount that it is on. Two mounts may show the same device. Undefined where the system does not show it.
   * @throws with the errno
   */
  async mount(): Promise<string | undefined> {
    if (!this.#handle) return undefined;
    const info = await readFile(`/proc/self/fdinfo/${this.#handle.fd}`, 'latin1');
    return /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
  }

  /** Never rejects: the descriptor is given back, whatever the disk answers. */
  async close(): Promise<void> {
    await this.#handle?.close().catch(() => {});
  }

  /** A path to a file in it. Goes through its descriptor, so it is good only as long as that is open. */
  at(name: string): string | Buffer {
    const path = `${this.#path}/${name}`;
    return CAN_PIN ? Buffer.from(path, ENCODING) : path;
  }
}

/** Outside of the class: where a class names itself, the built package would give it another name. */
async function pinned(file: string | Buffer, path: string): Promise<PinnedFolder> {
  if (CAN_PIN) {
    const handle = await open(file, FLAGS);
    return new PinnedFolder(handle, `/proc/self/fd/${handle.fd}`);
  }
  if ((await lstat(file)).isDirectory()) return new PinnedFolder(undefined, path);
  throw Object.assign(new Error(`ENOTDIR: no folder, ${path}`), { code: 'ENOTDIR' });
}

/** A path as {@link PinnedFolder.where} shows it. */
export function asShown(path: string): string {
  return CAN_PIN ? Buffer.from(path).toString(ENCODING) : path;
}

/** Whether a file was neither changed nor exchanged. */
export function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return (['dev', 'ino', 'mode', 'uid', 'nlink', 'size', 'mtimeNs', 'ctimeNs'] as const).every(
    (key) => one[key] === other[key],
  );
}
