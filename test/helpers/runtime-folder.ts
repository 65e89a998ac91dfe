import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The folder of a run, handed on to the workers. vitest ends them with a signal, so no worker can remove its own. */
const FOLDER_OF_RUN = 'MCP_POOL_TEST_RUNTIME';

/** A `globalSetup` of vitest, in its own process. Returns what it runs at the end. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-runtime-'));
  process.env[FOLDER_OF_RUN] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

// As a setup file, in each worker: ledgers of hosts under test are in a folder of this worker, not in that of the user.
const folder = process.env[FOLDER_OF_RUN];
if (folder !== undefined) process.env.XDG_RUNTIME_DIR = mkdtempSync(join(folder, 'worker-'));
