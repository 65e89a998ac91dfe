import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { MALLORY, OBSTACLE } from './strangers.js';

/**
 * Makes all four of its users the one that owns it, as `sudo` does while it asks for a password. Then it waits; with
 * arguments after the tag it first starts that program as that user.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <unistd.h>
int main(int count, char **args) {
  uid_t user = geteuid();
  if (setresuid(user, user, user) != 0) return 1;
  if (count > 2 && fork() == 0) return execvp(args[2], args + 2);
  sleep(50);
  return 0;
}`;

/** Why there are no such programs on this machine; undefined when there are. */
export const NO_SETUID =
  OBSTACLE ??
  (spawnSync('cc', ['--version']).status === 0 ? obstacleToSetuid() : 'no C compiler makes a setuid program');

/** The file system, or a container, may forbid it. */
function obstacleToSetuid(): string | undefined {
  const place = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  chmodSync(place, 0o755);
  const file = join(place, 'id');
  copyFileSync(spawnSync('sh', ['-c', 'command -v id'], { encoding: 'utf8' }).stdout.trim(), file);
  chmodSync(file, 0o4755);
  const { stdout } = spawnSync(file, ['-u'], { uid: MALLORY, gid: MALLORY, encoding: 'utf8' });
  rmSync(place, { recursive: true });
  return stdout?.trim() === '0' ? undefined : 'the setuid bit has no effect';
}

/** The name of the program. */
export const RAISES = 'raises';

let folder: string | undefined;

/** A new place for a program that every user may start. */
function placeOf(program: string): string {
  folder ??= mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  chmodSync(folder, 0o755);
  const place = mkdtempSync(join(folder, 'of-'));
  chmodSync(place, 0o755);
  return join(place, program);
}

/** A copy of a program that only root may read: of its processes other users see no environment. */
export function unreadable(program: string): string {
  const file = placeOf(program);
  copyFileSync(spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim(), file);
  chmodSync(file, 0o711);
  return file;
}

/** The file of such a program that `user` owns; every user may start it. */
export function raises(user: number): string {
  const file = placeOf(RAISES);
  writeFileSync(`${file}.c`, SOURCE);
  const { status, stderr } = spawnSync('cc', ['-o', file, `${file}.c`], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  // The bit is lost when the owner changes.
  chownSync(file, user, user);
  chmodSync(file, 0o4755);
  return file;
}

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
