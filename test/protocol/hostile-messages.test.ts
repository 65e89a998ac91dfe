import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { MCPServerPool } from '../../src/index.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { RawClient } from '../helpers/client.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher, type FakeServer } from '../helpers/fake-launcher.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { flush } from '../helpers/until.js';

// Messages of a server as no server should write them: each part may have any shape, at any time.

/** Stands for a value that is nested deeper than most code can follow; only text can say it. */
const DEEP = '@deep@';
const depth = 20_000;
const deep = `${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}`;
const text = (value: unknown) => (JSON.stringify(value) ?? 'null').replaceAll(`"${DEEP}"`, deep);

const key = fc.constantFrom(
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'a', '', '0'],
  ...['taskId', 'uri', 'name', 'task', 'tools', 'progressToken', '_meta', 'code', 'message', 'capabilities'],
);
const { odd } = fc.letrec((tie) => ({
  odd: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.constantFrom(null, true, false, 0, -1, 1, 1.5, 1e308, '', '1', 'x', '__proto__', '\u2028', '\ud800', DEEP),
    fc.string(),
    fc.array(tie('odd'), { maxLength: 3 }),
    // By its entries: a key `__proto__` must become a property.
    fc.array(fc.tuple(key, tie('odd')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}));
const either = (usual: fc.Arbitrary<unknown>) => fc.oneof({ arbitrary: usual, weight: 2 }, odd);
const record = (model: Record<string, fc.Arbitrary<unknown>>) => fc.record(model, { requiredKeys: [] });

/** An id or token that the server was given, by its place. */
interface Known {
  readonly known: number;
}
const known = fc.nat({ max: 40 }).map((place): Known => ({ known: place }));
const id = either(known);
const tool = either(record({ name: odd, description: odd, inputSchema: odd, annotations: odd }));
const task = either(record({ taskId: odd, status: either(fc.constantFrom('working', 'completed')), ttl: odd }));
const params = either(
  record({
    progressToken: id,
    requestId: id,
    uri: either(fc.constantFrom('file:///a', 'file:///a/b?c#d', '/'.repeat(1_000))),
    taskId: odd,
    status: either(fc.constantFrom('working', 'completed')),
    level: either(fc.constantFrom('debug', 'error')),
    data: odd,
    _meta: either(record({ progressToken: id })),
  }),
);
const result = either(
  record({
    tools: either(fc.array(tool, { maxLength: 3 })),
    nextCursor: either(fc.constant('again')),
    tasks: either(fc.array(task, { maxLength: 3 })),
    task,
    protocolVersion: either(fc.constantFrom('2025-06-18', '2025-11-25')),
    capabilities: either(record({ logging: odd, tools: odd, resources: odd })),
    serverInfo: odd,
    instructions: odd,
    content: odd,
  }),
);
const error = either(record({ code: odd, message: odd, data: odd }));
const method = either(
  fc.constantFrom(
    ...['notifications/progress', 'notifications/message', 'notifications/cancelled', 'notifications/tasks/status'],
    ...['notifications/resources/updated', 'notifications/tools/list_changed', 'notifications/roots/list_changed'],
    ...['ping', 'roots/list', 'sampling/createMessage', 'elicitation/create', 'initialize', 'tools/call'],
  ),
);
const jsonrpc = fc.oneof({ arbitrary: fc.constant('2.0'), weight: 20 }, odd);
const message = fc.oneof(
  fc.record({ jsonrpc, id, result }),
  fc.record({ jsonrpc, id, error }),
  fc.record({ jsonrpc, method, params }, { requiredKeys: ['jsonrpc', 'method'] }),
  fc.record({ jsonrpc, id, method, params }, { requiredKeys: ['jsonrpc', 'id', 'method'] }),
  fc.record({ jsonrpc, id, method, params, result, error }, { requiredKeys: ['jsonrpc'] }),
  odd,
);

/** What a client asks for, so that there is something to answer. */
const CALLS: readonly [method: string, params: object][] = [
  ['tools/list', {}],
  ['tools/call', { name: 'x', _meta: { progressToken: 'mine' } }],
  ['tools/call', { name: 'x', task: { ttl: 1 }, _meta: { progressToken: 1 } }],
  ['tasks/list', {}],
  ['resources/subscribe', { uri: 'file:///a' }],
  ['resources/read', { uri: 'file:///a' }],
  ['logging/setLevel', { level: 'info' }],
  ['prompts/list', {}],
];

/** With the ids that the server was really given. */
function resolved(value: unknown, server: FakeServer): unknown {
  return JSON.parse(JSON.stringify(value), (name, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || !('known' in inner)) return inner;
    const ids = server.received.flatMap((sent) => (sent.id == null ? [] : [sent.id]));
    const place = (inner as Known).known % Math.max(ids.length, 1);
    return name === '' ? inner : (ids[place] as RequestId);
  });
}

async function run(
  definition: object,
  script: (
    all: { pool: MCPServerPool; launcher: FakeLauncher; clock: ManualClock },
    faults: unknown[],
  ) => Promise<void>,
) {
  const all = { clock: new ManualClock(), launcher: new FakeLauncher() };
  const pool = new MCPServerPool({ servers: { a: { command: 'fake', ...definition } } }, all);
  const faults: unknown[] = [];
  pool.on('internal:error', ({ error: { cause } }) => faults.push(cause));
  try {
    await script({ pool, ...all }, faults);
    expect(faults).toEqual([]);
  } finally {
    const closing = pool.shutdown({ mode: 'emergency' });
    for (const server of all.launcher.living) server.exit();
    await closing;
  }
}

vi.setConfig({ testTimeout: propertyRuns(200).testTimeout });

describe.each(['shared', 'exclusive', 'dedicated'] as const)('a server that is %s', (sharing) => {
  it('[FAULT-3] may write messages of any shape: none is a fault, and later calls are answered', async () => {
    await assertWithin(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 20 }), (messages) =>
        run(
          {
            sharing,
            retryTools: sharing === 'dedicated' ? 'never' : 'annotated',
            clientCapabilities: { sampling: {} },
          },
          async ({ pool, launcher }) => {
            const lease = await pool.getServer('a');
            const client = await RawClient.connect(lease.transport);
            const server = launcher.last;
            server.auto = { ...server.auto, answer: false };
            for (const [name, asked] of CALLS) void client.request(name, asked);
            await flush();
            for (const one of messages) server.say(`${text(resolved(one, server))}\n`);
            await flush();
            server.auto = { ...server.auto, answer: true };
            expect(await client.request('tools/call', { name: 'y' }, 'last')).toEqual({ echo: { name: 'y' } });
            expect(server.alive).toBe(true);
          },
        ),
      ),
      propertyRuns(200),
    );
  });

  it('[FAULT-3] may answer initialize with anything: it is no fault', async () => {
    await assertWithin(
      fc.asyncProperty(fc.oneof(fc.record({ result }), fc.record({ error })), (answer) =>
        run({ sharing, startTimeout: 100 }, async ({ pool, launcher, clock }) => {
          launcher.auto = { ...launcher.auto, initialize: false };
          const leasing = pool.getServer('a').then(
            async (lease) => {
              const client = new RawClient(lease.transport);
              await lease.transport.start();
              client.initialize().catch(() => {});
            },
            (refused: { code: string }) => expect(refused.code).toMatch(/HANDSHAKE_FAILED|START_TIMEOUT/),
          );
          await flush();
          const server = launcher.last;
          const asked = server.received.find((sent) => sent.method === 'initialize');
          server.say(`${text(resolved({ jsonrpc: '2.0', id: asked?.id ?? 1, ...answer }, server))}\n`);
          await clock.advanceAndFlush(100);
          await leasing;
          await flush();
        }),
      ),
      propertyRuns(100),
    );
  });
});

it('[FAULT-3] a process that takes over may answer the requests of the pool with anything', async () => {
  await assertWithin(
    fc.asyncProperty(fc.array(result, { minLength: 1, maxLength: 5 }), (results) =>
      run({ sharing: 'shared', retryTools: 'annotated' }, async ({ pool, launcher, clock }) => {
        const lease = await pool.getServer('a');
        const client = await RawClient.connect(lease.transport);
        const first = launcher.last;
        first.onRequest = ({ method: asked }: JsonRpcMessage) => (asked === 'tools/list' ? { tools: [] } : {});
        for (const [name, asked] of CALLS) void client.request(name, asked);
        await flush();
        let turn = 0;
        first.exit({ exitCode: 1 });
        await flush();
        launcher.onLaunch = () => queueMicrotask(() => prepare());
        const prepare = () => {
          const server = launcher.last;
          server.onRequest = ({ id: wireId }) => {
            const answer = { jsonrpc: '2.0', id: wireId, result: resolved(results[turn++ % results.length], server) };
            server.say(`${text(answer)}\n`);
            return undefined;
          };
        };
        await clock.advanceAndFlush(1_000);
        await flush();
        const server = launcher.last;
        expect(server).not.toBe(first);
        server.onRequest = undefined;
        expect(await client.request('tools/call', { name: 'y' }, 'last')).toEqual({ echo: { name: 'y' } });
      }),
    ),
    propertyRuns(100),
  );
});
