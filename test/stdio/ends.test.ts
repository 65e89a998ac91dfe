import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import { describe, expect, it } from 'vitest';
import { MCPServerPool } from '../../src/index.js';
import { StdioClientTransport, type StdioServerExit, type StdioServerParameters } from '../../src/stdio.js';
import { RawClient } from '../helpers/client.js';
import { isLiving, MARKER } from '../helpers/processes.js';
import { record } from '../helpers/real-pool.js';
import { endGlobalPoolAfterEach, params, program, Watched } from '../helpers/stdio.js';
import { outcome, rejection, until } from '../helpers/until.js';

const pool = () => MCPServerPool.global();
/** A shell that neither reads its stdin nor obeys SIGTERM. */
const deaf = () => program('sh', '-c', 'trap "" TERM; sleep 100; sleep 1');

endGlobalPoolAfterEach();

/** The order in which the handlers of a transport are called. */
function ordered(server: StdioServerParameters) {
  const { transport } = new Watched(server);
  const calls: string[] = [];
  const exits: StdioServerExit[] = [];
  transport.onexit = (exit) => {
    calls.push('exit');
    exits.push(exit);
  };
  transport.onclose = () => calls.push('close');
  transport.onerror = (error) => calls.push(`error ${(error as { code?: string }).code}`);
  return { transport, calls, exits };
}

describe('the graces of a transport', () => {
  /** The steps with which its tree would be ended now. */
  async function steps(server: StdioServerParameters) {
    const { transport } = new Watched(server);
    await transport.start();
    const [plan] = pool().plan('shutdown').ends;
    await pool().shutdown({ mode: 'emergency' });
    return plan?.steps.map(({ step, grace }) => `${step} ${grace}`);
  }

  it('[STDIO-11] are 2 s and 2 s, as in the SDK, for a server that is deaf to end of file and SIGTERM', async () => {
    expect((await steps(deaf()))?.slice(0, 2)).toEqual(['eof 2000', 'SIGTERM 2000']);
  });

  it('[STDIO-11] are those that the host gives: to the transport, or as defaults of the global pool', async () => {
    expect((await steps({ ...deaf(), eofGrace: 10, termGrace: 20 }))?.slice(0, 2)).toEqual(['eof 10', 'SIGTERM 20']);
    MCPServerPool.global({ defaults: { termGrace: 30 } });
    expect((await steps(deaf()))?.slice(0, 2)).toEqual(['eof 2000', 'SIGTERM 30']);
    MCPServerPool.global({ defaults: { termGrace: 30, eofGrace: 40 } });
    expect((await steps({ ...deaf(), termGrace: 50 }))?.slice(0, 2)).toEqual(['eof 40', 'SIGTERM 50']);
  });

  it('[STDIO-11] of other servers of the global pool are those of every pool', async () => {
    pool().addServer('other', { command: 'cat', sharing: 'dedicated', inheritEnv: [MARKER] });
    await pool().getServer('other');
    const [plan] = pool().plan('shutdown').ends;
    expect(plan?.steps.slice(0, 2)).toMatchObject([{ grace: 2_000 }, { grace: 5_000 }]);
  });
});

describe('a message that is too long', () => {
  it.each([{ maxBufferSize: 300_000 }, { maxMessageMB: 1 }])(
    "[STDIO-11] is reported with the SDK's words: %j",
    async (limit) => {
      const { transport } = new Watched({ ...params('too-large'), ...limit });
      const client = await RawClient.connect(transport);
      const call = rejection(client.callTool('overflow', { mb: 2 }));
      await client.closed;
      const words = `ReadBuffer exceeded maximum size of ${limit.maxBufferSize ?? 1_048_576} bytes`;
      expect(client.errors.map(String)).toEqual([expect.stringContaining(words)]);
      expect(String(await call)).toContain(words);
    },
  );
});

describe('onexit', () => {
  it.each([
    ['by itself', 'echo boom >&2; exit 3', undefined, { exitCode: 3, signal: null, stderrTail: 'boom\n' }],
    [
      'at the end of its stdin',
      'echo ready >&2; cat; exit 4',
      'close',
      { exitCode: 4, signal: null, stderrTail: 'ready\n' },
    ],
    ['by SIGTERM', 'exec sleep 100', 'close', { exitCode: null, signal: 'SIGTERM', stderrTail: '' }],
  ])(
    '[STDIO-12] is called once when its process has exited %s, before onclose',
    async (_how, script, end, expected) => {
      const { transport, calls, exits } = ordered({
        ...program('sh', '-c', script),
        eofGrace: end === 'close' && expected.exitCode !== null ? 60_000 : 200,
      });
      const reading = record(pool(), 'server:stderr');
      await transport.start();
      if (script.includes('ready')) await until('it runs', () => reading.length > 0);
      if (end === 'close') await transport.close();
      await until('it has closed', () => calls.includes('close'));
      await transport.close();
      expect(exits).toEqual([{ pid: expect.any(Number), ...expected }]);
      expect(calls).toEqual(end === 'close' ? ['exit', 'close'] : ['exit', 'error SERVER_EXITED', 'close']);
    },
  );

  /** It lives on until SIGKILL, whatever is done to its connection. */
  const stubborn = { eofGrace: 100, termGrace: 100 };
  it.each<[string, StdioServerParameters, (client: RawClient) => unknown]>([
    [
      'a message that is too long',
      { ...params('too-large'), maxBufferSize: 300_000 },
      (client) => client.callTool('overflow', { mb: 2 }),
    ],
    ['a closed stdout', program('sh', '-c', 'trap "" TERM; exec >&-; sleep 100; sleep 1'), () => {}],
    ['shutdown()', deaf(), () => pool().shutdown()],
    ['shutdown() as an emergency', deaf(), () => pool().shutdown({ mode: 'emergency' })],
    [
      'removeServer() with a drain timeout',
      deaf(),
      () => pool().removeServer(Object.keys(pool().status().servers)[0] ?? '', { timeout: 0 }),
    ],
  ])('[STDIO-12] comes before onclose when the process outlives its connection: %s', async (_what, server, end) => {
    const { transport, calls } = ordered({ ...server, ...stubborn });
    const client = new RawClient(transport);
    transport.onerror = () => calls.push('error');
    const closed = new Promise<void>((resolve) => {
      transport.onclose = () => {
        calls.push('close');
        resolve();
      };
    });
    await transport.start();
    const ending = Promise.resolve(end(client)).catch(() => {});
    await closed;
    expect(calls).toEqual(['error', 'exit', 'close']);
    expect(transport.pid).toBe(null);
    await transport.close();
    await ending;
    expect(calls).toEqual(['error', 'exit', 'close']);
  });

  it.each<[string, (leaseId: string) => unknown]>([
    ['its lease is released', (leaseId) => pool().releaseServer(leaseId)],
    ['the pool ends at once', () => pool().shutdown({ mode: 'emergency' })],
    ['the pool ends', () => pool().shutdown()],
  ])('[STDIO-12] comes before onclose when a start fails after its process ran: %s', async (_what, end) => {
    const { transport, calls } = ordered({ ...deaf(), ...stubborn });
    let ending: Promise<unknown> | undefined;
    pool().once('lease:acquired', ({ leaseId }) => {
      ending = Promise.resolve(end(leaseId)).catch(() => {});
    });
    await rejection(transport.start());
    await until('it has closed', () => calls.includes('close'));
    expect([calls.filter((call) => !call.startsWith('error')), transport.pid]).toEqual([['exit', 'close'], null]);
    await transport.close();
    await ending;
    expect(calls.filter((call) => !call.startsWith('error'))).toEqual(['exit', 'close']);
  });

  it('[STDIO-12] is called for each process of a transport that is started again, and for no other', async () => {
    const one = ordered(program('sh', '-c', 'cat; exit 1'));
    const two = ordered(program('sh', '-c', 'cat; exit 2'));
    await Promise.all([one.transport.start(), two.transport.start()]);
    await one.transport.close();
    expect([one.exits.length, two.exits.length]).toEqual([1, 0]);
    await one.transport.start();
    await Promise.all([one.transport.close(), two.transport.close()]);
    expect(one.exits.map(({ exitCode }) => exitCode)).toEqual([1, 1]);
    expect(two.exits.map(({ exitCode }) => exitCode)).toEqual([2]);
    expect(pool().listenerCount('server:exited')).toBe(0);
  });

  it('[STDIO-12] is not called when nothing could be started, and what it throws goes to onerror', async () => {
    const { transport, calls } = ordered(program('no-such-command'));
    await rejection(transport.start());
    expect(calls).toEqual(['error COMMAND_NOT_FOUND', 'close']);
    const failing = new Watched(program('cat'));
    failing.transport.onexit = () => {
      throw new Error('of the handler');
    };
    await failing.transport.start();
    await failing.transport.close();
    expect(failing).toMatchObject({ closes: 1, errors: [{ message: 'of the handler' }] });
  });
});

describe('close({ wait: false })', () => {
  it('[STDIO-13] resolves at once, and the server ends; another close() waits for it', async () => {
    const { transport, calls } = ordered({ ...deaf(), eofGrace: 200, termGrace: 100 });
    await transport.start();
    const pid = transport.pid ?? 0;
    await transport.close({ wait: false });
    expect([transport.pid, isLiving(pid), calls]).toEqual([null, true, []]);
    await transport.close();
    expect(isLiving(pid)).toBe(false);
    expect(calls).toEqual(['exit', 'close']);
  });

  it.each([
    ['v1.16', Client116],
    ['v2', ClientV2],
  ] as const)(
    '[STDIO-14] lets the same client %s connect again: the end of the old process is not its end',
    async (_version, Client) => {
      const { transport, exits } = ordered({ ...params('ignore-eof-and-term'), eofGrace: 100, termGrace: 100 });
      const client = new Client({ name: 'test', version: '1' });
      let closes = 0;
      client.onclose = () => {
        closes += 1;
      };
      await client.connect(transport as never);
      const old = transport.pid ?? 0;
      await transport.close({ wait: false });
      await client.connect(transport as never);
      const pid = transport.pid;
      await until('the old process is dead', () => exits.length > 0 && !isLiving(old));
      await until('its server is removed', () => Object.keys(pool().status().servers).length === 1);
      expect([exits[0]?.pid, closes, transport.pid]).toEqual([old, 0, pid]);
      await client.ping();
      await client.close();
      expect(exits.map((exit) => exit.pid)).toEqual([old, pid]);
      expect(closes).toBeGreaterThan(0);
    },
  );

  it('[STDIO-14] calls onclose once for two starts, also when the second has ended before the first', async () => {
    const { transport, calls } = ordered({ ...deaf(), eofGrace: 300, termGrace: 100 });
    await transport.start();
    await transport.close({ wait: false });
    await transport.start();
    process.kill(transport.pid ?? 0, 'SIGKILL');
    await until('the second has closed', () => calls.includes('close'));
    await transport.close();
    expect(calls.filter((call) => call === 'close')).toEqual(['close']);
    expect(calls.filter((call) => call === 'exit')).toHaveLength(2);
  });

  it('[STDIO-14] answers open requests at once, but not those that were given up', async () => {
    const { transport } = ordered(deaf());
    const client = new RawClient(transport);
    await transport.start();
    const lost = rejection(client.request('tools/list'));
    void client.request('tools/call', {}, 'given up');
    await client.notify('notifications/cancelled', { requestId: 'given up' });
    await transport.close({ wait: false });
    expect(await lost).toMatchObject({ code: -32000, message: 'Connection closed' });
    expect(client.received).toHaveLength(1);
    await pool().shutdown({ mode: 'emergency' });
  });

  it('[STDIO-13] during a start, before one, and after the end', async () => {
    const never = new StdioClientTransport(program('cat'));
    await never.close({ wait: false });
    const { transport, calls } = ordered(params('never-answers'));
    const starting = rejection(transport.start());
    expect(await outcome(transport.close({ wait: false }))).toBe('resolved');
    expect(await starting).toMatchObject({ code: 'ACQUIRE_ABORTED' });
    await until('it has closed', () => calls.includes('close'));
    await transport.close({ wait: false });
    expect(calls.filter((call) => call === 'close')).toEqual(['close']);
  });
});
