// An MCP server that is faster than any client in Node, so that the client is what is measured: it reads and writes
// synchronously, and answers `echo` without parsing it. Ends at the end of its stdin.
import { readSync, writeSync } from 'node:fs';

const STDIN = 0;
const STDOUT = 1;
const NOTIFICATION =
  '{"jsonrpc":"2.0","method":"notifications/x","params":{"level":"info","data":"a small message"}}\n';
/** As many notifications as are written at once. */
const BATCH = 500;
const batch = Buffer.from(NOTIFICATION.repeat(BATCH));
const filler = Buffer.alloc(1_048_576, 'x');

const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: {},
    serverInfo: { name: 'bench-echo', version: '1.0.0' },
  }),
  echo: (params) => params,
  burst({ count }) {
    for (let left = count; left > 0; left -= BATCH) {
      writeAll(left >= BATCH ? batch : batch.subarray(0, left * NOTIFICATION.length));
    }
    return {};
  },
};

const ECHO = /^\{"jsonrpc":"2\.0","id":(\d+),"method":"echo","params":(.*)\}$/;
const chunk = Buffer.allocUnsafe(262_144);
let rest = '';
for (;;) {
  const size = readSync(STDIN, chunk);
  if (size === 0) break;
  const lines = (rest + chunk.latin1Slice(0, size)).split('\n');
  rest = lines.pop();
  let answers = '';
  for (const line of lines) {
    const echo = ECHO.exec(line);
    answers += echo ? `{"jsonrpc":"2.0","id":${echo[1]},"result":${echo[2]}}\n` : answer(JSON.parse(line));
  }
  writeAll(Buffer.from(answers, 'latin1'));
}

function answer({ id, method, params }) {
  if (id === undefined) return '';
  if (method === 'line') return writeLine(id, params.bytes);
  return `${JSON.stringify({ jsonrpc: '2.0', id, result: methods[method](params) })}\n`;
}

/** One result with a text of `bytes` bytes. */
function writeLine(id, bytes) {
  writeAll(Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"text":"`));
  for (let left = bytes; left > 0; left -= filler.length) writeAll(filler.subarray(0, left));
  return '"}}\n';
}

function writeAll(bytes) {
  for (let start = 0; start < bytes.length; ) start += writeSync(STDOUT, bytes, start);
}
