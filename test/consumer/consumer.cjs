// A CommonJS host: Node 20.19 and later can require() an ES module.
const assert = require('node:assert/strict');
const { CleanupQueue, MCPServerPool, PoolError, ProcessRegistry, ResourceMonitor } = require('mcp-server-pool');

for (const [name, value] of Object.entries({
  CleanupQueue,
  MCPServerPool,
  PoolError,
  ProcessRegistry,
  ResourceMonitor,
})) {
  assert.equal(typeof value, 'function', `require('mcp-server-pool').${name}`);
}

const { StdioClientTransport, getDefaultEnvironment } = require('mcp-server-pool/stdio');

assert.equal(new StdioClientTransport({ command: 'node' }).pid, null, "require('mcp-server-pool/stdio')");
assert.equal(getDefaultEnvironment().PATH, process.env.PATH);

const { loadMcpConfig } = require('mcp-server-pool/config');

assert.equal(typeof loadMcpConfig, 'function', "require('mcp-server-pool/config')");

const { collectPool } = require('mcp-server-pool/prometheus');
const { instrumentPool } = require('mcp-server-pool/opentelemetry');

assert.equal(typeof collectPool, 'function', "require('mcp-server-pool/prometheus')");
assert.equal(typeof instrumentPool, 'function', "require('mcp-server-pool/opentelemetry')");
