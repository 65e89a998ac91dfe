import { readFileSync } from 'node:fs';
import { connect as connectTo, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { EventStore } from '../../examples/express-gateway/event-store.js';
import { OpenRequests } from '../../examples/express-gateway/open-requests.js';
import { deferred } from '../../src/runtime/deferred.js';
import { exampleProgram } from '../helpers/example.js';
import { startGateway } from '../helpers/gateway.js';
import { startProgram } from '../helpers/host.js';
import { descendants } from '../helpers/processes.js';
import { rejection, until } from '../helpers/until.js';

/** The headers and the body of a first request. */
const INITIALIZE = {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
  }),
};

/** The model of a client, which answers nothing before `release()`. */
function heldModel() {
  const gate = deferred<void>();
  let asked = 0;
  return {
    asked: () => asked,
    release: () => gate.resolve(),
    async answer() {
      asked += 1;
      await gate.promise;
      return 'an answer';
    },
  };
}

/** What a socket gets until its end, or until a chunk that says that the answer is over. */
function textOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (part: Buffer | string) => {
      text += part;
      if (text.endsWith('\r\n0\r\n\r\n')) socket.destroy();
    });
    socket.once('close', () => resolve(text)).resume();
  });
}

const succeeds = (promise: Promise<unknown>) =>
  promise.then(
    () => true,
    () => false,
  );
const failsWith = (code: number, promise: Promise<unknown>) =>
  promise.then(
    () => false,
    (error) => error.code === code,
  );

describe('the gateway example', () => {
  it('[GATEWAY-1] tenants have processes and keys of their own, sessions of an exclusive server too', async () => {
    const gateway = await startGateway();
    const [ana, ben, cleo] = await Promise.all(['ana', 'ben', 'cleo'].map((user) => gateway.connect('search', user)));
    expect(await ana!.call('account')).toBe('the key ends in north');
    expect(await ben!.call('account')).toBe('the key ends in north');
    expect(await cleo!.call('account')).toBe('the key ends in south');
    // One process for both users of the north: what one notes, the other reads. A server that is shared has to keep nothing.
    await ana!.call('note', { text: 'of ana' });
    expect(await ben!.call('note', { text: 'of ben' })).toBe('of ana, of ben');
    expect(await cleo!.call('note', { text: 'of cleo' })).toBe('of cleo');

    const [first, second] = await Promise.all([gateway.connect('notes', 'ana'), gateway.connect('notes', 'ana')]);
    await first!.call('note', { text: 'one' });
    expect(await second!.call('note', { text: 'two' })).toBe('two');
    expect(await first!.call('account')).toBe('the key ends in nothing: there is none');
    // The end of a session ends the process that only it could use.
    const metrics = async () => (await gateway.send('/metrics', { token: gateway.tokenOf('operator') })).text();
    expect(await metrics()).toContain('mcp_pool_server_instances{server="notes",state="ready"} 2');
    await first!.transport.terminateSession();
    await until('one process is left', async () =>
      (await metrics()).includes('mcp_pool_server_instances{server="notes",state="ready"} 1'),
    );
  });

  it('[GATEWAY-2] only users get in, from this machine, to their own sessions; only operators see how it is', async () => {
    const { connect, send, statusForHost, tokenOf, url } = await startGateway();
    const status = async (...args: Parameters<typeof send>) => (await send(...args)).status;
    const token = tokenOf('ana');
    expect(await status('/mcp/notes', INITIALIZE)).toBe(401);
    expect(await status('/mcp/notes', { ...INITIALIZE, token: 'wrong' })).toBe(401);
    expect(await status('/mcp/notes', { ...INITIALIZE, token: tokenOf('operator') })).toBe(401);
    const from = (name: string, value: string) => ({
      ...INITIALIZE,
      token,
      headers: { ...INITIALIZE.headers, [name]: value },
    });
    expect(await status('/mcp/notes', from('origin', 'http://evil.example'))).toBe(403);
    expect(await status('/mcp/notes', from('origin', 'http://localhost:1'))).toBe(403);
    expect(await status('/mcp/notes', from('origin', url))).toBe(200);
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'localhost@evil.example'])
      expect(await statusForHost(host)).toBe(403);
    for (const host of ['localhost', 'localhost:1', '127.0.0.1', '[::1]:80'])
      expect(await statusForHost(host)).toBe(200);
    expect(await status('/mcp/nowhere', { ...INITIALIZE, token })).toBe(404);
    expect(await status('/mcp/__proto__', { ...INITIALIZE, token })).toBe(404);

    const { transport } = await connect('notes', 'ana');
    const list = { ...INITIALIZE, body: JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list' }) };
    const headers = { ...list.headers, 'mcp-session-id': transport.sessionId ?? '' };
    expect(await status('/mcp/notes', { ...list, headers, token })).toBe(200);
    expect(await status('/mcp/notes', { ...list, headers, token: tokenOf('ben') })).toBe(404);
    expect(await status('/mcp/search', { ...list, headers, token })).toBe(404);
    expect(await status('/mcp/notes', { ...list, token })).toBe(400);
    const wrong = await send('/mcp/notes', { ...list, headers, token, body: '{' });
    expect(await wrong.json()).toMatchObject({ error: { code: -32_700 } });

    expect(await status('/metrics', { token })).toBe(401);
    expect(await (await send('/health', { token })).json()).toEqual({ status: 'ok' });
    const health = await send('/health', { token: tokenOf('operator') });
    expect(await health.json()).toMatchObject({ status: 'ok', sessions: 2, checks: expect.any(Array) });
  });

  it('[GATEWAY-3] a stream whose connection is lost goes on: nothing is missing, nothing comes twice', async () => {
    const { connect } = await startGateway();
    const { call, loseConnections } = await connect('notes', 'ana', { comesBack: true });
    const steps: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => {
      steps.push(progress);
      if (progress % 8 === 0) loseConnections();
    };
    expect(await call('count', { to: 20, pause: 20 }, { onprogress })).toBe('counted to 20');
    expect(steps).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it('[GATEWAY-4] a user has at most four sessions and 16 requests at once; others are not concerned', async () => {
    const { connect } = await startGateway();
    const model = heldModel();
    const sessions = await Promise.all(
      Array.from({ length: 4 }, () => connect('assistant', 'ana', { model: model.answer })),
    );
    const ask = (index: number) => sessions[index % 4]!.call('ask', { question: 'which?' });
    const calls = Array.from({ length: 15 }, (_, index) => ask(index));
    await until('15 calls wait for their client', () => model.asked() === 15);
    const refused = (what: string) => ({ code: 429, message: expect.stringContaining(`more than ${what} at once`) });
    expect(await rejection(connect('search', 'ana'))).toMatchObject(refused('4 sessions'));
    calls.push(ask(15));
    await until('so does the last one', () => model.asked() === 16);
    expect(await rejection(sessions[0]!.call('account'))).toMatchObject(refused('16 requests'));
    await connect('search', 'ben');
    model.release();
    expect(await Promise.all(calls)).toEqual(Array(16).fill('an answer'));

    // Most clients leave without a word. Then the session that was left first makes room.
    await sessions[1]!.client.close();
    await until('there is room', () => succeeds(connect('search', 'ana')));
  });

  it('[GATEWAY-4] a session that its client has left ends by itself, with its process', async () => {
    const { send, tokenOf } = await startGateway('--idle-timeout', '100');
    const begun = await send('/mcp/notes', { ...INITIALIZE, token: tokenOf('ana') });
    expect(await begun.text()).toContain('"result"');
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    const health = async () => (await send('/health', { token: tokenOf('operator') })).text();
    await until('there is no session', async () => (await health()).includes('"sessions":0'));
    const next = await send('/mcp/notes', {
      ...INITIALIZE,
      headers: { ...INITIALIZE.headers, ...session },
      token: tokenOf('ana'),
    });
    expect([next.status, await next.json()]).toMatchObject([404, { error: { code: -32_001 } }]);
    const metrics = async () => (await send('/metrics', { token: tokenOf('operator') })).text();
    await until('its process is gone', async () => (await metrics()).includes('mcp_pool_slots_used 0'));
  });

  it('[GATEWAY-4] a session that its client has left ends, also while its server works on a request', async () => {
    const { connect, send, tokenOf } = await startGateway('--idle-timeout', '100');
    const { call, client } = await connect('notes', 'ana');
    let steps = 0;
    const onprogress = () => {
      steps += 1;
    };
    void call('count', { to: 1_000, pause: 100 }, { onprogress }).catch(() => {});
    await until('it counts', () => steps > 0);
    await client.close();
    const health = async () => (await send('/health', { token: tokenOf('operator') })).text();
    await until('there is no session', async () => (await health()).includes('"sessions":0'));
  });

  it('[GATEWAY-11] a first request that is refused leaves no session', async () => {
    const { send, tokenOf } = await startGateway();
    const token = tokenOf('ana');
    const wrong = { ...INITIALIZE, token, headers: { ...INITIALIZE.headers, accept: 'application/json' } };
    expect((await send('/mcp/notes', wrong)).status).toBe(406);
    const withoutId = JSON.stringify({ ...JSON.parse(INITIALIZE.body), id: undefined });
    expect((await send('/mcp/notes', { ...INITIALIZE, token, body: withoutId })).status).toBe(400);
    const health = async () => (await send('/health', { token: tokenOf('operator') })).text();
    await until('there is no session', async () => (await health()).includes('"sessions":0'));
  });

  it('[GATEWAY-11] a second request with the id of an open one is refused: limits count ids', async () => {
    const { connect, send, tokenOf } = await startGateway();
    const { transport, call } = await connect('notes', 'ana');
    const headers = { ...INITIALIZE.headers, 'mcp-session-id': transport.sessionId ?? '' };
    const count = {
      ...{ jsonrpc: '2.0', id: 'same', method: 'tools/call' },
      params: { name: 'count', arguments: { to: 1_000, pause: 100 }, _meta: { progressToken: 1 } },
    };
    const post = (body: unknown, signal: AbortSignal | null = null) =>
      send('/mcp/notes', { ...INITIALIZE, token: tokenOf('ana'), headers, body: JSON.stringify(body), signal });
    const stop = new AbortController();
    const first = await post(count, stop.signal);
    await first.body?.getReader().read();
    const refused = { error: { code: -32_600, message: 'a request with this id is not answered yet' } };
    for (const body of [count, [count], [1, 1].map((id) => ({ ...count, id }))]) {
      const again = await post(body);
      expect([again.status, await again.json()]).toMatchObject([400, refused]);
    }
    expect(await call('account')).toContain('the key ends in');
    stop.abort();
  });

  it('[GATEWAY-11] a client that does not read its answers loses the connections, and no other', async () => {
    const { connect, tokenOf, url } = await startGateway();
    const { transport, call } = await connect('notes', 'ana');
    // Every answer is of 7 MB: more than the kernel takes for a socket.
    for (let count = 0; count < 2; count++) await call('note', { text: 'x'.repeat(3_500_000) });
    const head = [
      'POST /mcp/notes HTTP/1.1',
      'Host: localhost',
      `Authorization: Bearer ${tokenOf('ana')}`,
      'Accept: application/json, text/event-stream',
      'Content-Type: application/json',
      `Mcp-Session-Id: ${transport.sessionId}`,
    ].join('\r\n');
    const ask = (id: string) => {
      const message = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'note', arguments: { text: '' } } };
      const body = JSON.stringify(message);
      const socket = connectTo(Number(new URL(url).port), '127.0.0.1')
        .pause()
        .setEncoding('utf8');
      socket.on('error', () => {}).write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      return socket;
    };
    const sockets: Socket[] = [];
    for (let index = 0; index < 5; index++) {
      sockets.push(ask(`unread-${index}`));
      // Answered in order: what came before is on its way.
      expect(await call('account')).toContain('the key ends in');
    }
    const texts = await Promise.all(sockets.map((socket) => textOf(socket)));
    const isWhole = texts.map((text) => text.endsWith('0\r\n\r\n'));
    expect([isWhole.at(0), isWhole.at(-1)]).toEqual([false, true]);
  });

  it('[GATEWAY-11] messages that a server does not read are bounded: further ones of its session are refused', async () => {
    const { connect, send, tokenOf } = await startGateway();
    const { transport, call } = await connect('notes', 'ana');
    const isServer = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('demo-server.js');
    const pids = descendants()
      .map(({ pid }) => pid)
      .filter(isServer);
    expect(pids).toHaveLength(1);
    process.kill(pids[0]!, 'SIGSTOP');
    const headers = { ...INITIALIZE.headers, 'mcp-session-id': transport.sessionId ?? '' };
    const message = { jsonrpc: '2.0', method: 'notifications/large', params: { text: 'x'.repeat(100_000) } };
    const post = () =>
      send('/mcp/notes', { ...INITIALIZE, token: tokenOf('ana'), headers, body: JSON.stringify(message) });
    const statuses: number[] = [];
    for (let count = 0; count < 30; count++) statuses.push((await post()).status);
    expect(statuses.filter((status) => status === 202).length).toBeLessThan(20);
    expect(statuses.at(-1)).toBe(429);
    process.kill(pids[0]!, 'SIGCONT');
    // What has waited is read bit by bit: the first call may still be refused.
    await until('it reads again', () => succeeds(call('account')));
    expect(await call('account')).toContain('the key ends in');
  });

  it('[GATEWAY-5] a server that dies: its calls fail at once, its session is over, the next one works', async () => {
    const { connect } = await startGateway();
    const session = await connect('notes', 'ana');
    const lost = await rejection(session.call('crash'));
    expect(lost).toMatchObject({ code: -32_000, data: { reason: 'SERVER_EXITED', exitCode: 1 } });
    // What the server has written is for operators.
    expect(lost).toMatchObject({ message: expect.stringMatching(/the request was lost: SERVER_EXITED$/) });
    expect(JSON.stringify(lost)).not.toContain('stderr');
    await until('the session is over', () => failsWith(404, session.call('account')));
    const next = await connect('notes', 'ana');
    expect(await next.call('note', { text: 'new' })).toBe('new');
  });

  it('[GATEWAY-6] Ctrl-C: calls in flight are finished, new ones refused, nothing is left', async () => {
    const { child, connect, result, send, stdout } = await startGateway();
    const model = heldModel();
    const { call } = await connect('assistant', 'ana', { model: model.answer });
    const asked = call('ask', { question: 'which?' });
    await until('the call is in flight', () => model.asked() === 1);
    child.kill('SIGINT');
    await until('it shuts down', () => stdout().includes('shuts down'));
    expect((await send('/health')).status).toBe(503);
    expect(await rejection(call('account'))).toMatchObject({ code: 503 });
    // The answer of the client passes, since the call needs it.
    model.release();
    expect(await asked).toBe('an answer');
    expect(await result).toMatchObject({ code: 0, stderr: '' });
    expect(stdout()).toMatch(/^1 process trees ended, 0 survivors$/m);
  });

  it('[GATEWAY-6] Ctrl-C twice: ends at once; the client gets an error, not silence', async () => {
    const { child, connect, result, stdout } = await startGateway();
    const { call } = await connect('assistant', 'ana');
    let steps = 0;
    const onprogress = () => {
      steps += 1;
    };
    const counted = rejection(call('count', { to: 1_000, pause: 100 }, { onprogress }));
    await until('it counts', () => steps > 0);
    child.kill('SIGINT');
    await until('it shuts down', () => stdout().includes('shuts down'));
    child.kill('SIGINT');
    expect(await counted).toMatchObject({ code: -32_000 });
    expect(await result).toMatchObject({ code: 0, stderr: '' });
  });

  it('[GATEWAY-7] the client of the example shows all three servers', async () => {
    const { url, tokenOf } = await startGateway();
    const { code, stdout, stderr } = await startProgram(process.execPath, [
      exampleProgram('express-gateway/client.js'),
      url,
      tokenOf('cleo'),
    ]).result;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('search: the key ends in south\n');
    expect(stdout).toMatch(/connection is lost\nnotes: 3 of 4\nnotes: 4 of 4\nnotes: counted to 4/);
    expect(stdout).toContain('assistant: I am the model of the user.\n');
  });
});

describe('the store of events', () => {
  const message = (id: number) => ({ jsonrpc: '2.0' as const, id, result: {} });

  async function replay(store: EventStore, after: string) {
    const sent: unknown[] = [];
    const stream = await store.replayEventsAfter(after, {
      send: async (_id: string, one: unknown) => void sent.push(one),
    });
    return { stream, sent };
  }

  it('[GATEWAY-8] gives each stream what came after the last event that it saw, and no other', async () => {
    const store = new EventStore({ storedEvents: 10, storedMB: 1 });
    const first = await store.storeEvent('a', {});
    await store.storeEvent('b', message(1));
    await store.storeEvent('a', {});
    const third = await store.storeEvent('a', message(2));
    expect(await replay(store, first)).toEqual({ stream: 'a', sent: [message(2)] });
    expect(await replay(store, third)).toEqual({ stream: 'a', sent: [] });
    expect(await store.getStreamIdForEventId(first)).toBe('a');
    // Nor an id of another session, or one that was made up.
    for (const unknown of ['a:99', 'a', 'a:', 'a:x', '', 'a:0', 'b:1', 'c:1', 'a:1e0', 'a: 1', '__proto__:1'])
      expect(await store.getStreamIdForEventId(unknown)).toBe(undefined);
  });

  it.each([
    ['events', { storedEvents: 3, storedMB: 1 }, {}],
    ['bytes', { storedEvents: 1_000, storedMB: 1 }, { text: 'x'.repeat(300_000) }],
  ])(
    '[GATEWAY-8] is bounded by its %s: a client that would miss something is refused',
    async (_what, limits, result) => {
      const store = new EventStore(limits);
      const ids: string[] = [];
      for (let id = 0; id < 6; id++) ids.push(await store.storeEvent('a', { jsonrpc: '2.0', id, result }));
      const known = await Promise.all(ids.map((id) => store.getStreamIdForEventId(id)));
      expect(known).toEqual([undefined, undefined, 'a', 'a', 'a', 'a']);
      expect((await replay(store, ids[2]!)).sent).toHaveLength(3);
    },
  );
});

describe('the stream for a message of the server', () => {
  it('[GATEWAY-9] is that of its request; of the newest one where the message does not say', () => {
    const open = new OpenRequests();
    const streamOf = (message: object) => open.of(message as never);
    const notification = (method: string, params = {}) => ({ method, params });
    expect(streamOf({ ...notification('sampling/createMessage'), id: 7 })).toBe(undefined);
    open.add({ id: 1, params: { _meta: { progressToken: 'p' } } });
    open.add({ id: '1', params: {} });
    expect(streamOf({ id: 1, result: {} })).toBe(1);
    expect(streamOf(notification('notifications/progress', { progressToken: 'p' }))).toBe(1);
    expect(streamOf(notification('notifications/progress', {}))).toBe(undefined);
    expect(streamOf({ ...notification('sampling/createMessage'), id: 7 })).toBe('1');
    expect(streamOf(notification('notifications/message'))).toBe('1');
    expect(streamOf(notification('notifications/resources/updated'))).toBe(undefined);
    open.remove('1');
    expect(streamOf(notification('notifications/message'))).toBe(1);
  });
});
