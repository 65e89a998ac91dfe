import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compiledSource, ROOT } from '../helpers/compiled.js';

/** The user that runs a host, its servers and the canaries. */
export interface User {
  readonly name: string;
  /** For `spawn`; empty when the tests run as this user anyway. */
  readonly ids: { readonly uid?: number; readonly gid?: number };
}

const NOBODY = 65_534;
export const IS_ROOT = process.geteuid?.() === 0;

/** Root and the user "nobody", or the user that runs the tests. */
export const USERS: readonly User[] = IS_ROOT
  ? [
      { name: 'root', ids: {} },
      { name: 'nobody', ids: { uid: NOBODY, gid: NOBODY } },
    ]
  : [{ name: 'an ordinary user (not as root: the tests do not run as root)', ids: {} }];

/** Fails with a reason when the package lies where only root may read it, such as `/root`. */
export function assertReadable(): void {
  for (const { name, ids } of USERS) {
    const { status } = spawnSync('ls', [join(ROOT, 'node_modules'), compiledSource()], { ...ids, stdio: 'ignore' });
    if (status !== 0) throw new Error(`the user ${name} cannot read ${ROOT}: check the package out somewhere else`);
  }
}

/** Folders of a user's own: npm's cache and logs go to one, what one host hands on to the next to the other. */
export function newHome({ ids: { uid, gid } }: User): { readonly HOME: string; readonly XDG_RUNTIME_DIR: string } {
  const HOME = mkdtempSync(join(tmpdir(), 'mcp-chaos-'));
  const XDG_RUNTIME_DIR = join(HOME, 'run');
  mkdirSync(XDG_RUNTIME_DIR, { mode: 0o700 });
  if (uid !== undefined && gid !== undefined) for (const folder of [HOME, XDG_RUNTIME_DIR]) chownSync(folder, uid, gid);
  onTestFinished(() => rmSync(HOME, { recursive: true, force: true, maxRetries: 5 }));
  return { HOME, XDG_RUNTIME_DIR };
}
