import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { optionsFromEnvironment } from 'mcp-server-pool';

/** The options of the pool. What depends on the container, the pod or the unit comes from the environment. */
export function poolOptions(env = process.env) {
  const { enabled, options } = optionsFromEnvironment(env);
  return {
    enabled,
    options: {
      ...options,
      servers: { everything: { ...official('everything'), sharing: 'shared', minIdle: 1, priority: 'essential' } },
      // Less than the CPUs of the container, so that the host itself can always answer.
      limits: { cpuLimitPercent: 150, ...options.limits },
      // Of one tree: one that grows must not use up what all have.
      defaults: { memoryLimitMB: 512, maxTreeProcesses: 16, ...options.defaults },
      handleSignals: true,
    },
  };
}

/** A server that is installed beside the host. With npx it would be three processes, and need a cache that it can write. */
function official(name) {
  const manifest = createRequire(import.meta.url).resolve(`@modelcontextprotocol/server-${name}/package.json`);
  return { command: process.execPath, args: [join(dirname(manifest), 'dist/index.js')] };
}
