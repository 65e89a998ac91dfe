import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * The four official servers, in the shape of an `mcpServers` configuration. They are started directly: with `npx` each
 * would be three processes, and would take four times as long to start.
 */
export function definitions({ folder, tenants, env }) {
  const official = (name, ...args) => ({ command: process.execPath, args: [programOf(name), ...args], env });
  return {
    // The default mode, exclusive: one lease at a time; between leases the process stays idle for the same tenant.
    everything: official('everything'),
    filesystem: official('filesystem', folder),
    // It has one global history, which must start empty: a new process for each lease.
    'sequential-thinking': { ...official('sequential-thinking'), sharing: 'dedicated', maxInstances: 2 },
    // It keeps its data in a file: one file for each tenant. It writes without a lock: one process for each file.
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

/** The program in node_modules that `npx @modelcontextprotocol/server-…` would run. */
function programOf(name) {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve(`@modelcontextprotocol/server-${name}/package.json`);
  const { bin } = require(manifest);
  return join(dirname(manifest), Object.values(bin)[0]);
}
