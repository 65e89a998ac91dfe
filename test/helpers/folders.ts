import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder for a test, removed after it. */
export function newFolder(mode = 0o700, owner?: number): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-folder-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  chmodSync(path, mode);
  if (owner !== undefined) chownSync(path, owner, owner);
  return path;
}

/** Removes what a test has made of another user, unless something of that user is in it. */
export function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is not empty.
  }
}

/** Makes a file of 100 KB whose content was changed so many hours ago. Returns its path. */
export function newFile(folder: string, name: string, hours: number): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.alloc(102_400, 1));
  setAge(path, hours * 3_600);
  return path;
}

/** @param age s */
export function setAge(path: string, age: number): void {
  const time = Date.now() / 1_000 - age;
  utimesSync(path, time, time);
}
