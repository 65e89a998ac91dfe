import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { ServerDefinition } from '../../../src/index.js';
import { RawClient } from '../../helpers/client.js';
import { everyDescendant, isGuardian, MARKER } from '../../helpers/processes.js';
import { open } from '../../helpers/real-pool.js';
import { until } from '../../helpers/until.js';

const { resolve } = createRequire(import.meta.url);

function published(name: string, ...args: string[]): ServerDefinition {
  const all = [resolve(`@modelcontextprotocol/server-${name}/dist/index.js`), ...args];
  return { command: process.execPath, args: all, inheritEnv: [MARKER], sharing: 'exclusive', maxInstances: 4 };
}

/** The same below a shell, as `npx` runs it. */
function belowShell({ command, args = [], ...rest }: ServerDefinition): ServerDefinition {
  return { ...rest, command: 'sh', args: ['-c', '"$0" "$@"; true', command, ...args] };
}

/** What only this process holds, MB, as the kernel adds it up from its mappings. Read without the code under test. */
function uniqueMB(pid: number): number {
  const found = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1').matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm);
  return [...found].reduce((sum, [, kB]) => sum + Number(kB), 0) / 1_024;
}

it('[HEAL-4] the reported total of ten real servers is within 10 % of the unique sets of all their processes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-ten-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const pool = open({
    everything: published('everything'),
    shell: belowShell(published('everything')),
    files: published('filesystem', folder),
    thinking: published('sequential-thinking'),
    memory: { ...published('memory'), env: { MEMORY_FILE_PATH: join(folder, 'memory.jsonl') } },
  });
  const names = ['everything', 'shell', 'files', 'thinking', 'memory'];
  const leases = await Promise.all(
    [...names, ...names].map((name, owner) => pool.getServer(name, { owner: `${owner}` })),
  );
  const clients = await Promise.all(leases.map(({ transport }) => RawClient.connect(transport)));
  await Promise.all(clients.map((client) => client.request('tools/list')));

  const compare = async () => {
    const { trees, totals } = await pool.monitor.sample();
    // By their parents, beginning with this host, and not by what the pool knows of its servers.
    const pids = everyDescendant().map(({ pid }) => pid);
    const unique = pids.filter((pid) => !isGuardian(pid)).map(uniqueMB);
    const sum = unique.reduce((all, one) => all + one, 0);
    return { trees: trees.length, processes: totals.processes, found: unique.length, error: totals.memoryMB / sum - 1 };
  };
  // They are not read in the same moment, so a garbage collection may lie in between.
  const { trees, processes, found } = await until('both agree', async () => {
    const compared = await compare();
    return Math.abs(compared.error) < 0.1 && compared;
  });
  // Ten servers, and two shells above some of them.
  expect([trees, processes, found]).toEqual([10, 12, 12]);
});
