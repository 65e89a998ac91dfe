import * as fs from 'node:fs';
import { promisify } from 'node:util';

/**
 * What an audit trail needs of a file system. Descriptors and no `FileHandle`: one that is garbage-collected with its pool
 * makes Node print a warning.
 */
export interface AuditDoor {
  open(path: string, flags: number, mode: number): Promise<number>;
  close(descriptor: number): Promise<void>;
  fstat(descriptor: number): Promise<fs.BigIntStats>;
  fchmod(descriptor: number, mode: number): Promise<void>;
  lstat(path: string): Promise<fs.BigIntStats>;
  /** Rejects when this user may not make and rename files in a folder. */
  mayWriteIn(folder: string): Promise<void>;
  /** Returns how many bytes were read. */
  read(descriptor: number, into: Buffer, position: number): Promise<number>;
  /** Appends. Returns how many bytes were written. */
  write(descriptor: number, bytes: Buffer): Promise<number>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string, mode: number): Promise<unknown>;
  rmdir(path: string): Promise<void>;
  /** Opens the file, has it checked, appends whole lines to it and closes it, in this tick: for the exit of the host. */
  appendNow(path: string, text: string, how: NowOptions): void;
}

export interface NowOptions {
  readonly flags: number;
  readonly mode: number;
  /** Throws when the file must not be used. Returns whether it needs the mode. */
  check(stat: fs.BigIntStats): boolean;
}

export const NEW_LINE = 10;

const open = promisify(fs.open);
const fstat = promisify(fs.fstat);
const lstat = promisify(fs.lstat);
const read = promisify(fs.read);
const write = promisify(fs.write);
const access = promisify(fs.access);

export const fileSystem: AuditDoor = {
  open: (path, flags, mode) => open(path, flags, mode),
  close: promisify(fs.close),
  fstat: (descriptor) => fstat(descriptor, { bigint: true }),
  fchmod: promisify(fs.fchmod),
  lstat: (path) => lstat(path, { bigint: true }),
  mayWriteIn: (folder) => access(folder, fs.constants.W_OK | fs.constants.X_OK),
  read: async (descriptor, into, position) => (await read(descriptor, into, 0, into.length, position)).bytesRead,
  write: async (descriptor, bytes) => (await write(descriptor, bytes, 0, bytes.length, null)).bytesWritten,
  rename: promisify(fs.rename),
  unlink: promisify(fs.unlink),
  mkdir: (path, mode) => fs.promises.mkdir(path, { mode }),
  rmdir: promisify(fs.rmdir),
  appendNow(path, text, { flags, mode, check }) {
    const descriptor = fs.openSync(path, flags, mode);
    try {
      const stat = fs.fstatSync(descriptor, { bigint: true });
      if (check(stat)) fs.fchmodSync(descriptor, mode);
      const last = Buffer.of(NEW_LINE);
      if (stat.size > 0n) fs.readSync(descriptor, last, 0, 1, Number(stat.size) - 1);
      const isCutOff = last[0] !== NEW_LINE;
      fs.writeSync(descriptor, isCutOff ? `\n${text}` : text);
    } finally {
      fs.closeSync(descriptor);
    }
  },
};
