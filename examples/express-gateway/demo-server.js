// The stdio server behind the gateway. Its tools show what a gateway has to get right.
import { setTimeout as delay } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const notes = [];

const tools = {
  account: {
    description: 'Says with whose key this process works, by the last letters of the key',
    run: () => `the key ends in ${process.env.SEARCH_KEY?.slice(-5) ?? 'nothing: there is none'}`,
  },
  count: {
    description: 'Counts to a number and reports its progress',
    properties: { to: { type: 'integer' }, pause: { type: 'integer' } },
    async run({ to = 3, pause = 100 }, { token, notify }) {
      for (let progress = 1; progress <= to; progress++) {
        await delay(pause);
        if (token === undefined) continue;
        await notify({ method: 'notifications/progress', params: { progressToken: token, progress, total: to } });
      }
      return `counted to ${to}`;
    },
  },
  note: {
    description: 'Adds a note and returns all notes of this process',
    properties: { text: { type: 'string' } },
    run({ text }) {
      notes.push(text);
      return notes.join(', ');
    },
  },
  crash: {
    description: 'Ends this process without an answer',
    run: () => process.exit(1),
  },
  ask: {
    description: 'Asks the model of the client',
    properties: { question: { type: 'string' } },
    async run({ question }) {
      const messages = [{ role: 'user', content: { type: 'text', text: question } }];
      const { content } = await server.createMessage({ messages, maxTokens: 100 });
      return content.text;
    },
  },
};

const server = new Server({ name: 'demo', version: '1.0.0' }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: Object.entries(tools).map(([name, { description, properties = {} }]) => ({
    name,
    description,
    inputSchema: { type: 'object', properties },
  })),
}));
server.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendNotification }) => {
  if (!Object.hasOwn(tools, params.name)) throw new Error(`there is no tool ${params.name}`);
  const context = { token: params._meta?.progressToken, notify: sendNotification };
  return { content: [{ type: 'text', text: await tools[params.name].run(params.arguments ?? {}, context) }] };
});
await server.connect(new StdioServerTransport());
process.stdin.on('end', () => process.exit(0));
