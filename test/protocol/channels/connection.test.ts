import { spawn } from 'node:child_process';
import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PoolError } from '../../../src/errors.js';
import { Connection, WriteBudget } from '../../../src/protocol/channels/connection.js';
import type { JsonRpcMessage } from '../../../src/protocol/json-rpc.js';
import { flush, outcome, rejection } from '../../helpers/until.js';

/** A pipe whose reader reads when the test says so. */
class Pipe extends Writable {
  readonly writes: string[] = [];
  readonly #waiting: ((error?: Error) => void)[] = [];
  reading = true;

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.writes.push(chunk.toString());
    if (this.reading) done();
    else this.#waiting.push(done);
  }

  read(error?: Error): void {
    this.reading = true;
    for (const done of this.#waiting.splice(0)) done(error);
  }

  /** As a socket: what it has not written yet fails. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const waiting of this.#waiting.splice(0)) waiting(new Error('write ECANCELED'));
    done(error);
  }

  get lines(): unknown[] {
    return this.writes
      .join('')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown);
  }
}

function connected({ limit = 1_000_000, budget = new WriteBudget(1_000_000), stdin = new Pipe() as Writable } = {}) {
  stdin.on('error', () => {});
  const stdout = new PassThrough();
  const received: JsonRpcMessage[] = [];
  const broken: PoolError[] = [];
  const connection = new Connection(
    { stdin, stdout, messageLimit: limit, budget, name: 'test' },
    { onMessage: (message) => received.push(message), onBroken: (error) => broken.push(error) },
  );
  return { connection, stdin: stdin as Pipe, stdout, received, broken, budget };
}

const note = (text: unknown): JsonRpcMessage => ({ jsonrpc: '2.0', method: 'note', params: { text } });

describe('sending', () => {
  it('[CONN-1] writes what was sent in one tick with one write, in order', async () => {
    const { connection, stdin } = connected();
    const sent = Array.from({ length: 100 }, (_, index) => note(index));
    await Promise.all(sent.map((message) => connection.send(message)));
    expect(stdin.writes).toHaveLength(1);
    expect(stdin.lines).toEqual(sent);
    await connection.send(note('later'));
    expect(stdin.writes).toHaveLength(2);
  });

  it('[CONN-1] [FRAME-1] writes one line for each message, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), async (texts) => {
        const { connection, stdin } = connected();
        await Promise.all(texts.map((text) => connection.send(note(text))));
        expect(stdin.lines).toEqual(texts.map((text) => JSON.parse(JSON.stringify(note(text))) as unknown));
      }),
      { numRuns: 50 },
    );
  });

  it('[CONN-2] stays pending while the server does not read', async () => {
    const { connection, stdin } = connected();
    stdin.reading = false;
    const first = connection.send(note(1));
    await flush();
    const second = connection.send(note(2));
    expect([await outcome(first), await outcome(second)]).toEqual(['pending', 'pending']);
    stdin.read();
    await Promise.all([first, second]);
  });

  it('[CONN-2] [CONN-3] is held back by a real process that does not read, and rejected when it ends', async () => {
    const child = spawn('sleep', ['100'], { stdio: ['pipe', 'ignore', 'ignore'] });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const { connection, broken } = connected({ stdin: child.stdin, budget: new WriteBudget(10_000_000) });
    await connection.send(note('small: the pipe takes it'));
    const large = connection.send(note('x'.repeat(2_000_000)));
    expect(await outcome(large)).toBe('pending');
    child.kill('SIGKILL');
    expect(await rejection(large)).toMatchObject({ code: 'SERVER_EXITED', cause: { code: 'EPIPE' } });
    expect(broken).toHaveLength(1);
    expect(await rejection(connection.send(note('after')))).toBe(broken[0]);
  });

  it('[CONN-3] rejects when the pipe breaks, and tells it once', async () => {
    const { connection, stdin, broken } = connected();
    stdin.reading = false;
    const first = connection.send(note(1));
    await flush();
    const second = connection.send(note(2));
    stdin.read(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    for (const sent of [first, second, connection.send(note(3))]) {
      expect(await rejection(sent)).toMatchObject({ code: 'SERVER_EXITED', data: { name: 'test' } });
    }
    expect(broken).toHaveLength(1);
  });

  it('[CONN-3] rejects when stdin was ended or destroyed before', async () => {
    for (const finish of ['end', 'destroy'] as const) {
      const { connection, stdin } = connected();
      stdin[finish]();
      expect(await rejection(connection.send(note(1)))).toMatchObject({ code: 'SERVER_EXITED' });
    }
  });

  it('[CONN-3] rejects what waits when stdin is destroyed', async () => {
    const { connection, stdin } = connected();
    stdin.reading = false;
    const sent = connection.send(note(1));
    await flush();
    stdin.destroy();
    expect(await rejection(sent)).toMatchObject({ code: 'SERVER_EXITED' });
  });

  it('[CONN-3] rejects with the reason of the end once it was closed', async () => {
    const { connection, stdin, broken } = connected();
    const reason = Object.assign(new Error('released'), { code: 'LEASE_RELEASED' }) as unknown as PoolError;
    connection.close(reason);
    connection.close(Object.assign(new Error('another'), { code: 'SERVER_STOPPED' }) as unknown as PoolError);
    expect(await rejection(connection.send(note(1)))).toBe(reason);
    await flush();
    expect(stdin.writes).toEqual([]);
    expect(broken).toEqual([]);
  });

  it('[CONN-3] rejects what cannot be written as JSON, and goes on', async () => {
    const { connection, stdin } = connected();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    // Must not be thrown in the tick of the call: `send` returns a promise.
    const sent = [connection.send(note(1n)), connection.send(note(circular))];
    for (const one of sent) expect(await rejection(one)).toBeInstanceOf(Error);
    await connection.send(note('fine'));
    expect(stdin.lines).toEqual([note('fine')]);
  });

  it('[CONN-3] leaves no unhandled rejection when nobody looks', async () => {
    const unhandled: unknown[] = [];
    const listener = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    onTestFinished(() => {
      process.off('unhandledRejection', listener);
    });
    const { connection, stdin } = connected();
    stdin.reading = false;
    void connection.send(note(1)).catch(() => {});
    await flush();
    stdin.read(new Error('EPIPE'));
    await flush();
    expect(unhandled).toEqual([]);
  });

  it('[CONN-4] says BUFFER_FULL when too much waits, and has room again when it was read', async () => {
    const { connection, stdin, broken } = connected({ budget: new WriteBudget(200) });
    stdin.reading = false;
    const first = connection.send(note('x'.repeat(100)));
    expect(await rejection(connection.send(note('y'.repeat(100))))).toMatchObject({
      code: 'BUFFER_FULL',
      data: { name: 'test' },
    });
    expect(broken).toEqual([]);
    stdin.read();
    await first;
    await connection.send(note('z'.repeat(100)));
    expect(stdin.lines).toHaveLength(2);
  });

  it('[CONN-4] takes any one message while nothing waits', async () => {
    const { connection, stdin } = connected({ budget: new WriteBudget(10) });
    await connection.send(note('x'.repeat(1_000)));
    expect(stdin.lines).toHaveLength(1);
  });

  it('[CONN-4] counts bytes, not characters', async () => {
    const { connection, stdin } = connected({ budget: new WriteBudget(200) });
    stdin.reading = false;
    // 80 characters are 240 bytes here, and more than may wait already.
    const first = connection.send(note('€'.repeat(80)));
    expect(await rejection(connection.send(note('y')))).toMatchObject({ code: 'BUFFER_FULL' });
    stdin.read();
    await first;
  });

  it('[CONN-4] shares its bound with all connections of a pool, and gives back what failed', async () => {
    const budget = new WriteBudget(200);
    const [one, two] = [connected({ budget }), connected({ budget })];
    one.stdin.reading = false;
    const waiting = one.connection.send(note('x'.repeat(100)));
    await flush();
    expect(await rejection(two.connection.send(note('y'.repeat(100))))).toMatchObject({ code: 'BUFFER_FULL' });
    one.stdin.destroy();
    await rejection(waiting);
    await two.connection.send(note('y'.repeat(100)));
    await two.connection.send(note('y'.repeat(100)));
  });
});

describe('receiving', () => {
  it('leaves everything in the pipe until it is opened', async () => {
    const { connection, stdout, received } = connected();
    stdout.write(`${JSON.stringify(note(1))}\n`);
    await flush();
    expect(received).toEqual([]);
    connection.open();
    await flush();
    expect(received).toEqual([note(1)]);
  });

  it('[FRAME-2] counts the lines that are no messages', async () => {
    const { connection, stdout, received, broken } = connected();
    connection.open();
    stdout.write(`hello\n${JSON.stringify(note(1))}\nworld\n`);
    await flush();
    expect(received).toEqual([note(1)]);
    expect(connection.skippedLines).toBe(2);
    expect(broken).toEqual([]);
  });

  it('[FRAME-3] breaks at a message above the limit, tells it once, and sends nothing more', async () => {
    const { connection, stdout, received, broken } = connected({ limit: 100 });
    connection.open();
    stdout.write(
      `${JSON.stringify(note('ok'))}\n${JSON.stringify(note('x'.repeat(200)))}\n${JSON.stringify(note('no'))}\n`,
    );
    stdout.write(`${JSON.stringify(note('y'.repeat(200)))}\n`);
    await flush();
    expect(received).toEqual([note('ok')]);
    expect(broken).toEqual([expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' })]);
    expect(broken[0]?.message).toContain('maxMessageMB');
    expect(await rejection(connection.send(note(1)))).toBe(broken[0]);
  });

  it('[FRAME-3] goes on reading after it, so that the server can see the end of its stdin', async () => {
    const { connection, stdout } = connected({ limit: 100 });
    connection.open();
    for (let chunk = 0; chunk < 100; chunk++) stdout.write(Buffer.alloc(65_536, 'x'));
    await flush(200);
    expect(stdout.readableLength).toBe(0);
    expect(stdout.writableLength).toBe(0);
  });
});
