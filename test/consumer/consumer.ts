// A TypeScript host; compiled, never run. run.js type-checks it against the packed declarations, `npm run types`
// against the source.
import { Client as ClientV2, type Transport as TransportV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import type { StdioServerParameters as SdkParameters } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { Transport as TransportV1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import type { Transport as Transport116 } from 'mcp-sdk-1.16/shared/transport.js';
import {
  type DetailedUsage,
  type DrillReport,
  formatStatus,
  type LimitEvent,
  MCPServerPool,
  POOL_EVENTS,
  PoolError,
  ResourceMonitor,
  type ResourceSample,
  type RestartReport,
  runRecoveryDrill,
  watchProcesses,
} from 'mcp-server-pool';
import { loadMcpConfig, type McpConfig, type McpConfigWatch, watchMcpConfig } from 'mcp-server-pool/config';
import { type InstrumentOptions, instrumentPool } from 'mcp-server-pool/opentelemetry';
import { type CollectOptions, collectPool } from 'mcp-server-pool/prometheus';
import { StdioClientTransport, type StdioServerParameters } from 'mcp-server-pool/stdio';
import { type OpenMetricsContentType, Registry } from 'prom-client';

const pool = new MCPServerPool({
  servers: {
    memory: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-memory'] },
    files: { command: 'node', args: ['files.js', '/data'], maxInstances: 3, idleTimeout: 300_000 },
  },
  limits: { maxProcesses: 15, maxProcessesPerServer: 3, memoryLimitMB: 4_096 },
  monitoring: { levels: { enforce: true }, onEmergency: ({ level, names }) => console.error(level, names) },
});
pool.on('server:exited', ({ name, pid, exitCode, signal, unexpected, stderrTail }) => {
  console.error(`${name} (${pid}) ended: ${exitCode ?? signal}${unexpected ? `, unexpectedly:\n${stderrTail}` : ''}`);
});
pool.on('lease:acquired', (event) => console.error(event));

const { signal } = new AbortController();
const server = await pool.getServer('files', { tenant: 'alice', owner: 'session-1', timeout: 30_000, signal });
const identity: [id: string, name: string, instanceId: string] = [server.id, server.name, server.instanceId];
console.error(identity, server.pid, server.tenant, server.owner);

// One transport for all generations of the SDK.
const info = { name: 'consumer', version: '1.0.0' };
await new Client116(info).connect(server.transport);
await new ClientV1(info).connect(server.transport);
await new ClientV2(info).connect(server.transport);

const released: boolean = server.release();
const again: boolean = pool.releaseServer(server.id);
await server.ended;
console.error(released, again);

try {
  await using memory = await pool.getServer('memory');
  await new ClientV1(info).connect(memory.transport);
} catch (error) {
  if (!(error instanceof PoolError)) throw error;
  const code: string = error.code;
  console.error(code, error.message);
}

// What servers cost, in a pool and alone.
const monitor = new ResourceMonitor({ interval: 2_000 });
monitor.add({ id: 'host', name: 'host', pid: process.pid, limits: { memoryLimitMB: 500 } });
monitor.on('limit:exceeded', ({ kind, name, value, limit }: LimitEvent) => console.error(kind, name, value, limit));
monitor.start();
const sample: ResourceSample = await pool.monitor.sample();
const detail: DetailedUsage | undefined = await pool.monitor.inspect(server.instanceId);
const watch = watchProcesses({ patterns: ['vitest'], memoryLimitMB: 8_192 });
pool.monitor.include(watch);
console.error(sample.totals.memoryMB, detail?.pssMB, pool.plan('level', { level: 'critical' }).ends.length);
watch.stop();
monitor.stop();

// What an operator sees and does.
const drill: DrillReport = await runRecoveryDrill(pool, { server: 'files', fault: 'kill', dryRun: true });
const restarted: RestartReport = await pool.restartAll({ timeout: 5_000, concurrency: 2 });
console.error(formatStatus(pool.status(), { color: true, width: 120 }), String(drill), restarted.ok);

// Files of hosts.
const config: McpConfig = await loadMcpConfig('.mcp.json', { format: 'claude-code', input: async ({ id }) => id });
const fromFile = new MCPServerPool({ ...config.pool, servers: config.servers });
const watching: McpConfigWatch = watchMcpConfig('.mcp.json', fromFile, { quiet: 500 });
fromFile.on('config:rejected', ({ file, problems }) => console.error(file, problems[0]?.line));
watching.close();
console.error(fromFile.applyConfig(config.servers).updated, config.remote.x?.headers, config.problems);

// Who is told: both formats of prom-client, OpenTelemetry, a log.
const collect: CollectOptions = { register: new Registry(), prefix: 'pool_', tenantLabels: 10 };
const instrument: InstrumentOptions = {};
const removals: (() => void)[] = [
  collectPool(pool, collect),
  collectPool(pool, { register: new Registry<OpenMetricsContentType>() }),
  instrumentPool(pool, instrument),
  pool.onAny((event, payload) => {
    if (event === 'server:exited') console.error(payload.exitCode);
    else console.error(event, JSON.stringify(payload));
  }),
];
for (const remove of removals) remove();
console.error(POOL_EVENTS.length);

const report = await pool.shutdown();
if (report.survivors.length > 0) throw new Error('something is left');

// The drop-in is a transport for all of them, and takes what the SDK's takes.
const parameters: SdkParameters = { command: 'node', args: ['server.js'], env: { A: 'b' }, stderr: 'pipe', cwd: '/' };
const more: StdioServerParameters = { ...parameters, eofGrace: 100, termGrace: 100, maxMessageMB: 10 };
const transport = new StdioClientTransport(parameters);
const transports: [Transport116, TransportV1, TransportV2] = [transport, transport, new StdioClientTransport(more)];
await new Client116(info).connect(transport);
await new ClientV1(info).connect(transport);
await new ClientV2(info, { versionNegotiation: { mode: 'auto' } }).connect(transport);
transport.onclose = () => {};
transport.stderr?.on('data', (chunk) => console.error(chunk));
const pid: number | null = transport.pid;
const global: MCPServerPool = MCPServerPool.global({ limits: { maxProcesses: Infinity } });
console.error(transports.length, pid, global.status().maxProcesses);
