// The stdio server that the conformance suite asks for: the tools, resources and prompts that its scenarios name, with the
// texts that they expect (`conformance list` and the descriptions of its scenarios). Written with the SDK, as most servers are.
import { setTimeout as delay } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

/** One red pixel. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
/** A sound without samples. */
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';

const text = (words) => ({ type: 'text', text: words });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const resource = (uri, mimeType, words) => ({ type: 'resource', resource: { uri, mimeType, text: words } });

/** What each tool returns: its content. `context` sends notifications and requests to the client of this call. */
const TOOLS = {
  test_simple_text: () => [text('This is a simple text response for testing.')],
  test_image_content: () => [image],
  test_audio_content: () => [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  test_embedded_resource: () => [
    resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
  ],
  test_multiple_content_types: () => [
    text('Multiple content types test:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  ],
  test_error_handling: () => {
    throw new Error('This tool intentionally returns an error for testing');
  },

  // The pauses here are those that the suite asks of its fixture: it checks that messages come one after the other. No test waits by them.
  async test_tool_with_logging() {
    const steps = ['Tool execution started', 'Tool processing data', 'Tool execution completed'];
    for (const [index, data] of steps.entries()) {
      if (index > 0) await delay(50);
      await server.sendLoggingMessage({ level: 'info', data });
    }
    return [text('Logged three messages.')];
  },

  async test_tool_with_progress(_args, { token, notify }) {
    for (const progress of [0, 50, 100]) {
      if (progress > 0) await delay(50);
      if (token === undefined) continue;
      await notify({ method: 'notifications/progress', params: { progressToken: token, progress, total: 100 } });
    }
    return [text('Done.')];
  },

  async test_sampling({ prompt }) {
    const { content } = await server.createMessage({
      messages: [{ role: 'user', content: text(prompt) }],
      maxTokens: 100,
    });
    return [text(`LLM response: ${content.text}`)];
  },

  async test_elicitation({ message }) {
    const { action, content } = await server.elicitInput({
      message,
      requestedSchema: {
        type: 'object',
        properties: {
          username: { type: 'string', description: "User's response" },
          email: { type: 'string', description: "User's email address" },
        },
        required: ['username', 'email'],
      },
    });
    return [text(`User response: action: ${action}, content: ${JSON.stringify(content)}`)];
  },

  test_elicitation_sep1034_defaults: () =>
    elicit({
      name: { type: 'string', description: 'User name', default: 'John Doe' },
      age: { type: 'integer', description: 'User age', default: 30 },
      score: { type: 'number', description: 'User score', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', description: 'Whether it is verified', default: true },
    }),

  test_elicitation_sep1330_enums: () =>
    elicit({
      untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
      titledSingle: { type: 'string', oneOf: titled('Option') },
      legacyEnum: {
        type: 'string',
        enum: ['opt1', 'opt2', 'opt3'],
        enumNames: ['Option One', 'Option Two', 'Option Three'],
      },
      untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
      titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
    }),

  // A stdio server cannot close the stream of an HTTP request: it answers later, and the stream is held meanwhile.
  test_reconnection: async () => {
    await delay(100);
    return [text('Reconnection test completed.')];
  },

  json_schema_2020_12_tool: (args) => [text(JSON.stringify(args))],
};

const string = { type: 'string' };
const takes = (name) => ({ type: 'object', properties: { [name]: string }, required: [name] });

/** Schemas of the tools that take something; the others take nothing. */
const SCHEMAS = {
  test_sampling: takes('prompt'),
  test_elicitation: takes('message'),
  json_schema_2020_12_tool: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: { address: { type: 'object', properties: { street: string, city: string } } },
    properties: { name: string, address: { $ref: '#/$defs/address' } },
    additionalProperties: false,
  },
};

const PROMPTS = {
  test_simple_prompt: { content: () => [text('This is a simple prompt for testing.')] },
  test_prompt_with_arguments: {
    arguments: ['arg1', 'arg2'],
    content: ({ arg1, arg2 }) => [text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
  },
  test_prompt_with_embedded_resource: {
    arguments: ['resourceUri'],
    content: ({ resourceUri }) => [
      resource(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
      text('Please process the embedded resource above.'),
    ],
  },
  test_prompt_with_image: { content: () => [image, text('Please analyze the image above.')] },
};

const RESOURCES = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PNG },
  'test://watched-resource': { mimeType: 'text/plain', text: 'This resource may change.' },
};
const TEMPLATE = { uriTemplate: 'test://template/{id}/data', name: 'template', mimeType: 'application/json' };

const server = new Server(
  { name: 'conformance', version: '1.0.0' },
  {
    capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} },
    // A missing capability of the client is its own business: it refuses the request.
    enforceStrictCapabilities: false,
  },
);

server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: Object.keys(TOOLS).map((name) => ({
    name,
    description: `Of the conformance suite: ${name}`,
    inputSchema: SCHEMAS[name] ?? { type: 'object', properties: {} },
  })),
}));
server.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendNotification }) => {
  const tool = own(TOOLS, params.name, 'tool');
  try {
    const context = { token: params._meta?.progressToken, notify: sendNotification };
    return { content: await tool(params.arguments ?? {}, context) };
  } catch (error) {
    return { isError: true, content: [text(error.message)] };
  }
});

server.setRequestHandler(ListResourcesRequestSchema, () => ({
  resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({ uri, name: uri, description: uri, mimeType })),
}));
server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [TEMPLATE] }));
server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return { contents: [{ uri, ...own(RESOURCES, uri, 'resource', -32_002) }] };
  const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { contents: [{ uri, mimeType: TEMPLATE.mimeType, text: data }] };
});
server.setRequestHandler(SubscribeRequestSchema, () => ({}));
server.setRequestHandler(UnsubscribeRequestSchema, () => ({}));

server.setRequestHandler(ListPromptsRequestSchema, () => ({
  prompts: Object.entries(PROMPTS).map(([name, { arguments: names = [] }]) => ({
    name,
    description: `Of the conformance suite: ${name}`,
    arguments: names.map((argument) => ({ name: argument, description: argument, required: true })),
  })),
}));
server.setRequestHandler(GetPromptRequestSchema, ({ params }) => {
  const contents = own(PROMPTS, params.name, 'prompt').content(params.arguments ?? {});
  return { messages: contents.map((content) => ({ role: 'user', content })) };
});
server.setRequestHandler(CompleteRequestSchema, ({ params: { argument } }) => {
  const values = ['paris', 'park', 'party'].filter((word) => word.startsWith(argument.value));
  return { completion: { values, total: values.length, hasMore: false } };
});

await server.connect(new StdioServerTransport());
process.stdin.on('end', () => process.exit(0));

async function elicit(properties) {
  const message = 'Please fill in the form.';
  const requestedSchema = { type: 'object', properties, required: [] };
  const { action, content } = await server.elicitInput({ message, requestedSchema });
  return [text(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`)];
}

function titled(noun) {
  return ['First', 'Second', 'Third'].map((title, index) => ({
    const: `value${index + 1}`,
    title: `${title} ${noun}`,
  }));
}

/** A value of a table by the name that the client gave. */
function own(table, name, what, code = -32_602) {
  if (!Object.hasOwn(table, name)) throw new McpError(code, `no ${what} ${name}`);
  return table[name];
}
