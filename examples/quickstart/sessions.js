import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { memoryOf } from './servers.js';

/** The servers that a session uses, one after the other. */
const PLANS = [
  ['everything', 'filesystem'],
  ['memory', 'everything', 'sampling'],
  ['filesystem', 'memory'],
  ['filesystem', 'sequential-thinking', 'everything', 'memory'],
];

/** Counts and failures of all sessions together. */
export class Tally {
  sessions = 0;
  calls = 0;
  checks = 0;
  /** Results that differ from the expected ones. */
  wrong = [];
  /** Errors that ended a session. */
  failed = [];
  /** Duration of each `getServer()`, in milliseconds. */
  waits = [];

  check(what, actual, expected) {
    this.checks += 1;
    if (isDeepStrictEqual(actual, expected)) return;
    this.wrong.push(`${what}: got ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
  }
}

/** What the two SDKs need for a client that answers requests for a model. */
const SDKS = [
  { Client: ClientV1, samplingRequest: CreateMessageRequestSchema },
  { Client: ClientV2, samplingRequest: 'sampling/createMessage' },
];

/** Sessions differ in their plan and in the SDK of their client. Each plan runs with both SDKs. */
export function planSession(index, tenant) {
  return {
    number: index + 1,
    id: `session-${String(index + 1).padStart(3, '0')}`,
    tenant,
    servers: PLANS[index % PLANS.length],
    sdk: SDKS[Math.floor(index / PLANS.length) % 2],
  };
}

/** One client session: leases one server after the other, and works on each. */
export async function runSession(session, { pool, tally, folder, interrupted }) {
  try {
    for (const server of session.servers) await useServer(server, session, { pool, tally, folder });
    // A gateway calls this when its client has disconnected. Each lease was released before; processes that only this session
    // could use end now.
    tally.check(`${session.id}: leases left`, pool.releaseOwner(session.id), 0);
    tally.sessions += 1;
  } catch (error) {
    if (!interrupted.aborted) tally.failed.push(`${session.id}: ${error.message}`);
  }
}

async function useServer(server, session, { pool, tally, folder }) {
  const name = server === 'memory' ? memoryOf(session.tenant) : server;
  const asked = performance.now();
  const lease = await pool.getServer(name, { tenant: session.tenant, owner: session.id });
  tally.waits.push(performance.now() - asked);
  try {
    const client = newClient(session);
    await client.connect(lease.transport);
    const { tools } = await client.listTools();
    const names = new Set(tools.map((tool) => tool.name));

    const check = (what, actual, expected) => tally.check(`${session.id}, ${name}: ${what}`, actual, expected);
    const call = async (tool, args) => {
      check(`offers ${tool}`, names.has(tool), true);
      const result = await client.callTool({ name: tool, arguments: args });
      tally.calls += 1;
      return result;
    };
    await WORK[server]({ session, call, check, folder });
  } finally {
    lease.release();
  }
}

/** A client whose model gives an answer that no other session expects. */
function newClient({ id, sdk: { Client, samplingRequest } }) {
  const client = new Client({ name: id, version: '1.0.0' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(samplingRequest, () => ({
    model: 'none',
    role: 'assistant',
    content: { type: 'text', text: answerOf(id) },
  }));
  return client;
}

function answerOf(id) {
  return `the model of ${id} says nothing`;
}

/** What a session does on each server. Inputs are unique, so an answer to another session is never a right one. */
const WORK = {
  async everything({ session, call, check }) {
    const message = `hello from ${session.id}`;
    check('echo', textOf(await call('echo', { message })), `Echo: ${message}`);

    const [a, b] = [session.number, 1_000];
    check('get-sum', textOf(await call('get-sum', { a, b })), `The sum of ${a} and ${b} is ${a + b}.`);
  },

  async sampling({ session, call, check }) {
    const text = textOf(await call('trigger-sampling-request', { prompt: `a question of ${session.id}` }));
    check('trigger-sampling-request', JSON.parse(text.slice(text.indexOf('{'))).content.text, answerOf(session.id));
  },

  async filesystem({ session, call, check, folder }) {
    const path = join(folder, `${session.id}.txt`);
    const content = `written by ${session.id}\nfor tenant ${session.tenant}\n`;
    check('write_file', textOf(await call('write_file', { path, content })), `Successfully wrote to ${path}`);
    check('read_text_file', textOf(await call('read_text_file', { path })), content);
  },

  async memory({ session, call, check }) {
    const entity = { name: session.id, entityType: 'session', observations: [`of tenant ${session.tenant}`] };
    const created = await call('create_entities', { entities: [entity] });
    check('create_entities', created.structuredContent?.entities, [entity]);

    const found = await call('search_nodes', { query: session.id });
    check('search_nodes', found.structuredContent?.entities, [entity]);
  },

  async 'sequential-thinking'({ session, call, check }) {
    const totalThoughts = 2;
    for (let thoughtNumber = 1; thoughtNumber <= totalThoughts; thoughtNumber++) {
      const nextThoughtNeeded = thoughtNumber < totalThoughts;
      const thought = `thought ${thoughtNumber} of ${session.id}`;
      const result = await call('sequentialthinking', { thought, thoughtNumber, totalThoughts, nextThoughtNeeded });
      // The length of the history shows whether thoughts of another session are in it.
      check('sequentialthinking', result.structuredContent, {
        thoughtNumber,
        totalThoughts,
        nextThoughtNeeded,
        branches: [],
        thoughtHistoryLength: thoughtNumber,
      });
    }
  },
};

function textOf({ content }) {
  return content?.[0]?.text;
}
