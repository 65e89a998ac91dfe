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
  lstat(path: string): Promise<fs.BigIntStats>;
  /** Returns how many bytes were read. */
  read(descriptor: number, into: Buffer, position: number): Promise<number>;
  /** Appends. Returns how many bytes were written. */
  write(descriptor: number, bytes: Buffer): Promise<number>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string, mode: number): Promise<unknown>;
  rmdir(path: string): Promise<void>;
}

const open = promisify(fs.open);
const fstat = promisify(fs.fstat);
const lstat = promisify(fs.lstat);
const read = promisify(fs.read);
const write = promisify(fs.write);

export const fileSystem: AuditDoor = {
  open: (path, flags, mode) => open(path, flags, mode),
  close: promisify(fs.close),
  fstat: (descriptor) => fstat(descriptor, { bigint: true }),
  lstat: (path) => lstat(path, { bigint: true }),
  read: async (descriptor, into, position) => (await read(descriptor, into, 0, into.length, position)).bytesRead,
  write: async (descriptor, bytes) => (await write(descriptor, bytes, 0, bytes.length, null)).bytesWritten,
  rename: promisify(fs.rename),
  unlink: promisify(fs.unlink),
  mkdir: (path, mode) => fs.promises.mkdir(path, { mode }),
  rmdir: promisify(fs.rmdir),
};
