// An ESM host that runs the same published server through the pool with three generations of the MCP SDK.
// It calls no process.exit(): after shutdown() nothing of the pool may keep it alive (run.js sets the time limit).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import { CleanupQueue, MCPServerPool, PoolError, ProcessRegistry, ResourceMonitor } from 'mcp-server-pool';
import { loadMcpConfig, watchMcpConfig } from 'mcp-server-pool/config';
import { instrumentPool } from 'mcp-server-pool/opentelemetry';
import { collectPool } from 'mcp-server-pool/prometheus';
import { StdioClientTransport } from 'mcp-server-pool/stdio';
import { Registry } from 'prom-client';

for (const [name, value] of Object.entries({
  CleanupQueue,
  MCPServerPool,
  PoolError,
  ProcessRegistry,
  ResourceMonitor,
})) {
  assert.equal(typeof value, 'function', `import { ${name} } from 'mcp-server-pool'`);
}
console.log('     import: the five classes are there');

const monitor = new ResourceMonitor({ interval: 100 });
monitor.add({ id: 'host', name: 'this host', pid: process.pid });
monitor.start();
await new Promise((resolve) => {
  const hold = setTimeout(() => {}, 30_000);
  monitor.once('sample:taken', () => resolve(clearTimeout(hold)));
});
const [tree] = (await monitor.sample()).trees;
assert.equal(tree.name, 'this host');
assert.ok(tree.memoryMB > 5 && tree.memoryMB < 1_000, `its memory is ${tree.memoryMB} MB`);
assert.ok((await monitor.inspect('host')).descriptors > 3, 'its descriptors');
console.log(`     ResourceMonitor alone: ${tree.memoryMB.toFixed(1)} MB in ${tree.processes} process(es)`);
// It is not stopped: it must not hold this process open.

const everything = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');
const pool = new MCPServerPool({
  servers: { everything: { command: process.execPath, args: [everything, 'stdio'] } },
  limits: { maxProcesses: 15 },
});

const register = new Registry();
const removals = [collectPool(pool, { register }), instrumentPool(pool)];

const clients = { 'SDK 1.16': Client116, 'SDK 1.x': ClientV1, 'client 2.x': ClientV2 };
let report;
try {
  for (const [label, Client] of Object.entries(clients)) {
    const server = await pool.getServer('everything', { tenant: label, owner: 'consumer', timeout: 30_000 });
    assert.equal(server.name, 'everything');
    assert.equal(server.tenant, label);

    const client = new Client({ name: 'consumer', version: '1.0.0' });
    await client.connect(server.transport);
    const { tools } = await client.listTools();
    assert.ok(
      tools.some(({ name }) => name === 'echo'),
      `${label}: listTools names echo`,
    );
    const { content } = await client.callTool({ name: 'echo', arguments: { message: `hello from ${label}` } });
    assert.equal(content[0].text, `Echo: hello from ${label}`);

    const { trees } = await pool.monitor.sample();
    const sample = trees.find(({ id }) => id === server.instanceId);
    assert.ok(sample.memoryMB > 5, `${label}: the pool measures its server`);
    assert.ok(pool.metrics().totalProcesses >= trees.length, `${label}: processes of the system`);

    assert.equal(server.release(), true, `${label}: the first release`);
    assert.equal(pool.releaseServer(server.id), false, `${label}: releasing twice is harmless`);
    console.log(`     ${label}: connect, ${tools.length} tools, echo, release`);
  }
  const metrics = await register.metrics();
  assert.match(metrics, /^mcp_pool_leases_acquired_total 3$/m);
  assert.match(metrics, /^mcp_pool_requests_total\{server="everything",outcome="ok"\} [1-9]/m);
  console.log('     prom-client: leases and requests are counted');
} finally {
  for (const remove of removals) remove();
  report = await pool.shutdown();
}
assert.equal((await register.metrics()).trim(), '', 'no metric is left');
assert.deepEqual(report.survivors, [], 'shutdown left nothing');
console.log('     shutdown: no survivors');

for (const [label, Client] of Object.entries(clients)) {
  const client = new Client({ name: 'consumer', version: '1.0.0' });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [everything, 'stdio'],
    stderr: 'pipe',
  });
  await client.connect(transport);
  const { content } = await client.callTool({ name: 'echo', arguments: { message: `hello from ${label}` } });
  assert.equal(content[0].text, `Echo: hello from ${label}`);
  await client.close();
  assert.equal(transport.pid, null);
  console.log(`     ${label}: the drop-in connects, echoes, closes`);
}
const written = { mcpServers: { everything: { command: process.execPath, args: [everything, 'stdio'] } } };
const config = await loadMcpConfig(written);
assert.deepEqual(config.problems, []);
const configured = new MCPServerPool();
assert.deepEqual(configured.applyConfig(config.servers).added, ['everything']);
const watching = watchMcpConfig('no-such-file.json', configured);
await watching.ready;
// The watch is not closed: it does not hold the process open, and ends with the pool.
await configured.shutdown();
const refused = await loadMcpConfig('', {}).catch((error) => error);
assert.ok(refused instanceof PoolError, 'the entry point for configuration files has the same error class');
console.log('     configuration files: read, applied, watched');

const failed = await new StdioClientTransport({ command: 'no-such-command' }).start().catch((error) => error);
assert.ok(failed instanceof PoolError, 'both entry points have the same classes');
const { processes, servers } = MCPServerPool.global().status();
assert.deepEqual({ processes, servers }, { processes: 0, servers: {} });
// The global pool is not shut down: it does not hold the process open.
