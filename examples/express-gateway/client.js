// A user of the gateway, with the client of the MCP SDK: one session with each server.
//
//   node examples/express-gateway/client.js URL TOKEN      (index.js prints both)
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const [url, token] = process.argv.slice(2);
if (token === undefined) {
  console.error('usage: node client.js URL TOKEN');
  process.exit(2);
}

await withSession('search', async ({ call }) => {
  console.log(`search: ${await call('account')}`);
});

await withSession('notes', async ({ call, loseConnection }) => {
  console.log(`notes: ${await call('note', { text: 'milk' })}; then ${await call('note', { text: 'bread' })}`);
  const onprogress = ({ progress, total }) => {
    console.log(`notes: ${progress} of ${total}`);
    if (progress === 2) loseConnection();
  };
  console.log(`notes: ${await call('count', { to: 4 }, { onprogress })}, over two connections`);
});

await withSession('assistant', async ({ call }) => {
  console.log(`assistant: ${await call('ask', { question: 'Who are you?' })}`);
});

/** One session: from `initialize` to the request that ends it. */
async function withSession(server, use) {
  let lost = new AbortController();
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp/${server}`), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
    // Only to show that a stream goes on after its connection is lost: the client comes back by itself.
    fetch: (address, init) =>
      fetch(address, { ...init, signal: AbortSignal.any([lost.signal, init.signal].filter(Boolean)) }),
  });
  const client = new Client({ name: 'gateway-example', version: '1.0.0' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'none',
    role: 'assistant',
    content: { type: 'text', text: 'I am the model of the user.' },
  }));
  await client.connect(transport);
  await use({
    async call(name, args, options) {
      const { content } = await client.callTool({ name, arguments: args }, undefined, options);
      return content[0].text;
    },
    loseConnection() {
      console.log(`${server}: the connection is lost`);
      const all = lost;
      lost = new AbortController();
      all.abort();
    },
  });
  await transport.terminateSession();
  await client.close();
}
