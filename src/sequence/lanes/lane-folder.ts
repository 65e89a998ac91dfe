import { createHash } from 'node:crypto';
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf, PoolError } from '../../errors.js';
import { withDescriptor } from '../../process/descriptors.js';
import { makePrivate } from '../../process/guardian/runtime-folder.js';

/**
 * Where the folders of all lanes are. It must not depend on the environment (TMPDIR, XDG_RUNTIME_DIR): a terminal, a git
 * hook and a service of the same user have different ones, and must meet. `/run/user` is no place either: it is removed
 * when the user logs out, also while a command runs on.
 */
const COMMON = '/tmp';
/** The longest path of a socket, bytes: 108 with the NUL on Linux, 104 on macOS. */
const LONGEST_PATH = 103;
/** Of a ticket. */
const LONGEST_NAME = 15 + 1 + 24;

/** The folder of one lane of this user. It exists only while the lane is in use. */
export class LaneFolder {
  readonly path: string;
  /** Names the lane in the environment of its command. */
  readonly name: string;
  readonly #lane: string;
  readonly #root: string;

  /**
   * @param chosen an absolute path in place of the folder of this user in /tmp
   * @throws PoolError `NOT_SUPPORTED` where there are no users, `LANE_UNAVAILABLE` when the path is too long for a socket
   */
  constructor(lane: string, chosen: string | undefined, uid = process.getuid?.()) {
    if (uid === undefined) {
      throw new PoolError(
        'NOT_SUPPORTED',
        'lanes need Unix sockets in a private folder, which this system does not have',
      );
    }
    this.#lane = lane;
    this.#root = chosen ?? join(COMMON, `mcp-server-pool-${uid}`);
    // Not the lane itself: it may be long, and differ from another one only in case, which some file systems ignore.
    this.name = createHash('sha256').update(`mcp-server-pool lane ${lane}`).digest('hex').slice(0, 16);
    this.path = join(this.#root, `lane-${this.name}`);
    if (Buffer.byteLength(this.path) + 1 + LONGEST_NAME > LONGEST_PATH) {
      this.refuse(`the path of a socket in it would be longer than ${LONGEST_PATH} bytes; choose a shorter folder`);
    }
  }

  /**
   * Makes it, if it is not there.
   * @throws PoolError `LANE_UNAVAILABLE` when it cannot be made, or other users could reach into it
   */
  make(): void {
    for (const path of [this.#root, this.path]) {
      try {
        makePrivate(path);
      } catch (error) {
        // The last one in the lane has just removed it; the caller tries again.
        if (path === this.path && errnoOf(error) === 'ENOENT') continue;
        this.refuse(`${path}: ${messageOf(error)}`);
      }
    }
  }

  /**
   * The names of the files in it; none when there is no such folder.
   * @throws PoolError `LANE_UNAVAILABLE`
   */
  list(): string[] {
    try {
      return withDescriptor(() => readdirSync(this.path));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      return this.refuse(errnoOf(error) === 'ENOTDIR' ? `${this.#root}: it is no folder` : messageOf(error), error);
    }
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Removes it, unless the lane is in use: each participant has a file in it from its first moment on. */
  removeIfEmpty(): void {
    try {
      rmdirSync(this.path);
    } catch {
      // ENOTEMPTY; ENOENT: another one has removed it.
    }
  }

  refuse(why: string, cause?: unknown): never {
    throw new PoolError(
      'LANE_UNAVAILABLE',
      `lane '${this.#lane}': its folder cannot be used, so nothing was started: ${why}`,
      { name: this.#lane, errno: errnoOf(cause) },
      cause,
    );
  }
}
