import { endianness } from 'node:os';

/**
 * Whether a setuid program has raised a process to `user`. At each exec the kernel notes the real user, and whether the
 * program has more rights than that user. The program can make its four users one, but cannot change the note. Root
 * needs no setuid program to become another user.
 *
 * The note can be read only with the rights of a tracer: by CAP_SYS_PTRACE, or by the same user if the process may be
 * dumped. A process that was raised may not. But it keeps the groups of the user that has started it, unless it was raised
 * to root.
 *
 * @param note the content of /proc/PID/auxv; undefined when it cannot be read
 * @param hasOurGroups whether the process has the groups of this one
 */
export function isRaised(note: Buffer | undefined, user: number, hasOurGroups: () => boolean): boolean {
  const start = note && startIn(note);
  if (start === undefined) return !hasOurGroups();
  return start.isSecure && start.user !== user && start.user !== 0;
}

interface Start {
  /** The real user when the program was started. */
  readonly user: number;
  /** Whether the program has more rights than that user. */
  readonly isSecure: boolean;
}

/** Undefined for a process without a program, and one that has just begun to exit. */
function startIn(note: Buffer): Start | undefined {
  // On a 64-bit kernel a 32-bit program has small numbers.
  return startOf(note, 8) ?? startOf(note, 4);
}

/** Types of entries, by getauxval(3). */
const AT_NULL = 0;
const AT_UID = 11;
const AT_SECURE = 23;
/** No type is as large; what is above it shows that the numbers have another size. */
const NO_TYPE = 1_000;

/** @param size the bytes of a number; each entry has two, its type and its value */
function startOf(note: Buffer, size: 4 | 8): Start | undefined {
  const values = new Map<number, number>();
  for (let at = 0; at + 2 * size <= note.length; at += 2 * size) {
    const type = numberAt(note, at, size);
    if (type >= NO_TYPE) return undefined;
    if (type === AT_NULL) break;
    values.set(type, numberAt(note, at + size, size));
  }
  const [user, secure] = [values.get(AT_UID), values.get(AT_SECURE)];
  return user === undefined || secure === undefined ? undefined : { user, isSecure: secure !== 0 };
}

function numberAt(note: Buffer, at: number, size: 4 | 8): number {
  const isLittle = endianness() === 'LE';
  if (size === 4) return isLittle ? note.readUInt32LE(at) : note.readUInt32BE(at);
  return Number(isLittle ? note.readBigUInt64LE(at) : note.readBigUInt64BE(at));
}
