import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// A setup file of vitest: ledgers of hosts under test are in a folder of this worker, not in that of the user.

const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-runtime-'));
process.env.XDG_RUNTIME_DIR = folder;
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
