// A small MCP server, without an SDK. Its tool `exit` ends it with code 0; `--deaf` ignores the end of stdin and SIGTERM.
import { createInterface } from 'node:readline';

const deaf = process.argv.includes('--deaf');
const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'demo', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({
    tools: ['pid', 'exit'].map((name) => ({ name, description: name, inputSchema: { type: 'object' } })),
  }),
  'tools/call': ({ name }) => {
    if (name === 'exit') process.exit(0);
    return { content: [{ type: 'text', text: String(process.pid) }] };
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined || method === undefined) return;
  const answer = Object.hasOwn(methods, method)
    ? { result: methods[method](params) }
    : { error: { code: -32601, message: `Method not found: ${method}` } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`);
});

if (deaf) {
  process.on('SIGTERM', () => {});
  // It ends by itself at last: it is only a demonstration.
  setTimeout(() => process.exit(1), 60_000);
}
