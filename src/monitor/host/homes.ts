import { realpath, stat } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { idOf } from './folder-walk.js';

/** A home of this user. */
export interface Home {
  /** Without links; as it is named, when it cannot be read. */
  readonly path: string;
  /** Undefined when it cannot be read. */
  readonly id: string | undefined;
}

/** The homes of this user: the one that its environment names, and the one that the system knows. */
export async function findHomes(): Promise<Home[]> {
  const named = new Set([homedir(), homeOfSystem() ?? homedir()]);
  return Promise.all(
    [...named].map(async (path) => {
      const status = await stat(path, { bigint: true }).catch(() => undefined);
      return { path: await realpath(path).catch(() => path), id: status && idOf(status) };
    }),
  );
}

/** A user without an entry in the list of users has none. */
function homeOfSystem(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}
