import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * The four official servers, in the shape of an `mcpServers` configuration. They are started directly: by `npx` each
 * would be three processes and take four times as long to start.
 */
export function definitions({ folder, tenants, env }) {
  const official = (name, ...args) => ({ command: process.execPath, args: [programOf(name), ...args], env });
  return {
    // Kept between leases, and lent to one session of the same tenant at a time: the default.
    everything: official('everything'),
    filesystem: official('filesystem', folder),
    // Its one global history must start empty: a new process for each lease.
    'sequential-thinking': { ...official('sequential-thinking'), sharing: 'dedicated', maxInstances: 2 },
    // What it knows is in a file, so each tenant has its own; and it writes without a lock, so one process a file.
    ...Object.fromEntries(
      tenants.map((tenant) => [
        memoryOf(tenant),
        {
          ...official('memory'),
          env: { ...env, MEMORY_FILE_PATH: join(folder, `memory-${tenant}.jsonl`) },
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

/** The file that `npx @modelcontextprotocol/server-…` would run, from node_modules. */
function programOf(name) {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve(`@modelcontextprotocol/server-${name}/package.json`);
  const { bin } = require(manifest);
  return join(dirname(manifest), Object.values(bin)[0]);
}
