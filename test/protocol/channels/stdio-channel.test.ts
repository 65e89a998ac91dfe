import { spawn } from 'node:child_process';
import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PoolError } from '../../../src/errors.js';
import { StdioChannel } from '../../../src/protocol/channels/stdio-channel.js';
import { WriteBudget } from '../../../src/protocol/channels/write-budget.js';
import type { JsonRpcMessage } from '../../../src/protocol/json-rpc.js';
import { flush, outcome, rejection } from '../../helpers/until.js';

/** A pipe with a reader that reads when the test says so. */
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

function connected({
  limit = 1_000_000,
  budget = new WriteBudget(1_000_000),
  stdin = new Pipe() as Writable,
  opened = true,
} = {}) {
  stdin.on('error', () => {});
  const stdout = new PassThrough();
  const received: JsonRpcMessage[] = [];
  const closed: PoolError[] = [];
  const channel = new StdioChannel({ stdin, stdout, messageLimit: limit, budget, server: { name: 'test' } });
  const open = () =>
    channel.open({
      onMessage: (message) => received.push(message),
      onWritten: () => {},
      onClosed: (error) => closed.push(error),
    });
  if (opened) open();
  return { channel, open, stdin: stdin as Pipe, stdout, received, closed, budget };
}

const note = (text: unknown): JsonRpcMessage => ({ jsonrpc: '2.0', method: 'note', params: { text } });

describe('sending', () => {
  it('[CONN-1] writes what was sent in one tick with one write, in order', async () => {
    const { channel, stdin } = connected();
    const sent = Array.from({ length: 100 }, (_, index) => note(index));
    await Promise.all(sent.map((message) => channel.send(message)));
    expect(stdin.writes).toHaveLength(1);
    expect(stdin.lines).toEqual(sent);
    await channel.send(note('later'));
    expect(stdin.writes).toHaveLength(2);
  });

  it('[CONN-1] [FRAME-1] writes one line for each message, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), async (texts) => {
        const { channel, stdin } = connected();
        await Promise.all(texts.map((text) => channel.send(note(text))));
        expect(stdin.lines).toEqual(texts.map((text) => JSON.parse(JSON.stringify(note(text))) as unknown));
      }),
      { numRuns: 50 },
    );
  });

  it('[CONN-2] stays pending while the server does not read', async () => {
    const { channel, stdin } = connected();
    stdin.reading = false;
    const first = channel.send(note(1));
    await flush();
    const second = channel.send(note(2));
    expect([await outcome(first), await outcome(second)]).toEqual(['pending', 'pending']);
    stdin.read();
    await Promise.all([first, second]);
  });

  it('[CONN-2] [CONN-3] is held back by a real process that does not read, and rejected when it ends', async () => {
    const child = spawn('sleep', ['100'], { stdio: ['pipe', 'ignore', 'ignore'] });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const { channel, closed } = connected({ stdin: child.stdin, budget: new WriteBudget(10_000_000) });
    await channel.send(note('small: the pipe takes it'));
    const large = channel.send(note('x'.repeat(2_000_000)));
    expect(await outcome(large)).toBe('pending');
    child.kill('SIGKILL');
    expect(await rejection(large)).toMatchObject({ code: 'SERVER_EXITED', cause: { code: 'EPIPE' } });
    expect(closed).toHaveLength(1);
    expect(await rejection(channel.send(note('after')))).toBe(closed[0]);
  });

  it('[CONN-3] rejects when the pipe breaks, and reports it once', async () => {
    const { channel, stdin, closed } = connected();
    stdin.reading = false;
    const first = channel.send(note(1));
    await flush();
    const second = channel.send(note(2));
    stdin.read(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    for (const sent of [first, second, channel.send(note(3))]) {
      expect(await rejection(sent)).toMatchObject({ code: 'SERVER_EXITED', data: { name: 'test' } });
    }
    expect(closed).toHaveLength(1);
  });

  it('[CONN-3] rejects when stdin was ended or destroyed before', async () => {
    for (const finish of ['end', 'destroy'] as const) {
      const { channel, stdin } = connected();
      stdin[finish]();
      expect(await rejection(channel.send(note(1)))).toMatchObject({ code: 'SERVER_EXITED' });
    }
  });

  it('[CONN-3] rejects what waits when stdin is destroyed', async () => {
    const { channel, stdin } = connected();
    stdin.reading = false;
    const sent = channel.send(note(1));
    await flush();
    stdin.destroy();
    expect(await rejection(sent)).toMatchObject({ code: 'SERVER_EXITED' });
  });

  it('[CONN-3] rejects with the reason of the end once it was closed', async () => {
    const { channel, stdin, closed } = connected();
    const reason = Object.assign(new Error('released'), { code: 'LEASE_RELEASED' }) as unknown as PoolError;
    channel.close(reason);
    channel.close(Object.assign(new Error('another'), { code: 'SERVER_STOPPED' }) as unknown as PoolError);
    expect(await rejection(channel.send(note(1)))).toBe(reason);
    await flush();
    expect(stdin.writes).toEqual([]);
    expect(closed).toEqual([]);
  });

  it('[CONN-3] rejects what cannot be written as JSON, and goes on', async () => {
    const { channel, stdin } = connected();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    // Must not be thrown in the tick of the call: `send` returns a promise.
    const sent = [channel.send(note(1n)), channel.send(note(circular))];
    for (const one of sent) expect(await rejection(one)).toBeInstanceOf(Error);
    await channel.send(note('fine'));
    expect(stdin.lines).toEqual([note('fine')]);
  });

  it('[CONN-3] leaves no unhandled rejection when nothing handles it', async () => {
    const unhandled: unknown[] = [];
    const listener = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    onTestFinished(() => {
      process.off('unhandledRejection', listener);
    });
    const { channel, stdin } = connected();
    stdin.reading = false;
    void channel.send(note(1)).catch(() => {});
    await flush();
    stdin.read(new Error('EPIPE'));
    await flush();
    expect(unhandled).toEqual([]);
  });

  it('[CONN-4] says BUFFER_FULL when too much waits, and has room again when it was read', async () => {
    const { channel, stdin, closed } = connected({ budget: new WriteBudget(200) });
    stdin.reading = false;
    const first = channel.send(note('x'.repeat(100)));
    expect(await rejection(channel.send(note('y'.repeat(100))))).toMatchObject({
      code: 'BUFFER_FULL',
      data: { name: 'test' },
    });
    expect(closed).toEqual([]);
    stdin.read();
    await first;
    await channel.send(note('z'.repeat(100)));
    expect(stdin.lines).toHaveLength(2);
  });

  it('[CONN-4] takes any one message while nothing waits', async () => {
    const { channel, stdin } = connected({ budget: new WriteBudget(10) });
    await channel.send(note('x'.repeat(1_000)));
    expect(stdin.lines).toHaveLength(1);
  });

  it('[CONN-4] counts bytes, not characters', async () => {
    const { channel, stdin } = connected({ budget: new WriteBudget(200) });
    stdin.reading = false;
    // 80 characters are 240 bytes here, and more than may wait already.
    const first = channel.send(note('€'.repeat(80)));
    expect(await rejection(channel.send(note('y')))).toMatchObject({ code: 'BUFFER_FULL' });
    stdin.read();
    await first;
  });

  it('[CONN-4] shares its bound with all connections of a pool, and gives back what failed', async () => {
    const budget = new WriteBudget(200);
    const [one, two] = [connected({ budget }), connected({ budget })];
    one.stdin.reading = false;
    const waiting = one.channel.send(note('x'.repeat(100)));
    await flush();
    expect(await rejection(two.channel.send(note('y'.repeat(100))))).toMatchObject({ code: 'BUFFER_FULL' });
    one.stdin.destroy();
    await rejection(waiting);
    await two.channel.send(note('y'.repeat(100)));
    await two.channel.send(note('y'.repeat(100)));
  });
});

describe('receiving', () => {
  it('leaves everything in the pipe until it is opened', async () => {
    const { open, stdout, received } = connected({ opened: false });
    stdout.write(`${JSON.stringify(note(1))}\n`);
    await flush();
    expect(received).toEqual([]);
    open();
    await flush();
    expect(received).toEqual([note(1)]);
  });

  it('[FRAME-2] counts the lines that are no messages', async () => {
    const { channel, stdout, received, closed } = connected();
    stdout.write(`hello\n${JSON.stringify(note(1))}\nworld\n`);
    await flush();
    expect(received).toEqual([note(1)]);
    expect(channel.noise).toMatchObject({ skippedLines: 2, first: ['hello', 'world'] });
    expect(closed).toEqual([]);
  });

  it('[FRAME-3] breaks at a message above the limit, reports it once, and sends nothing more', async () => {
    const { channel, stdout, received, closed } = connected({ limit: 100 });
    stdout.write(
      `${JSON.stringify(note('ok'))}\n${JSON.stringify(note('x'.repeat(200)))}\n${JSON.stringify(note('no'))}\n`,
    );
    stdout.write(`${JSON.stringify(note('y'.repeat(200)))}\n`);
    await flush();
    expect(received).toEqual([note('ok')]);
    expect(closed).toEqual([expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' })]);
    expect(closed[0]?.message).toContain('maxMessageMB');
    expect(await rejection(channel.send(note(1)))).toBe(closed[0]);
  });

  it('[FRAME-3] goes on reading after it, so that the server can see the end of its stdin', async () => {
    const { stdout } = connected({ limit: 100 });
    for (let chunk = 0; chunk < 100; chunk++) stdout.write(Buffer.alloc(65_536, 'x'));
    await flush(200);
    expect(stdout.readableLength).toBe(0);
    expect(stdout.writableLength).toBe(0);
  });
});
