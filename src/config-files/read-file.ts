import { constants } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { errnoOf, messageOf } from '../errors.js';
import { pathProblem } from '../runtime/safe-path.js';

/** A larger file is no configuration. */
const MOST_BYTES = 32 * 1_048_576;

/** What a file is at one moment: another content, or another file of this name, has another mark. */
export type FileMark = string;

/** The content of a file, or why it cannot be used: the end of the sentence "The file …". */
export type ReadFile = { readonly mark: FileMark } & ({ readonly text: string } | { readonly problem: string });

/**
 * Reads a text file that decides what is executed. So one that other users can write, or replace, is refused. Never throws, and
 * waits for no writer of a pipe.
 */
export async function readTrusted(path: string): Promise<ReadFile> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = await file.stat({ bigint: true });
    const mark = markOf(stat);
    const wrong = (problem: string) => ({ problem, mark });
    if (!stat.isFile()) return wrong(stat.isDirectory() ? 'is a folder' : 'is no regular file');
    if (stat.size > MOST_BYTES) return wrong(`has more than ${MOST_BYTES / 1_048_576} MB`);
    const doubt = trustProblem(path, stat);
    if (doubt !== undefined && !(await isReadOnly(path))) return wrong(doubt);
    const bytes = await file.readFile();
    const text = utf8(bytes);
    return text === undefined ? wrong('is not encoded as UTF-8: save it as UTF-8') : { text, mark };
  } catch (error) {
    const errno = errnoOf(error) ?? 'unknown';
    return { problem: IN_WORDS[errno] ?? `cannot be read: ${messageOf(error)}`, mark: errno };
  } finally {
    await file?.close().catch(() => {});
  }
}

/** The mark of a file now; that of a missing one is its error. Never throws. */
export async function markOfFile(path: string): Promise<FileMark> {
  try {
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      return markOf(await file.stat({ bigint: true }));
    } finally {
      await file.close();
    }
  } catch (error) {
    return errnoOf(error) ?? 'unknown';
  }
}

interface Stat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly mode: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/**
 * Times of files are coarse: two changes within a few milliseconds may have the same. So the mark of a file that has just
 * changed is another one than that of the same file later.
 */
function markOf({ dev, ino, size, mode, mtimeNs, ctimeNs }: Stat): FileMark {
  const age = Date.now() - Number(ctimeNs / 1_000_000n);
  return [dev, ino, size, mode, mtimeNs, ctimeNs, age < YOUNG ? 'young' : 'old'].join(':');
}

/** ms. The times of most file systems are finer. */
const YOUNG = 2_000;

const IN_WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist: a folder in its path is a file',
  EACCES: 'cannot be read by this user',
  EPERM: 'cannot be read by this user',
  ELOOP: 'is a link that leads to itself',
  EISDIR: 'is a folder',
  ENAMETOOLONG: 'has a path that is too long',
};

/** Windows has access lists instead of these modes, which Node cannot read. */
function trustProblem(path: string, { mode, uid, gid }: Stat): string | undefined {
  if (process.getuid === undefined) return undefined;
  const self = process.getuid();
  if (Number(uid) !== self && uid !== 0n) return 'belongs to another user, who could have this host execute anything';
  // A group with the number of its user is private by convention, as `pathProblem` has it.
  const isPrivate = Number(gid) === self && gid !== 0n && Number(gid) === process.getgid?.();
  if ((Number(mode) & (isPrivate ? 0o002 : 0o022)) !== 0)
    return 'can be written by other users, who could have this host execute anything: chmod go-w';
  const problem = pathProblem(path);
  return problem && `cannot be trusted: ${problem}`;
}

/** On a read-only mount, as a ConfigMap of Kubernetes is, nobody can write, whatever the modes say. */
async function isReadOnly(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return errnoOf(error) === 'EROFS';
  }
}

/** Without a byte order mark. Undefined when it is not UTF-8. */
function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
