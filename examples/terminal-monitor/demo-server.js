// A small MCP server, without an SDK. `--work=30` uses about 30 % of a core, `--memory=50` holds 50 MB.
import { createInterface } from 'node:readline';

const PERIOD = 100;
const number = (name) => Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? 0);

const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'demo', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [] }),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined || method === undefined) return;
  const answer = Object.hasOwn(methods, method)
    ? { result: methods[method](params) }
    : { error: { code: -32601, message: `Method not found: ${method}` } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`);
});

// At the end of stdin nothing keeps this process alive: the timer does not.
const held = Buffer.alloc(number('memory') * 1_048_576, 1);
const work = () => {
  const end = performance.now() + (PERIOD * number('work')) / 100;
  while (performance.now() < end) held.at(0);
};
setInterval(work, PERIOD).unref();
