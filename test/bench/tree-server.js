// An MCP server that starts 50 helpers, in its own group, and answers initialize when they run. Nothing of it lives for
// longer than a minute, whatever becomes of the benchmark.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const HELPERS = 50;
const LIFE = 60;

const helpers = Array.from({ length: HELPERS }, () => spawn('sleep', [String(LIFE)], { stdio: 'ignore' }));
await Promise.all(helpers.map((helper) => once(helper, 'spawn')));
setTimeout(() => process.exit(1), LIFE * 1000);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (method !== 'initialize') continue;
  const serverInfo = { name: 'bench-tree', version: '1.0.0' };
  const result = { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
}
