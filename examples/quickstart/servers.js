import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * The four official servers, in the shape of an `mcpServers` configuration. They are started directly: with `npx` each
 * would be three processes, and would take four times as long to start.
 */
export function definitions({ folder, tenants, env }) {
  const official = (name, ...args) => ({ command: process.execPath, args: [programOf(name), ...args], env });
  return {
    // It keeps nothing of a client, apart from what the pool keeps for each session: one process for all sessions of a tenant.
    everything: { ...official('everything'), sharing: 'shared' },
    // Its tool asks the client back (sampling), and only the client of this session may answer: one process for each lease, and
    // every message passes unchanged.
    sampling: { ...official('everything'), sharing: 'dedicated' },
    // One session at a time. It keeps only its folder, which is the same for all: the next session may have its process.
    filesystem: { ...official('filesystem', folder), reuse: 'tenant' },
    // The default mode: exclusive, and only the same session gets a used process again. Its one history of thoughts belongs to
    // the session.
    'sequential-thinking': { ...official('sequential-thinking'), maxInstances: 2 },
    // It keeps its data in a file: one file for each tenant, which all its sessions share. It writes without a lock: one
    // process for each file, and one request at a time.
    ...Object.fromEntries(
      tenants.map((tenant) => [
        memoryOf(tenant),
        {
          ...official('memory'),
          env: { ...env, MEMORY_FILE_PATH: join(folder, `memory-${tenant}.jsonl`) },
          sharing: 'shared',
          maxInFlight: 1,
          maxInstances: 1,
        },
      ]),
    ),
  };
}

/** The name of a tenant's memory server. */
export function memoryOf(tenant) {
  return `memory-${tenant}`;
}

/** The program in node_modules that `npx @modelcontextprotocol/server-…` would run. */
function programOf(name) {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve(`@modelcontextprotocol/server-${name}/package.json`);
  const { bin } = require(manifest);
  return join(dirname(manifest), Object.values(bin)[0]);
}
